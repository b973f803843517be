package esjs_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

type ticked struct {
	N int `json:"n"`
}

func (ticked) EventType() string { return "Ticked" }

type unheard struct{}

func (unheard) EventType() string { return "Unheard" }

// rig is a store with a bucket, and a subscription's usual configuration.
type rig struct {
	*esjstest.Deployment
	store *esjs.Store
	cfg   esjs.SubscriptionConfig[esjs.Event]
}

func newRig(t testing.TB, d *esjstest.Deployment) *rig {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, ticked]())
	if err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionBucket(within(t), d.Dial(), subscriptions, d.Replicas()); err != nil {
		t.Fatal(err)
	}
	return &rig{d, d.Store(t), esjs.SubscriptionConfig[esjs.Event]{
		Name: "test", Codec: codec, Bucket: subscriptions, Lease: 20 * time.Second,
		Query: esjs.Query{Categories: []string{"clock"}},
		Retry: esjs.Backoff{First: time.Millisecond, Max: 5 * time.Millisecond, Attempts: 100},
	}}
}

// subscription is that of the usual configuration, as an operator has it.
func (r *rig) subscription() esjs.Subscription {
	return esjs.Subscription{Store: r.store, Bucket: subscriptions, Name: "test"}
}

func clock(key string) esjs.StreamID { return esjs.StreamID{Category: "clock", Key: key} }

// tick appends one commit.
func (r *rig) tick(t testing.TB, key string, events ...esjs.Event) {
	t.Helper()
	if len(events) == 0 {
		events = []esjs.Event{ticked{}}
	}
	if _, err := r.store.Append(within(t), clock(key), esjs.Any(), events...); err != nil {
		t.Fatal(err)
	}
}

// handled records what a handler has finished, and complains about what is out
// of order: within one run a key's versions follow each other.
type handled struct {
	t  testing.TB
	mu sync.Mutex
	// all holds the versions of each key in the order in which they were handled.
	all  map[string][]uint64
	n    int
	want int
	done chan struct{}
}

func newHandled(t testing.TB, want int) *handled {
	return &handled{t: t, all: map[string][]uint64{}, want: want, done: make(chan struct{})}
}

func (h *handled) add(r esjs.Recorded[esjs.Event]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := r.Stream.Key
	h.all[key] = append(h.all[key], r.Version)
	if h.n++; h.n == h.want {
		close(h.done)
	}
}

// handle is a handler that always succeeds.
func (h *handled) handle(_ context.Context, r esjs.Recorded[esjs.Event]) error {
	h.add(r)
	return nil
}

func (h *handled) wait() {
	h.t.Helper()
	select {
	case <-h.done:
	case <-time.After(patience):
		h.mu.Lock()
		defer h.mu.Unlock()
		h.t.Fatalf("handled %d of %d", h.n, h.want)
	}
}

// versions returns what a key's handler got, "1 2 3".
func (h *handled) versions(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Trim(fmt.Sprint(h.all[key]), "[]")
}

// gapless tells that versions go up by one from 1 to n.
func gapless(versions []uint64, n int) bool {
	for i, v := range versions {
		if v != uint64(i+1) {
			return false
		}
	}
	return len(versions) == n
}

// running is a subscription in the background.
type running struct {
	stop  context.CancelFunc
	ended chan error
}

func (r *rig) start(t testing.TB, cfg esjs.SubscriptionConfig[esjs.Event], handle func(context.Context, esjs.Recorded[esjs.Event]) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{cancel, make(chan error, 1)}
	go func() { run.ended <- esjs.Subscribe(ctx, r.store, cfg, handle) }()
	t.Cleanup(cancel)
	return run
}

// stopped stops a subscription and waits for its end.
func (r *running) stopped(t testing.TB) {
	t.Helper()
	r.stop()
	if err := r.end(t); err != nil {
		t.Errorf("a stopped subscription returned %v", err)
	}
}

func (r *running) end(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the subscription did not end")
		return nil
	}
}

// eventually waits for a condition that nobody signals.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}
