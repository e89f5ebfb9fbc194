package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/namespace"
)

// checkNamespace puts a prefix in front of every key, in requests, answers, events and leases.
func checkNamespace(ctx context.Context, c *clientv3.Client) error {
	const prefix = "go/namespace/"
	kv := namespace.NewKV(c.KV, prefix)
	watcher := namespace.NewWatcher(c.Watcher, prefix)
	defer watcher.Close()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	events := watcher.Watch(watching, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if created := <-events; !created.Created {
		return expect("the first answer", created, "a notice that the watcher is there")
	}
	if _, err := kv.Put(ctx, "k", "v"); err != nil {
		return err
	}
	plain, err := c.Get(ctx, prefix+"k")
	if err := first(err, expect("the key as others see it", plain.Count, 1)); err != nil {
		return err
	}
	event := <-events
	if err := first(event.Err(), expect("the watched key", string(event.Events[0].Kv.Key), "k")); err != nil {
		return err
	}
	all, err := kv.Get(ctx, "", clientv3.WithPrefix())
	if err := first(err, expect("the key", string(all.Kvs[0].Key), "k"), expect("the count", all.Count, 1)); err != nil {
		return err
	}
	answer, err := kv.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("k"), "=", "v")).
		Then(clientv3.OpDelete("k", clientv3.WithPrevKV())).
		Commit()
	if err := first(err, expect("the verdict", answer.Succeeded, true)); err != nil {
		return err
	}
	gone := answer.Responses[0].GetResponseDeleteRange().PrevKvs[0]
	return expect("the deleted key", string(gone.Key), "k")
}

// checkLeasing lets two clients cache keys under leases: what one writes, the other reads, though both cache.
func checkLeasing(ctx context.Context, c *clientv3.Client) error {
	const prefix = "go/leasing/"
	one, closeOne, err := leasing.NewKV(c, prefix)
	if err != nil {
		return err
	}
	defer closeOne()
	two, closeTwo, err := leasing.NewKV(c, prefix)
	if err != nil {
		return err
	}
	defer closeTwo()
	if _, err := one.Put(ctx, "go/leased", "first"); err != nil {
		return err
	}
	for range 3 {
		// The second time from the cache of the one who holds the lease.
		answer, err := one.Get(ctx, "go/leased")
		if err := first(err, expect("the cached value", string(answer.Kvs[0].Value), "first")); err != nil {
			return err
		}
	}
	// Whoever writes takes the key from its holder.
	if _, err := two.Put(ctx, "go/leased", "second"); err != nil {
		return err
	}
	answer, err := one.Get(ctx, "go/leased")
	if err := first(err, expect("the value of the other", string(answer.Kvs[0].Value), "second")); err != nil {
		return err
	}
	txn, err := one.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("go/leased"), "=", "second")).
		Then(clientv3.OpPut("go/leased", "third")).
		Commit()
	if err := first(err, expect("the verdict", txn.Succeeded, true)); err != nil {
		return err
	}
	answer, err = two.Get(ctx, "go/leased")
	return first(err, expect("the value in the end", string(answer.Kvs[0].Value), "third"))
}
