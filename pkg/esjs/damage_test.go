package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// interleave stores five commits of the accounts a, b and c in turn, and one of d
// at the end. Their notes name them: "a-3.".
func interleave(t *testing.T, store *esjs.Store) (at map[string]esjs.Revision) {
	t.Helper()
	at = map[string]esjs.Revision{}
	keys := slices.Repeat([]string{"a", "b", "c"}, 5)
	for i, key := range append(keys, "d") {
		note := fmt.Sprintf("%s-%d.", key, i/3+1)
		out, err := store.Append(testContext(t), account(key), esjs.Any(), deposited{Amount: 1, Note: note})
		if err != nil {
			t.Fatal(err)
		}
		at[note] = out.Revision
	}
	return at
}

// On a single server nothing can replace what is damaged. Whatever reads it, or
// would have to, says so and names the place.
func TestDamageIsNamed(t *testing.T) {
	for name, mark := range map[string]string{"in the middle": "b-3.", "the last one of its aggregate": "b-5.", "the last one of the store": "d-6."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := esjstest.Server(t)
			last := interleave(t, d.Store(t))[mark]
			at := last.Position()
			damage(t, d, 0, mark)
			store, id := d.Store(t), account(mark[:1])
			read := func(q esjs.Query) error {
				_, err := versions(store.ReadAll(testContext(t), q))
				return err
			}
			h := newHandler(t, d, store, esjs.HandlerConfig[balance]{})
			for what, err := range map[string]error{
				"the store":    read(esjs.Query{}),
				"a category":   read(esjs.Query{Categories: []string{"account"}}),
				"a stream":     read(esjs.Query{Streams: []esjs.StreamID{id}}),
				"a subscriber": subscribeTo(t, store, 16),
			} {
				if corrupt := (*esjs.CorruptError)(nil); !errors.As(err, &corrupt) || corrupt.Position != at {
					t.Errorf("%s: %v, want a *CorruptError at %s", what, err, at)
				}
			}
			_, readErr := versions(store.Read(testContext(t), id, 0, 0))
			_, loadErr := h.Load(testContext(t), id.Key, esjs.Fresh())
			_, handleErr := h.Handle(testContext(t), id.Key, 0)
			for what, err := range map[string]error{"read": readErr, "load": loadErr, "handle": handleErr} {
				if corrupt := (*esjs.CorruptError)(nil); !errors.As(err, &corrupt) || corrupt.Stream != id {
					t.Errorf("%s: %v, want a *CorruptError of %s", what, err, id)
				}
			}
			// A commit that follows it is refused, and nobody waits for what cannot be.
			_, err := store.Append(testContext(t), id, esjs.AtRevision(last), deposited{})
			if corrupt := (*esjs.CorruptError)(nil); name != "in the middle" && !errors.As(err, &corrupt) {
				t.Errorf("an append to what cannot be read: %v", err)
			}
			// The server takes what expects no stream, because it finds none.
			if _, err = store.Append(testContext(t), id, esjs.NoStream(), deposited{}); err == nil {
				err = read(esjs.Query{Streams: []esjs.StreamID{id}})
			}
			if err == nil {
				t.Error("the aggregate begins again, and its reader does not notice")
			}
		})
	}
}

// On a cluster the other replicas have it: what a damaged one leaves out is read
// from the leader.
func TestDamageOfAReplicaIsMended(t *testing.T) {
	t.Parallel()
	d := esjstest.Cluster(t)
	store := d.Store(t)
	interleave(t, store)
	for _, mark := range []string{"b-3.", "b-5."} {
		damage(t, d, (d.Leader(t, "EVENTS")+1)%3, mark)
	}
	for range 12 { // the consumer of each is on another replica
		for name, c := range map[string]struct {
			query esjs.Query
			want  int
		}{
			"the store":  {esjs.Query{}, 16},
			"a category": {esjs.Query{Categories: []string{"account"}}, 16},
			"a stream":   {esjs.Query{Streams: []esjs.StreamID{account("b")}}, 5},
		} {
			if got, err := versions(store.ReadAll(testContext(t), c.query)); err != nil || len(got) != c.want {
				t.Fatalf("%s: %d events, %v, want %d", name, len(got), err, c.want)
			}
		}
		if err := subscribeTo(t, store, 16); !errors.Is(err, errEnough) {
			t.Fatalf("a subscriber: %v", err)
		}
	}
}

// subscribeTo handles the events of all accounts until there were so many, and
// returns errEnough then.
func subscribeTo(t *testing.T, store *esjs.Store, events int) error {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited](), esjs.TypeOf[esjs.Event, closed]())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(testContext(t))
	defer cancel(nil)
	handled := make(chan struct{}, 100)
	go func() {
		for range events {
			select {
			case <-handled:
			case <-ctx.Done():
				return
			}
		}
		cancel(errEnough)
	}()
	err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
		Name: "damage", EveryInstance: true, Codec: codec, Query: esjs.Query{Categories: []string{"account"}},
	}, func(context.Context, esjs.Recorded[esjs.Event]) error { handled <- struct{}{}; return nil })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
