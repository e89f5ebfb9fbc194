package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func checkKV(ctx context.Context, c *clientv3.Client) error {
	put, err := c.Put(ctx, "go/kv/a", "1")
	if err != nil {
		return err
	}
	again, err := c.Put(ctx, "go/kv/a", "2", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	if _, err := c.Put(ctx, "go/kv/b", "3"); err != nil {
		return err
	}
	all, err := c.Get(ctx, "go/kv/", clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend), clientv3.WithLimit(1))
	if err != nil {
		return err
	}
	// Any member may serve the stale read.
	if err := allApplied(ctx, c); err != nil {
		return err
	}
	old, err := c.Get(ctx, "go/kv/a", clientv3.WithRev(put.Header.Revision), clientv3.WithSerializable())
	if err != nil {
		return err
	}
	count, err := c.Get(ctx, "go/kv/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	gone, err := c.Delete(ctx, "go/kv/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	return first(
		expect("the previous value", string(again.PrevKv.Value), "1"),
		expect("the greatest value", string(all.Kvs[0].Value), "3"),
		expect("more", all.More, true),
		expect("the old value", string(old.Kvs[0].Value), "1"),
		expect("the count", count.Count, 2),
		expect("the deleted keys", fmt.Sprint(gone.Deleted, len(gone.PrevKvs)), "2 2"),
	)
}

func checkTxn(ctx context.Context, c *clientv3.Client) error {
	create := func(value string) (*clientv3.TxnResponse, error) {
		return c.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision("go/txn"), "=", 0)).
			Then(clientv3.OpPut("go/txn", value), clientv3.OpGet("go/txn")).
			Else(clientv3.OpGet("go/txn"), clientv3.OpDelete("go/txn")).
			Commit()
	}
	one, err := create("mine")
	if err != nil {
		return err
	}
	two, err := create("yours")
	if err != nil {
		return err
	}
	return first(
		expect("the first", one.Succeeded, true),
		expect("its read", string(one.Responses[1].GetResponseRange().Kvs[0].Value), "mine"),
		expect("the second", two.Succeeded, false),
		expect("its read", string(two.Responses[0].GetResponseRange().Kvs[0].Value), "mine"),
		expect("its delete", two.Responses[1].GetResponseDeleteRange().Deleted, 1),
	)
}

// checkErrors compares with the values that Go programs compare with.
func checkErrors(ctx context.Context, c *clientv3.Client) error {
	_, empty := c.Put(ctx, "", "v")
	_, lease := c.Put(ctx, "go/errors", "v", clientv3.WithLease(4444))
	_, revoke := c.Revoke(ctx, 4444)
	_, future := c.Get(ctx, "go/errors", clientv3.WithRev(1<<40))
	put := clientv3.OpPut("go/errors", "v")
	_, twice := c.Txn(ctx).Then(put, put).Commit()
	many := make([]clientv3.Op, 129)
	for i := range many {
		many[i] = clientv3.OpGet("go/errors")
	}
	_, ops := c.Txn(ctx).Then(many...).Commit()
	_, large := c.Put(ctx, "go/errors", string(make([]byte, 3<<19)))
	_, alive := c.KeepAliveOnce(ctx, 4444)
	for _, pair := range []struct{ got, want error }{
		{empty, rpctypes.ErrEmptyKey},
		{lease, rpctypes.ErrLeaseNotFound},
		{revoke, rpctypes.ErrLeaseNotFound},
		{future, rpctypes.ErrFutureRev},
		{twice, rpctypes.ErrDuplicateKey},
		{ops, rpctypes.ErrTooManyOps},
		{large, rpctypes.ErrRequestTooLarge},
		{alive, rpctypes.ErrLeaseNotFound},
	} {
		if !errors.Is(pair.got, pair.want) {
			return fmt.Errorf("got %v, expected %v", pair.got, pair.want)
		}
	}
	return nil
}

// checkCompaction needs a cluster of its own: it takes history away.
func checkCompaction(ctx context.Context, c *clientv3.Client) error {
	var revision int64
	for i := range 4 {
		put, err := c.Put(ctx, "go/compaction", fmt.Sprint(i))
		if err != nil {
			return err
		}
		revision = put.Header.Revision
	}
	if _, err := c.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	_, old := c.Get(ctx, "go/compaction", clientv3.WithRev(revision-1))
	if !errors.Is(old, rpctypes.ErrCompacted) {
		return fmt.Errorf("got %v, expected %v", old, rpctypes.ErrCompacted)
	}
	// Any member may serve the watch, and the one that answered was not waited for by the others.
	if err := allApplied(ctx, c); err != nil {
		return err
	}
	answer, open := <-c.Watch(ctx, "go/compaction", clientv3.WithRev(revision-1))
	return first(
		expect("an answer", open, true),
		expect("the watch's end", answer.Err(), rpctypes.ErrCompacted),
		expect("the compaction", answer.CompactRevision, revision),
	)
}

// allApplied waits until every member has applied what any of them has in its log now.
func allApplied(ctx context.Context, c *clientv3.Client) error {
	var target uint64
	for _, endpoint := range c.Endpoints() {
		status, err := c.Status(ctx, endpoint)
		if err != nil {
			return err
		}
		target = max(target, status.RaftIndex)
	}
	for _, endpoint := range c.Endpoints() {
		for {
			status, err := c.Status(ctx, endpoint)
			if err != nil {
				return err
			}
			if status.RaftAppliedIndex >= target {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

func checkAdmin(ctx context.Context, c *clientv3.Client) error {
	members, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	leaders := map[uint64]bool{}
	for _, endpoint := range c.Endpoints() {
		status, err := c.Status(ctx, endpoint)
		if err != nil {
			return err
		}
		leaders[status.Leader] = true
		if _, err := c.HashKV(ctx, endpoint, 0); err != nil {
			return err
		}
		if _, err := c.Defragment(ctx, endpoint); err != nil {
			return err
		}
	}
	alarms, err := c.AlarmList(ctx)
	if err != nil {
		return err
	}
	return first(
		expect("the number of members", len(members.Members), 3),
		expect("the number of leaders", len(leaders), 1),
		expect("the number of alarms", len(alarms.Alarms), 0),
		c.Sync(ctx),
		expect("the number of endpoints after a sync", len(c.Endpoints()), 3),
	)
}
