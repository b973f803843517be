package esjs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// A server that is left of three tells what a stream is, and nobody can read or write it: that is no answer.
func TestAStreamWithoutALeaderIsNotWell(t *testing.T) {
	t.Parallel()
	cluster := esjstest.Cluster(t)
	cfg := esjs.Config{Replicas: 3, MaxBytes: 64 << 20}
	if err := esjs.Provision(testContext(t), cluster.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	left := cluster.Servers()[2]
	store, err := esjs.Open(testContext(t), esjs.DialURL(left.ClientURL()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Check(testContext(t)); err != nil {
		t.Errorf("with all servers: %v", err)
	}
	cluster.Stop(0)
	cluster.Stop(1)
	js, err := jetstream.New(store.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for { // It is silent until it knows that the others are gone.
		attempt, cancel := context.WithTimeout(testContext(t), time.Second)
		stream, err := js.Stream(attempt, "EVENTS")
		cancel()
		if err == nil && stream.CachedInfo().Cluster.Leader == "" {
			break
		}
	}
	ctx, cancel := context.WithTimeout(testContext(t), 2*time.Second)
	defer cancel()
	if err := store.Check(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "it may have no leader") {
		t.Errorf("check: %v", err)
	}
	if _, err := esjs.Open(ctx, esjs.DialURL(left.ClientURL()), cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
}
