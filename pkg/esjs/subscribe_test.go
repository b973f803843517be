package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

const subscriptions = "SUBSCRIPTIONS_test"

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
		Name: "test", Codec: codec, Bucket: subscriptions, Lease: 2 * time.Second,
		Query: esjs.Query{Categories: []string{"clock"}},
		Retry: esjs.Backoff{First: time.Millisecond, Max: 5 * time.Millisecond, Attempts: 100},
	}}
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

func TestSubscribeKeepsTheOrderOfEachKey(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	const keys, commits = 20, 25
	got := newHandled(t, keys*commits)
	run := r.start(t, r.cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		switch rand.N(5) {
		case 0:
			return errors.New("try again")
		case 1:
			return esjs.RetryAfter(time.Millisecond, errors.New("too early"))
		case 2:
			if rand.N(3) == 0 {
				panic("a handler may do this")
			}
		}
		got.add(e)
		return nil
	})
	var writers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for range commits {
				if _, err := r.store.Append(context.Background(), clock(fmt.Sprint("k", k)), esjs.Any(), ticked{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	got.wait()
	run.stopped(t)
	for k := range keys {
		if key := fmt.Sprint("k", k); !gapless(got.all[key], commits) {
			t.Errorf("%s: %v", key, got.all[key])
		}
	}
	for _, stream := range []string{"EVENTS", "KV_" + subscriptions} {
		if left := consumers(t, jetStream(t, r.Connect(t)), stream); len(left) > 0 {
			t.Errorf("consumers of %s left: %v", stream, left)
		}
	}
}

func TestSubscribeGoesOnWhereItStopped(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	for range 10 {
		r.tick(t, "a")
		r.tick(t, "b")
	}
	caughtUp := make(chan struct{})
	cfg := r.cfg
	cfg.OnCaughtUp = func() { close(caughtUp) }
	got := newHandled(t, 20)
	run := r.start(t, cfg, got.handle)
	got.wait()
	<-caughtUp
	run.stopped(t)

	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil || len(status) != 1 {
		t.Fatalf("%v %v", status, err)
	}
	if s := status[0]; s.Name != "test" || s.Owner != "" || s.Position.Sequence() != 20 || s.Lag != 0 {
		t.Errorf("%+v", s)
	}

	again := newHandled(t, 2)
	run = r.start(t, r.cfg, again.handle)
	r.tick(t, "a", ticked{1}, ticked{2})
	again.wait()
	run.stopped(t)
	if again.versions("a") != "11 12" || again.versions("b") != "" {
		t.Errorf("a: %s, b: %s", again.versions("a"), again.versions("b"))
	}
}

func TestSubscribeCatchesUpWithAnEmptyStore(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	caughtUp := make(chan struct{})
	cfg.OnCaughtUp = func() { close(caughtUp) }
	run := r.start(t, cfg, newHandled(t, 0).handle)
	select {
	case <-caughtUp:
	case <-time.After(patience):
		t.Error("not caught up")
	}
	run.stopped(t)
}

func TestSubscribeEveryInstance(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Bucket = ""
	for range 5 {
		r.tick(t, "a")
	}
	var runs []*running
	var got []*handled
	for range 3 {
		h := newHandled(t, 6)
		got = append(got, h)
		runs = append(runs, r.start(t, cfg, h.handle))
	}
	r.tick(t, "a")
	for i, run := range runs {
		got[i].wait()
		run.stopped(t)
		if got[i].versions("a") != "1 2 3 4 5 6" {
			t.Errorf("instance %d: %s", i, got[i].versions("a"))
		}
	}
	t.Run("where nothing can be parked a poison event ends the subscription", func(t *testing.T) {
		r.tick(t, "a", unheard{})
		var undecodable *esjs.DecodeError
		if err := r.start(t, cfg, newHandled(t, 0).handle).end(t); !errors.As(err, &undecodable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("unknown types can be skipped", func(t *testing.T) {
		cfg := cfg
		cfg.SkipUnknown = true
		h := newHandled(t, 6)
		run := r.start(t, cfg, h.handle)
		h.wait()
		run.stopped(t)
	})
}

func TestSubscribeBatch(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	const keys, commits = 10, 5
	for range commits {
		for k := range keys {
			r.tick(t, fmt.Sprint("k", k))
		}
	}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	got := newHandled(t, keys*commits)
	var sizes []int
	ended := make(chan error, 1)
	go func() {
		ended <- esjs.SubscribeBatch(ctx, r.store, r.cfg, 4, func(_ context.Context, batch []esjs.Delivery[esjs.Event]) []error {
			sizes = append(sizes, len(batch))
			errs := make([]error, len(batch))
			for i, d := range batch {
				if rand.N(4) == 0 {
					errs[i] = errors.New("this one again")
				} else {
					got.add(d.Events[0])
				}
			}
			return errs
		})
	}()
	got.wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for key, versions := range got.all {
		if !gapless(versions, commits) {
			t.Errorf("%s: %v", key, versions)
		}
	}
	if slices.Max(sizes) > 4 || slices.Max(sizes) == 1 {
		t.Errorf("batches of %v", sizes)
	}
}

func TestSubscribeRefusesABadConfiguration(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	for name, spoil := range map[string]func(*esjs.SubscriptionConfig[esjs.Event]){
		"no name":        func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Name = "" },
		"no codec":       func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Codec = nil },
		"no such bucket": func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Bucket = "NONE" },
		"a bad category": func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Query.Categories = []string{"a.b"} },
	} {
		cfg := r.cfg
		spoil(&cfg)
		if err := esjs.Subscribe(within(t), r.store, cfg, newHandled(t, 0).handle); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
