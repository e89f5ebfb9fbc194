// The official Go client against a cluster: client ENDPOINTS CHECK...
//
// Each check prints one line, "ok NAME" or "FAILED NAME: why"; the exit code says whether all
// passed. "failover" prints "ready" when it has written its first half, waits for a line on its
// standard input (in which time a member is killed), and goes on.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// How long one check may take.
const limit = 60 * time.Second

// A check returns what is wrong, or nil.
type check func(ctx context.Context, c *clientv3.Client) error

var checks = map[string]check{
	"kv":         checkKV,
	"txn":        checkTxn,
	"errors":     checkErrors,
	"watch":      checkWatch,
	"lease":      checkLease,
	"session":    checkSession,
	"mutex":      checkMutex,
	"election":   checkElection,
	"stm":        checkSTM,
	"namespace":  checkNamespace,
	"leasing":    checkLeasing,
	"admin":      checkAdmin,
	"auth":       checkAuth,
	"compaction": checkCompaction,
	"failover":   checkFailover,
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: client ENDPOINTS CHECK...")
		os.Exit(2)
	}
	endpoints := strings.Split(os.Args[1], ",")
	failed := false
	for _, name := range os.Args[2:] {
		if err := run(endpoints, name); err != nil {
			fmt.Printf("FAILED %s: %v\n", name, err)
			failed = true
		} else {
			fmt.Printf("ok %s\n", name)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func run(endpoints []string, name string) error {
	body, known := checks[name]
	if !known {
		return fmt.Errorf("no such check")
	}
	c, err := connect(endpoints)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return body(ctx, c)
}

func connect(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    2 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		Logger:               zap.NewNop(),
	})
}

// expect returns an error unless got and want print alike.
func expect(what string, got, want any) error {
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		return fmt.Errorf("%s is %s, expected %s", what, g, w)
	}
	return nil
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
