package esjstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// heard is what a handler was given, by aggregate.
type heard struct {
	mu       sync.Mutex
	versions map[esjs.StreamID][]uint64
	events   int
}

func (h *heard) handle(_ context.Context, e esjs.Recorded[esjs.Event]) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.versions == nil {
		h.versions = map[esjs.StreamID][]uint64{}
	}
	h.versions[e.Stream] = append(h.versions[e.Stream], e.Version)
	h.events++
	return nil
}

// stopAfter ends a subscription when n events were handled.
func (h *heard) stopAfter(n int, stop func()) Handler[esjs.Event] {
	return func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		err := h.handle(ctx, e)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.events == n {
			stop()
		}
		return err
	}
}

// opens opens every one of some doors n times.
func opens(t *testing.T, store *esjs.Store, doors, n int) {
	t.Helper()
	for range n {
		for i := range doors {
			if _, err := store.Append(t.Context(), esjs.StreamID{Category: "door", Key: fmt.Sprint("d-", i)}, esjs.Any(), opened{"a"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var deliveryFaults = map[string]func(*Faults, int){
	"twice":        (*Faults).DeliverTwice,
	"out of order": (*Faults).DeliverOutOfOrder,
	"late":         (*Faults).DeliverLate,
	"not at all":   (*Faults).LoseDeliveries,
}

// Whatever becomes of deliveries, a subscription hands over every event once,
// those of an aggregate in order.
func TestSubscriptionsSurviveDeliveries(t *testing.T) {
	for deployment, start := range map[string]func(testing.TB, ...Option) *Deployment{"R1": Server, "R3": Cluster} {
		d := start(t)
		beside := d.Store(t)
		const keys, times, faults = 5, 20, 12
		opens(t, beside, keys, times)
		for what, arm := range deliveryFaults {
			for selected, query := range map[string]esjs.Query{
				"the whole store": {},
				"one category":    {Categories: []string{"door"}},
				"two streams":     {Streams: []esjs.StreamID{{Category: "door", Key: "d-1"}, {Category: "door", Key: "d-3"}}},
			} {
				t.Run(deployment+", "+selected+", "+what, func(t *testing.T) {
					t.Parallel()
					f := d.Faults()
					store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(store.Close)
					arm(f, faults)
					want := keys * times
					if len(query.Streams) > 0 {
						want = len(query.Streams) * times
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					var got heard
					err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
						Name: "doors", EveryInstance: true, Codec: doors(t).Codec, Query: query,
					}, got.stopAfter(want, cancel))
					if err != nil {
						t.Fatal(err)
					}
					var ordered []uint64
					for n := range uint64(times) {
						ordered = append(ordered, n+1)
					}
					for id, versions := range got.versions {
						if !slices.Equal(versions, ordered) {
							t.Errorf("%s: handled were the versions %v", id, versions)
						}
					}
					if got.events != want || f.Armed() != 0 {
						t.Errorf("%d events, want %d; %d faults did not come", got.events, want, f.Armed())
					}
				})
			}
		}
	}
}

// A projection shows each event once, whatever becomes of deliveries.
func TestProjectionsSurviveDeliveries(t *testing.T) {
	t.Parallel()
	d := Server(t)
	if err := esjs.ProvisionBucket(t.Context(), d.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	beside, f := d.Store(t), d.Faults()
	opens(t, beside, 3, 20)
	store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for _, arm := range deliveryFaults {
		arm(f, 4)
	}
	sink := kvsink.New(store, "VIEWS")
	GivenProjection(t, store, sink, counting(t), countsOf(sink, "d-0", "d-1", "d-2")).
		Given(door1, opened{"a"}, opened{"a"}).
		Then(map[string]int{"d-0": 20, "d-1": 22, "d-2": 20})
	if f.Armed() != 0 {
		t.Errorf("%d faults did not come", f.Armed())
	}
}

// A process takes each input once, in order, whatever becomes of deliveries.
func TestProcessesSurviveDeliveries(t *testing.T) {
	t.Parallel()
	d := Server(t)
	for _, bucket := range []string{"SUBSCRIPTIONS", "INSTANCES"} {
		if err := esjs.ProvisionBucket(t.Context(), d.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := esjs.ProvisionTimers(t.Context(), d.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	beside, f := d.Store(t), d.Faults()
	const keys, times = 5, 4
	for range times {
		opens(t, beside, keys, 1)
		for i := range keys {
			if _, err := beside.Append(t.Context(), esjs.StreamID{Category: "door", Key: fmt.Sprint("d-", i)}, esjs.Any(), closed{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	store, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	guard := watch(t)
	apply := guard.Apply
	guard.Apply = func(w watchState, e esjs.Event) watchState { // one that never ends
		w = apply(w, e)
		w.Ended = false
		return w
	}
	runner, err := esjs.NewProcess(t.Context(), store, guard, esjs.ProcessConfig{Service: "test", Bucket: "SUBSCRIPTIONS", Instances: "INSTANCES"})
	if err != nil {
		t.Fatal(err)
	}
	for _, arm := range deliveryFaults {
		arm(f, 5)
	}
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(running) }()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got heard
	types := map[string]string{}
	err = esjs.Subscribe(ctx, beside, esjs.SubscriptionConfig[esjs.Event]{
		Name: "watches", EveryInstance: true, Codec: guard.Out, Query: esjs.Query{Categories: []string{"watch"}}, Workers: 1,
	}, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		types[e.Stream.Key] += e.Type + " "
		return got.stopAfter(keys*times*2, cancel)(ctx, e)
	})
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if got, want := types[fmt.Sprint("d-", i)], strings.Repeat("Watched Relieved ", times); got != want {
			t.Errorf("door %d: %s, want %s", i, got, want)
		}
	}
	if got.events != keys*times*2 || f.Armed() != 0 {
		t.Errorf("%d events; %d faults did not come", got.events, f.Armed())
	}
}

// counting counts how often each door was opened.
func counting(t testing.TB) esjs.Projection[*kvsink.Tx, esjs.Event] {
	return esjs.Projection[*kvsink.Tx, esjs.Event]{
		Name: "counts", Version: 1, Codec: codecOf(t, esjs.TypeOf[esjs.Event, opened]()),
		Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[esjs.Event]) error {
			if strings.HasPrefix(e.Event.(opened).Name, "broken") {
				return fmt.Errorf("the door is broken")
			}
			return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(n int) (int, error) { return n + 1, nil })
		},
	}
}

func countsOf(sink *kvsink.Sink, keys ...string) func(context.Context) (map[string]int, error) {
	return func(ctx context.Context) (map[string]int, error) {
		counts := map[string]int{}
		for _, key := range keys {
			var n int
			if _, err := sink.Get(ctx, "counts_v1", key, &n); err != nil {
				return nil, err
			}
			counts[key] = n
		}
		return counts, nil
	}
}
