package esjstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var (
	counterA = counter("a")
	counterB = counter("b")
	memoA    = esjs.StreamID{Category: "memo", Key: "a"}
	listA    = esjs.StreamID{Category: "list", Key: "a"}
)

// known stores a small known history, one commit an hour, and returns the
// position after each, and what all events are.
func known(t testing.TB, store *esjs.Store, start time.Time) (after []esjs.Position, all []string) {
	t.Helper()
	var at esjs.Position
	for i, w := range []esjs.Write{
		{Stream: counterA, Events: []esjs.Event{counted{N: 1}, emptied{}}},
		write(memoA, esjs.Any(), 2),
		{Stream: counterB, Events: []esjs.Event{emptied{}}},
		write(listA, esjs.Any(), 3),
		write(counterA, esjs.Any(), 4),
		{Stream: memoA, Events: []esjs.Event{emptied{}, counted{N: 5}}},
	} {
		w.Expect, w.Time = esjs.Any(), start.Add(time.Duration(i)*time.Hour)
		stored, err := store.AppendWrite(bounded(t), w)
		if err != nil {
			t.Fatal(err)
		}
		at = at.Later(stored.Revision.Position())
		after = append(after, at)
	}
	return after, []string{
		"counter/a 1", "counter/a 2", "memo/a 1", "counter/b 1", "list/a 1", "counter/a 3", "memo/a 2", "memo/a 3",
	}
}

// places names events shortly: "counter/a 1".
func places(read []esjs.Record) (all []string) {
	for _, r := range read {
		all = append(all, fmt.Sprintf("%s %d", r.Stream, r.Version))
	}
	return all
}

