// Package servicetest is what the tests of services have in common: a house with
// a real nats-server, in which services run and are asked, and in which what they
// store is seen.
package servicetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Patience bounds every wait: much longer than anything takes on a loaded machine.
const Patience = 3 * time.Minute

// House is an empty store on a server of the test's own. All that it starts
// ends with the test, and all that fails fails the test.
type House[E esjs.Event] struct {
	T      testing.TB
	Server *esjstest.Deployment
	Store  *esjs.Store // the test's own, and that of the services in [House.Env]
	NC     *nats.Conn  // of those who ask
	Codec  *esjs.Codec[E]
}

// New opens a house for events of the types, with KV buckets of the names.
func New[E esjs.Event, T esjs.EventTypeFields[E]](t testing.TB, types []T, buckets ...string) *House[E] {
	t.Helper()
	return On(esjstest.Server(t), t, types, buckets...)
}

// On opens a house as [New] does, on a server or a cluster.
func On[E esjs.Event, T esjs.EventTypeFields[E]](server *esjstest.Deployment, t testing.TB, types []T, buckets ...string) *House[E] {
	t.Helper()
	h := &House[E]{T: t, Server: server, Store: server.Store(t), NC: server.Connect(t)}
	h.Check(service.ProvisionQueue(t.Context(), server.Dial(), server.Config().Replicas))
	for _, bucket := range buckets {
		h.Check(esjs.ProvisionBucket(t.Context(), server.Dial(), bucket, server.Config().Replicas))
	}
	var err error
	h.Codec, err = esjs.NewCodecFrom(types)
	h.Check(err)
	return h
}

// Check ends the test unless err is nil.
func (h *House[E]) Check(err error) {
	if err != nil {
		h.T.Helper()
		h.T.Fatal(err)
	}
}

// Env is what a service is given to run in the house. It logs warnings to the test.
func (h *House[E]) Env(name string) *service.Env {
	return &service.Env{
		Name: name, Dial: h.Server.Dial(), Store: h.Store,
		Log:     zerolog.New(zerolog.NewTestWriter(h.T)).Level(zerolog.WarnLevel),
		Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}
}

// Run starts a service, or a part of one, and what stops it and waits for its end.
func (h *House[E]) Run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.T.Errorf("Run ended with: %v", err)
		}
	})
	h.T.Cleanup(stop)
	return stop
}

// Ready waits until a service is ready.
func (h *House[E]) Ready(env *service.Env) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.T.Context(), Patience)
	defer cancel()
	h.Check(env.Health.Wait(ctx))
}

// Until waits for a condition that nothing announces.
func (h *House[E]) Until(what string, condition func() bool) {
	h.T.Helper()
	for deadline := time.After(Patience); !condition(); {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			h.T.Fatalf("%s: not within %s", what, Patience)
		}
	}
}

// Append stores events of one stream, whatever it holds.
func (h *House[E]) Append(category, key string, list ...E) {
	h.T.Helper()
	stored := make([]esjs.Event, len(list))
	for i, e := range list {
		stored[i] = e
	}
	_, err := h.Store.Append(h.T.Context(), esjs.StreamID{Category: category, Key: key}, esjs.Any(), stored...)
	h.Check(err)
}

// History is what a stream holds.
func (h *House[E]) History(category, key string) (history []esjs.Recorded[E]) {
	h.T.Helper()
	for record, err := range h.Store.Read(h.T.Context(), esjs.StreamID{Category: category, Key: key}, 1, 0) {
		if errors.Is(err, esjs.ErrNotFound) {
			return nil
		}
		h.Check(err)
		e, err := h.Codec.Decode(record)
		h.Check(err)
		history = append(history, e)
	}
	return history
}

// Types are the names of events.
func Types[E esjs.Event](history []esjs.Recorded[E]) []string {
	names := make([]string, len(history))
	for i, e := range history {
		names[i] = e.Type
	}
	return names
}

// Feed is what is stored, one event after the other.
type Feed[E esjs.Event] struct {
	t      testing.TB
	events chan esjs.Recorded[E]
}

// Follow feeds what the query asks for, from the first event on. At most 1,000
// events may wait to be read.
func (h *House[E]) Follow(query esjs.Query) *Feed[E] {
	f := &Feed[E]{t: h.T, events: make(chan esjs.Recorded[E], 1000)}
	h.Run(func(ctx context.Context) error {
		return esjs.Subscribe(ctx, h.Store, esjs.SubscriptionConfig[E]{
			Name: "test", EveryInstance: true, Codec: h.Codec, Query: query, Workers: 1,
		}, func(ctx context.Context, e esjs.Recorded[E]) error {
			select {
			case f.events <- e:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
	})
	return f
}

// Find reads the feed until an event matches, and returns that.
func (f *Feed[E]) Find(what string, match func(esjs.Recorded[E]) bool) esjs.Recorded[E] {
	f.t.Helper()
	var seen []esjs.Recorded[E]
	for deadline := time.After(Patience); ; {
		select {
		case e := <-f.events:
			if match(e) {
				return e
			}
			seen = append(seen, e)
		case <-deadline:
			f.t.Fatalf("%s: not within %s, but %v", what, Patience, Types(seen))
		}
	}
}

// As returns e as a T, and ends the test when it is of another type.
func As[T esjs.Event](t testing.TB, e esjs.Event) T {
	t.Helper()
	typed, ok := e.(T)
	if !ok {
		t.Fatalf("got %T%+v, not a %T", e, e, typed)
	}
	return typed
}
