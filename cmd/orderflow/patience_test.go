package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// What reads or keeps everything says what it waits for where a cluster has no leader, and ends.
func TestASilentStoreIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	cluster := esjstest.Cluster(t)
	if err := provision(t.Context(), cluster.Dial(), esjs.Config{Replicas: 3, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if status, _, stderr := once(t, dir, "backup", "b", "--nats-url", cluster.URL()); status != service.ExitOK {
		t.Fatalf("backup: %d %s", status, stderr)
	}
	if err := os.Mkdir(filepath.Join(dir, "kept"), 0o700); err != nil {
		t.Fatal(err)
	}
	cluster.Stop(0)
	cluster.Stop(1)
	left := cluster.Servers()[2]
	// It may have been handed the lead, and notices after ten seconds that nobody follows.
	for led := time.Now(); time.Since(led) < 15*time.Second; <-time.After(50 * time.Millisecond) {
		if left.JetStreamIsStreamLeader("$G", eventStream) || left.JetStreamIsLeader() {
			led = time.Now()
		}
	}
	const silent = "no server has answered for the stream EVENTS for "
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"verify"}, silent},
		{[]string{"verify", "--each-replica"}, silent},
		{[]string{"backup", "c"}, silent},
		{[]string{"backup", "--keep", "2", "kept"}, silent},
		{[]string{"restore", "b"}, silent},
		{[]string{"events", "history", "order", "o-1"}, silent},
		{[]string{"events", "tail"}, silent},
		{[]string{"provision", "--replicas", "3"}, "the NATS servers have not answered for 4s that everything is there"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := once(t, dir, append(c.args, "--timeout", "4s", "--nats-url", left.ClientURL())...)
			if status != service.ExitUnavailable || !strings.Contains(stderr, "orderflow: "+c.says) || !strings.Contains(stderr, "waiting for the ") || stdout != "" {
				t.Errorf("%d\n%s%s", status, stdout, stderr)
			}
		})
	}
	t.Cleanup(func() {
		if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 2 {
			t.Errorf("there are %q (%v), and only b and kept should be", files, err)
		}
	})
}

// A store that falls silent while it is read is not waited for either.
func TestAStoreThatFallsSilentIsNotWaitedFor(t *testing.T) {
	server := esjstest.Server(t)
	store := server.Store(t)
	begun := make(chan struct{})
	go func() {
		<-begun
		server.Stop(0)
	}()
	err := whileAnswering(t.Context(), store, waitingAfter, func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	if exitStatus(err) != service.ExitUnavailable || !strings.Contains(err.Error(), "no server has answered for the stream EVENTS for 3s") {
		t.Error(err)
	}
	if err := whileAnswering(t.Context(), store, waitingAfter, func(context.Context) error { return nil }); err != nil {
		t.Errorf("what is done before it is noticed is done: %v", err)
	}
}

// What was begun, and is not answered any more, says so, too.
func TestSilenceIsExplained(t *testing.T) {
	if err := explainSilence(fmt.Errorf("backup of stream X: %w", context.DeadlineExceeded)); exitStatus(err) != service.ExitUnavailable ||
		!strings.HasPrefix(err.Error(), "backup of stream X: context deadline exceeded: no server answers for it") {
		t.Error(err)
	}
	other, told := errors.New("other"), fail(exitUnsound, "unsound: %w", context.DeadlineExceeded)
	if explainSilence(other) != other || explainSilence(told) != told || explainSilence(nil) != nil { //nolint:errorlint // the same ones
		t.Error("an error that is not about silence is changed")
	}
}

// A server without JetStream has no streams to watch, keep or read, and no server has none at all.
func TestServersWithoutStreamsAreToldApart(t *testing.T) {
	if _, err := readReport([]byte(`{"server":{"name":"n1"},"data":{"disabled":true}}`)); err == nil || !strings.Contains(err.Error(), "n1 has no JetStream") {
		t.Error(err)
	}
	plain := plainServer(t)
	for _, args := range [][]string{{"verify"}, {"backup", filepath.Join(t.TempDir(), "b")}, {"events", "history", "order", "o-1"}, {"events", "tail"}, {"provision"}} {
		for url, want := range map[string]struct {
			status int
			says   string
		}{
			plain:                {exitNoJetStream, "no JetStream"},
			"nats://127.0.0.1:1": {exitNoServer, "no NATS server can be reached at nats://127.0.0.1:1"},
		} {
			timeout := append(args, "--timeout", "4s", "--nats-url", url)
			if args[0] == "provision" {
				timeout = append(timeout, "--wait", "0s")
			}
			if status, stdout, stderr := call(t, timeout...); status != want.status || !strings.Contains(stderr, want.says) || stdout != "" {
				t.Errorf("%q at %s: %d\n%s%s", args, url, status, stdout, stderr)
			}
		}
	}
}
