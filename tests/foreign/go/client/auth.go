package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// How long nobody shows a token that ends after six seconds without a call.
const idle = 9 * time.Second

// is returns an error unless got is the typed error that clients compare with.
func is(what string, got, want error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s: %v (%T), expected %v", what, got, got, want)
}

func as(c *clientv3.Client, user, password string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   c.Endpoints(),
		DialTimeout: 5 * time.Second,
		Username:    user,
		Password:    password,
		Logger:      zap.NewNop(),
	})
}

// checkAuth turns access control on, so it wants a cluster of its own; off again at its end.
func checkAuth(ctx context.Context, c *clientv3.Client) error {
	if err := checkManagement(ctx, c); err != nil {
		return err
	}
	_, err := c.Put(ctx, "go/auth/k", "v")
	if err := is("a put by nobody", err, rpctypes.ErrUserEmpty); err != nil {
		return err
	}
	_, err = as(c, "alice", "wrong")
	if err := is("a wrong password", err, rpctypes.ErrAuthFailed); err != nil {
		return err
	}
	root, err := as(c, "root", "rootpw")
	if err != nil {
		return err
	}
	defer root.Close()
	alice, err := as(c, "alice", "alicepw")
	if err != nil {
		return err
	}
	defer alice.Close()
	for _, check := range []func(context.Context, *clientv3.Client, *clientv3.Client) error{
		checkRights, checkRenewal, checkPasswords,
	} {
		if err := check(ctx, root, alice); err != nil {
			return err
		}
	}
	if _, err := root.AuthDisable(ctx); err != nil {
		return err
	}
	// Any member may serve the put, and one that has not heard yet asks who calls.
	for {
		_, err = c.Put(ctx, "go/auth/k", "v")
		if !errors.Is(err, rpctypes.ErrUserEmpty) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// checkManagement makes users and roles, meets the errors of doing so, and turns access control on.
func checkManagement(ctx context.Context, c *clientv3.Client) error {
	_, err := c.Authenticate(ctx, "root", "rootpw")
	off := is("a login while it is off", err, rpctypes.ErrAuthNotEnabled)
	_, err = c.AuthEnable(ctx)
	nobody := is("enabling without root", err, rpctypes.ErrRootUserNotExist)
	if err := first(off, nobody); err != nil {
		return err
	}
	_, err = c.UserAdd(ctx, "root", "rootpw")
	_, enabled := c.AuthEnable(ctx)
	err = first(err, is("enabling without the role", enabled, rpctypes.ErrRootRoleNotExist))
	if err != nil {
		return err
	}
	_, e1 := c.UserGrantRole(ctx, "root", "root")
	_, e2 := c.UserAdd(ctx, "alice", "alicepw")
	_, e3 := c.UserAddWithOptions(ctx, "cn", "", &clientv3.UserAddOptions{NoPassword: true})
	_, e4 := c.RoleAdd(ctx, "app")
	kind := clientv3.PermissionType(clientv3.PermReadWrite)
	_, e5 := c.RoleGrantPermission(ctx, "app", "go/auth/", clientv3.GetPrefixRangeEnd("go/auth/"), kind)
	_, e6 := c.UserGrantRole(ctx, "alice", "app")
	if err := first(e1, e2, e3, e4, e5, e6); err != nil {
		return err
	}
	_, e1 = c.UserAdd(ctx, "alice", "again")
	_, e2 = c.RoleAdd(ctx, "app")
	_, e3 = c.UserGet(ctx, "ghost")
	_, e4 = c.RoleGet(ctx, "ghost")
	_, e5 = c.UserRevokeRole(ctx, "cn", "app")
	_, e6 = c.RoleRevokePermission(ctx, "app", "never", "granted")
	err = first(
		is("a user twice", e1, rpctypes.ErrUserAlreadyExist),
		is("a role twice", e2, rpctypes.ErrRoleAlreadyExist),
		is("a ghost", e3, rpctypes.ErrUserNotFound),
		is("the role of ghosts", e4, rpctypes.ErrRoleNotFound),
		is("a role not granted", e5, rpctypes.ErrRoleNotGranted),
		is("a permission not granted", e6, rpctypes.ErrPermissionNotGranted),
	)
	if err != nil {
		return err
	}
	users, e1 := c.UserList(ctx)
	roles, e2 := c.RoleList(ctx)
	role, e3 := c.RoleGet(ctx, "app")
	user, e4 := c.UserGet(ctx, "alice")
	if err := first(e1, e2, e3, e4); err != nil {
		return err
	}
	permission := role.Perm[0]
	shown := fmt.Sprintf("%s %s %s", permission.PermType, permission.Key, permission.RangeEnd)
	_, enabled = c.AuthEnable(ctx)
	return first(
		enabled,
		expect("the users", users.Users, []string{"alice", "cn", "root"}),
		expect("the roles", roles.Roles, []string{"app"}),
		expect("the permission", shown, "READWRITE go/auth/ go/auth0"),
		expect("her roles", user.Roles, []string{"app"}),
	)
}

// checkRights meets permission denied, as the type that programs compare with.
func checkRights(ctx context.Context, root, alice *clientv3.Client) error {
	_, e1 := alice.Put(ctx, "go/auth/k", "v")
	_, e2 := alice.Get(ctx, "go/auth/", clientv3.WithPrefix())
	if err := first(e1, e2); err != nil {
		return err
	}
	denied := rpctypes.ErrPermissionDenied
	_, e1 = alice.Put(ctx, "elsewhere", "v")
	_, e2 = alice.Get(ctx, "", clientv3.WithPrefix())
	_, e3 := alice.Txn(ctx).Then(clientv3.OpPut("go/auth/k", "v"), clientv3.OpDelete("elsewhere")).Commit()
	_, e4 := alice.UserList(ctx)
	_, e5 := alice.Compact(ctx, 1)
	_, e6 := alice.Defragment(ctx, alice.Endpoints()[0])
	err := first(
		is("a put elsewhere", e1, denied),
		is("a range of everything", e2, denied),
		is("a branch elsewhere", e3, denied),
		is("the users", e4, denied),
		is("a compaction", e5, denied),
		is("a defragmentation", e6, denied),
	)
	if err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := <-alice.Watch(watching, "elsewhere")
	if err := answer.Err(); err == nil || !strings.Contains(err.Error(), "permission denied") {
		return fmt.Errorf("a watch elsewhere says %v", err)
	}
	session, err := concurrency.NewSession(alice, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer session.Close()
	err = first(
		concurrency.NewMutex(session, "go/auth/mutex").Lock(ctx),
		concurrency.NewElection(session, "go/auth/election").Campaign(ctx, "alice"),
		is("a mutex elsewhere", concurrency.NewMutex(session, "elsewhere").Lock(ctx), denied),
	)
	return err
}

// checkRenewal shows nobody's token for longer than it lives: streams go on, and calls log in again.
func checkRenewal(ctx context.Context, root, alice *clientv3.Client) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	events := alice.Watch(watching, "go/auth/k")
	lease, err := alice.Grant(ctx, 8)
	if err != nil {
		return err
	}
	if _, err := alice.Put(ctx, "go/auth/leased", "v", clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	renewals, err := alice.KeepAlive(watching, lease.ID)
	if err != nil {
		return err
	}
	go func() {
		for range renewals {
		}
	}()
	time.Sleep(idle)
	// A change of users that concerns neither of them; root's token has ended as well.
	if _, err := root.UserAdd(ctx, "unrelated", "pw"); err != nil {
		return fmt.Errorf("after the end of a token: %w", err)
	}
	put, err := root.Put(ctx, "go/auth/k", "news")
	if err != nil {
		return err
	}
	answer := <-events
	if err := answer.Err(); err != nil || len(answer.Events) != 1 {
		return fmt.Errorf("an old watch says %v, %v", answer.Events, err)
	}
	kept, e1 := root.Get(ctx, "go/auth/leased")
	_, e2 := alice.Put(ctx, "go/auth/k", "again")
	if err := first(e1, e2); err != nil {
		return err
	}
	return first(
		expect("the revision of the news", answer.Events[0].Kv.ModRevision, put.Header.Revision),
		expect("keys of a lease that was kept alive", kept.Count, 1),
	)
}

// checkPasswords takes rights away, and a password.
func checkPasswords(ctx context.Context, root, alice *clientv3.Client) error {
	end := clientv3.GetPrefixRangeEnd("go/auth/")
	_, revoked := root.RoleRevokePermission(ctx, "app", "go/auth/", end)
	_, put := alice.Put(ctx, "go/auth/k", "v")
	kind := clientv3.PermissionType(clientv3.PermReadWrite)
	_, granted := root.RoleGrantPermission(ctx, "app", "go/auth/", end, kind)
	_, again := alice.Put(ctx, "go/auth/k", "v")
	err := first(revoked, is("a put without a right", put, rpctypes.ErrPermissionDenied), granted, again)
	if err != nil {
		return err
	}
	if _, err := root.UserChangePassword(ctx, "alice", "newpw"); err != nil {
		return err
	}
	_, put = alice.Put(ctx, "go/auth/k", "v")
	if err := is("a put with the old password", put, rpctypes.ErrAuthFailed); err != nil {
		return err
	}
	alice, err = as(root, "alice", "newpw")
	if err != nil {
		return err
	}
	defer alice.Close()
	_, put = alice.Put(ctx, "go/auth/k", "v")
	return put
}
