package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// checkSession lets a session lapse: its keys go, and it says that it is done.
func checkSession(ctx context.Context, c *clientv3.Client) error {
	session, err := concurrency.NewSession(c, concurrency.WithTTL(5))
	if err != nil {
		return err
	}
	if _, err := c.Put(ctx, "go/session", "v", clientv3.WithLease(session.Lease())); err != nil {
		return err
	}
	if err := session.Close(); err != nil {
		return err
	}
	select {
	case <-session.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	answer, err := c.Get(ctx, "go/session")
	return first(err, expect("the keys of a closed session", answer.Count, 0))
}

// checkMutex lets eight holders, each with a session of its own, count under one mutex.
func checkMutex(ctx context.Context, c *clientv3.Client) error {
	const holders, rounds = 8, 5
	inside, total := 0, 0
	var group sync.WaitGroup
	failures := make(chan error, holders)
	hold := func() error {
		session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
		if err != nil {
			return err
		}
		defer session.Close()
		mutex := concurrency.NewMutex(session, "go/mutex")
		for range rounds {
			if err := mutex.Lock(ctx); err != nil {
				return err
			}
			// These two are guarded by the lock alone; the pause lets a second holder show.
			inside++
			if inside != 1 {
				return errors.New("two holders at once")
			}
			time.Sleep(time.Millisecond)
			total++
			inside--
			if err := mutex.Unlock(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	for range holders {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := hold(); err != nil {
				failures <- err
			}
		}()
	}
	group.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return err
	}
	session, err := concurrency.NewSession(c)
	if err != nil {
		return err
	}
	defer session.Close()
	other, err := concurrency.NewSession(c)
	if err != nil {
		return err
	}
	defer other.Close()
	if err := concurrency.NewMutex(session, "go/trylock").Lock(ctx); err != nil {
		return err
	}
	busy := concurrency.NewMutex(other, "go/trylock").TryLock(ctx)
	return first(
		expect("the count", total, holders*rounds),
		expect("a lock that is taken", busy, concurrency.ErrLocked),
	)
}

// checkElection lets three candidates lead in turn, while an observer sees each of them.
func checkElection(ctx context.Context, c *clientv3.Client) error {
	observer, err := concurrency.NewSession(c)
	if err != nil {
		return err
	}
	defer observer.Close()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	leaders := concurrency.NewElection(observer, "go/election").Observe(watching)
	for i := range 3 {
		session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
		if err != nil {
			return err
		}
		name := fmt.Sprintf("candidate %d", i)
		election := concurrency.NewElection(session, "go/election")
		if err := election.Campaign(ctx, name); err != nil {
			return err
		}
		seen, open := <-leaders
		if !open {
			return errors.New("the observer was dropped")
		}
		leader, err := election.Leader(ctx)
		if err != nil {
			return err
		}
		if err := first(
			expect("the leader", string(leader.Kvs[0].Value), name),
			expect("the observed leader", string(seen.Kvs[0].Value), name),
			election.Proclaim(ctx, name+" again"),
		); err != nil {
			return err
		}
		if seen = <-leaders; string(seen.Kvs[0].Value) != name+" again" {
			return fmt.Errorf("observed %q after a proclamation", seen.Kvs[0].Value)
		}
		if err := first(election.Resign(ctx), session.Close()); err != nil {
			return err
		}
	}
	_, err = concurrency.NewElection(observer, "go/election").Leader(ctx)
	return expect("no leader", err, concurrency.ErrElectionNoLeader)
}

// checkSTM moves amounts between accounts from several goroutines: the sum stays. It speaks to one
// member, because the package reads serializably at the revision of its first read, which another
// member may not have reached.
func checkSTM(ctx context.Context, all *clientv3.Client) error {
	c, err := connect(all.Endpoints()[:1])
	if err != nil {
		return err
	}
	defer c.Close()
	const accounts, movers, moves = 4, 4, 10
	account := func(i int) string { return fmt.Sprintf("go/stm/%d", i%accounts) }
	for i := range accounts {
		if _, err := c.Put(ctx, account(i), "100"); err != nil {
			return err
		}
	}
	failures := make(chan error, movers)
	for mover := range movers {
		go func() {
			var err error
			for i := 0; i < moves && err == nil; i++ {
				from, to := account(mover+i), account(mover+2*i+1)
				_, err = concurrency.NewSTM(c, func(stm concurrency.STM) error {
					if from == to {
						return nil
					}
					f, errF := strconv.Atoi(stm.Get(from))
					t, errT := strconv.Atoi(stm.Get(to))
					stm.Put(from, strconv.Itoa(f-1))
					stm.Put(to, strconv.Itoa(t+1))
					return errors.Join(errF, errT)
				}, concurrency.WithAbortContext(ctx))
			}
			failures <- err
		}()
	}
	for range movers {
		if err := <-failures; err != nil {
			return err
		}
	}
	sum := 0
	answer, err := c.Get(ctx, "go/stm/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range answer.Kvs {
		amount, err := strconv.Atoi(string(kv.Value))
		if err != nil {
			return err
		}
		sum += amount
	}
	return expect("the sum", sum, 100*accounts)
}