var readAllClauses = []clause{
	{"ReadAll iterates the selected events in the store's order, each once", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		if got := records(t, store.ReadAll(bounded(t), esjs.Query{})); got != nil {
			t.Errorf("an empty store has %v", places(got))
		}
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		at, all := known(t, store, start)
		for name, c := range map[string]struct {
			query esjs.Query
			want  []string
		}{
			"all":                       {esjs.Query{}, all},
			"a category":                {esjs.Query{Categories: []string{"counter"}}, []string{all[0], all[1], all[3], all[5]}},
			"two categories":            {esjs.Query{Categories: []string{"memo", "list"}}, []string{all[2], all[4], all[6], all[7]}},
			"a category without events": {esjs.Query{Categories: []string{"none"}}, nil},
			"a stream":                  {esjs.Query{Streams: []esjs.StreamID{counterB}}, all[3:4]},
			"a stream and a category":   {esjs.Query{Streams: []esjs.StreamID{counterB, listA}, Categories: []string{"list"}}, all[3:5]},
			"types":                     {esjs.Query{Types: []string{"Emptied"}}, []string{all[1], all[3], all[6]}},
			"after":                     {esjs.Query{After: at[3]}, all[5:]},
			"after the last":            {esjs.Query{After: at[5]}, nil},
			"until":                     {esjs.Query{Until: at[1]}, all[:3]},
			"after and until":           {esjs.Query{After: at[0], Until: at[3], Categories: []string{"counter"}}, all[3:4]},
			"until before after":        {esjs.Query{After: at[3], Until: at[1]}, nil},
			"since":                     {esjs.Query{Since: start.Add(4 * time.Hour)}, all[5:]},
			"before":                    {esjs.Query{Before: start.Add(time.Hour)}, all[:2]},
			"since and before":          {esjs.Query{Since: start.Add(time.Hour), Before: start.Add(4 * time.Hour)}, all[2:5]},
			"limit":                     {esjs.Query{Limit: 1}, all[:1]},
			"limit of what is selected": {esjs.Query{Limit: 2, Types: []string{"Emptied"}}, []string{all[1], all[3]}},
			"limit above all":           {esjs.Query{Limit: 100}, all},
		} {
			if got := places(records(t, store.ReadAll(bounded(t), c.query))); !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
	}},

	{"It ends at what was last when it was called, as the leader knew it", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		_, all := known(t, store, time.Now())
		var read []string
		for r, err := range store.ReadAll(bounded(t), esjs.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, places([]esjs.Record{r})...)
			add(t, store, counterB, esjs.Any(), 9) // each event that is read makes one more
		}
		if !slices.Equal(read, all) {
			t.Errorf("read are %v, want what was there: %v", read, all)
		}
	}},

	{"It leaves nothing behind on the server, also when it is left early", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		known(t, store, time.Now())
		for range 5 {
			for r, err := range store.ReadAll(bounded(t), esjs.Query{}) {
				if err != nil || r.Version != 1 {
					t.Fatalf("got %+v, %v", r, err)
				}
				break
			}
			ctx, cancel := context.WithCancel(bounded(t))
			for _, err := range store.ReadAll(ctx, esjs.Query{Categories: []string{"counter"}}) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatalf("a canceled context: %v", err)
				}
				cancel()
			}
			cancel()
			if _, err := recordsOr(store.ReadAll(ctx, esjs.Query{})); !errors.Is(err, context.Canceled) {
				t.Fatalf("a context that was canceled before: %v", err)
			}
		}
		for wait := time.Duration(0); wait < 4*time.Millisecond; wait += 50 * time.Microsecond {
			ctx, cancel := context.WithTimeout(bounded(t), wait)
			if _, err := recordsOr(store.ReadAll(ctx, esjs.Query{})); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a context that ended after %v: %v", wait, err)
			}
			cancel()
		}
		s.wantNoConsumers(t, store)
	}},

	{"It goes on where it was when the connection or the leader is lost", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		const commits = 1200
		tick := s.many(t, commits)
		for name, c := range map[string]struct {
			query esjs.Query
			fail  func()
		}{
			"connection": {esjs.Query{}, f.Disconnect}, "connection, a category": {esjs.Query{Categories: []string{"counter"}}, f.Disconnect},
			"leader": {esjs.Query{}, func() { s.Restart(t) }},
		} {
			read := 0
			for r, err := range store.ReadAll(bounded(t), c.query) {
				if err != nil {
					t.Fatalf("%s: after %d events: %v", name, read, err)
				}
				if want := tick(read); string(r.Data) != want {
					t.Fatalf("%s: event %d is %s, want %s", name, read, r.Data, want)
				}
				if read++; read == 100 {
					c.fail()
				}
			}
			if read != commits {
				t.Fatalf("%s: %d events are read, want %d", name, read, commits)
			}
		}
	}},

	{"What is missing is read from the leader, or is a *CorruptError that names the place", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		add(t, store, counterA, esjs.NoStream(), 1)
		s.publish(t, store, counterA, commitBody(t, "a", 3, 1)) // version 2 is missing
		add(t, store, memoA, esjs.NoStream(), 1)
		s.publish(t, store, memoA, []byte(`[]`))
		for id, at := range map[esjs.StreamID]uint64{counterA: 2, memoA: 4} {
			for name, q := range map[string]esjs.Query{
				"category": {Categories: []string{id.Category}}, "stream": {Streams: []esjs.StreamID{id}},
			} {
				read, err := recordsOr(store.ReadAll(bounded(t), q))
				if !slices.Equal(versions(read), []uint64{1}) {
					t.Errorf("%s %s: %v was read before the damage", name, id, places(read))
				}
				wantCorrupt(t, err, id, at)
			}
		}
		read, err := recordsOr(store.ReadAll(bounded(t), esjs.Query{}))
		if len(read) == 4 || err == nil {
			t.Errorf("all: %v, %v", places(read), err)
		}
	}},

	{"The first error ends the iteration: ErrConfig or ErrInvalid for a query that cannot be, *CorruptError, ctx's error, and what the connection says", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		add(t, store, counterA, esjs.NoStream(), 1)
		for name, q := range map[string]esjs.Query{
			"a bad category": {Categories: []string{"a.b"}}, "a bad key": {Streams: []esjs.StreamID{{Category: "counter"}}}, "a limit": {Limit: -1},
		} {
			calls := 0
			for _, err := range store.ReadAll(bounded(t), q) {
				if calls++; !errors.Is(err, esjs.ErrInvalid) && !errors.Is(err, esjs.ErrConfig) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if calls != 1 {
				t.Errorf("%s: %d calls", name, calls)
			}
		}
		store.Close()
		if _, err := recordsOr(store.ReadAll(bounded(t), esjs.Query{})); err == nil {
			t.Error("a closed store can be read")
		}
	}},
}

// many stores so many commits of 50 counters and returns what each is.
func (s *storeSuite) many(t testing.TB, commits int) func(int) string {
	t.Helper()
	store := s.open(t)
	start := time.Now()
	for n := 0; n < commits; {
		writes := map[int][]esjs.Write{}
		for range 50 {
			w := write(counter(fmt.Sprint(n%50)), esjs.Any(), n)
			w.Time = start.Add(time.Duration(n) * time.Microsecond) // the order in which partitions are read together
			p := esjs.Partition(w.Stream.Key, s.Config.Partitions)
			writes[p] = append(writes[p], w)
			n++
		}
		for _, writes := range writes {
			if _, err := store.AppendAll(bounded(t), writes...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) }
}

var lastClauses = []clause{
	{"Last returns the position of the store's last commit as the leader knows it, the zero Position when there is none", func(t *testing.T, s *storeSuite) {
		store, other := s.open(t), s.open(t)
		wantNothingStored(t, store)
		var want esjs.Position
		for i := range 20 {
			want = want.Later(add(t, store, counter(fmt.Sprint(i)), esjs.NoStream(), 1).Position())
			if last, err := other.Last(bounded(t)); err != nil || last != want {
				t.Fatalf("the last position is %v, %v, want %v", last, err, want)
			}
		}
	}},
}
