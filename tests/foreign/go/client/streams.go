package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// events reads so many events of a watch, as "PUT key=value" or "DELETE key".
func events(ctx context.Context, watch clientv3.WatchChan, count int) ([]string, error) {
	var seen []string
	for len(seen) < count {
		select {
		case answer, open := <-watch:
			if !open || answer.Err() != nil {
				return nil, fmt.Errorf("the watch ended: %v", answer.Err())
			}
			for _, event := range answer.Events {
				text := fmt.Sprintf("%s %s", event.Type, event.Kv.Key)
				if event.Type == clientv3.EventTypePut {
					text += "=" + string(event.Kv.Value)
				}
				seen = append(seen, text)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d events: %w", len(seen), count, ctx.Err())
		}
	}
	return seen, nil
}

func checkWatch(ctx context.Context, c *clientv3.Client) error {
	ctx = clientv3.WithRequireLeader(ctx)
	put, err := c.Put(ctx, "go/watch/a", "1")
	if err != nil {
		return err
	}
	past := c.Watch(ctx, "go/watch/", clientv3.WithPrefix(), clientv3.WithRev(put.Header.Revision))
	deletes := c.Watch(ctx, "go/watch/", clientv3.WithPrefix(), clientv3.WithFilterPut(),
		clientv3.WithCreatedNotify(), clientv3.WithFragment())
	if created := <-deletes; !created.Created {
		return fmt.Errorf("the second watch did not begin: %v", created.Err())
	}
	if _, err := c.Txn(ctx).Then(clientv3.OpPut("go/watch/b", "2"), clientv3.OpPut("go/watch/a", "3")).
		Commit(); err != nil {
		return err
	}
	if _, err := c.Delete(ctx, "go/watch/", clientv3.WithPrefix()); err != nil {
		return err
	}
	all, err := events(ctx, past, 5)
	if err != nil {
		return err
	}
	gone, err := events(ctx, deletes, 2)
	if err != nil {
		return err
	}
	want := []string{"PUT go/watch/a=1", "PUT go/watch/b=2", "PUT go/watch/a=3",
		"DELETE go/watch/a", "DELETE go/watch/b"}
	if err := first(expect("the events", all, want), expect("the deletes", gone, want[3:])); err != nil {
		return err
	}
	// Both watchers share a stream, and both are told how far it is.
	if err := c.RequestProgress(ctx); err != nil {
		return err
	}
	answer := <-past
	return expect("progress", answer.IsProgressNotify(), true)
}

func checkLease(ctx context.Context, c *clientv3.Client) error {
	watch := c.Watch(ctx, "go/lease/left")
	kept, err := c.Grant(ctx, 8)
	if err != nil {
		return err
	}
	left, err := c.Grant(ctx, 8)
	if err != nil {
		return err
	}
	alive, err := c.KeepAlive(ctx, kept.ID)
	if err != nil {
		return err
	}
	for name, lease := range map[string]clientv3.LeaseID{"kept": kept.ID, "left": left.ID} {
		if _, err := c.Put(ctx, "go/lease/"+name, "v", clientv3.WithLease(lease)); err != nil {
			return err
		}
	}
	// The lease that nobody renews ends while the other one lives.
	if _, err := events(ctx, watch, 2); err != nil {
		return err
	}
	if answer, open := <-alive; !open || answer.TTL != 8 {
		return fmt.Errorf("the keep-alive ended: %v", answer)
	}
	told, err := c.TimeToLive(ctx, kept.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	if _, err := c.Revoke(ctx, kept.ID); err != nil {
		return err
	}
	gone, err := c.TimeToLive(ctx, kept.ID)
	if err != nil {
		return err
	}
	rest, err := c.Get(ctx, "go/lease/", clientv3.WithPrefix())
	return first(err,
		expect("the attached keys", fmt.Sprintf("%s", told.Keys), "[go/lease/kept]"),
		expect("the time left of a revoked lease", gone.TTL, -1),
		expect("the keys left", rest.Count, 0))
}

// checkFailover writes and watches while a member is killed: every acknowledged write is there
// afterwards, and the watch has seen each of them once and in order.
func checkFailover(ctx context.Context, c *clientv3.Client) error {
	const half, all = 100, 200
	watch := c.Watch(ctx, "go/failover/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if created := <-watch; !created.Created {
		return fmt.Errorf("the watch did not begin: %v", created.Err())
	}
	var want []string
	for i := range all {
		if i == half {
			fmt.Println("ready")
			if !bufio.NewScanner(os.Stdin).Scan() {
				return errors.New("nobody said that the member was killed")
			}
		}
		key, value := fmt.Sprintf("go/failover/%03d", i), fmt.Sprint(i)
		if err := putOnce(ctx, c, key, value); err != nil {
			return err
		}
		want = append(want, "PUT "+key+"="+value)
	}
	seen, err := events(ctx, watch, all)
	if err != nil {
		return err
	}
	found, err := c.Get(ctx, "go/failover/", clientv3.WithPrefix())
	return first(err, expect("the events", seen, want), expect("the keys", found.Count, all))
}

// putOnce creates a key, trying again for as long as it is not there: a try whose outcome is
// unknown may have taken effect, and then the guard keeps the next one from writing twice.
func putOnce(ctx context.Context, c *clientv3.Client, key, value string) error {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := c.Txn(try).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, value)).
			Commit()
		cancel()
		if err == nil {
			return nil
		}
		if errors.Is(err, rpctypes.ErrEmptyKey) {
			return err
		}
	}
	return fmt.Errorf("%s was never acknowledged: %w", key, ctx.Err())
}
