package esjstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var appendWriteClauses = []clause{
	{"AppendWrite stores one commit with the metadata and the time that the write has", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		w := write(counter("a"), esjs.NoStream(), 1, 2)
		w.Metadata = esjs.Metadata{CorrelationID: "c", Actor: "ü"}
		w.Time = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
		before := f.Requests()
		out, err := store.AppendWrite(bounded(t), w)
		if err != nil || out.Revision.Version() != 2 || len(out.EventIDs) != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
		if n := f.Requests() - before; n != 1 {
			t.Errorf("it took %d requests", n)
		}
		for i, r := range records(t, s.open(t).Read(bounded(t), counter("a"), 0, 0)) {
			if r.Position != out.Revision.Position() || r.ID != out.EventIDs[i] || !r.Time.Equal(w.Time) || r.Metadata.CorrelationID != "c" || r.Metadata.Actor != "ü" {
				t.Errorf("event %d is read as %+v", i+1, r)
			}
		}
	}},

	{"A guard made by Unchanged is refused with ErrInvalid", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		if _, err := store.AppendWrite(bounded(t), esjs.Unchanged(counter("a"), esjs.Revision{})); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
		wantNothingStored(t, store)
	}},
}

var appendClauses = []clause{
	{"Append stores the events as one commit of the aggregate, whole or not at all, in one round trip", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		at := add(t, store, counter("a"), esjs.NoStream(), 1)
		for _, size := range []int{1, 10, 100} {
			takes(t, f, fmt.Sprintf("a commit of %d events", size), 1, 1, func(int) {
				at = add(t, store, counter("a"), esjs.AtRevision(at), make([]int, size)...)
			})
			read := records(t, s.open(t).Read(bounded(t), counter("a"), at.Version()-uint64(size)+1, 0))
			if len(read) != size || read[0].Position != at.Position() || read[size-1].Position != at.Position() {
				t.Fatalf("%d of %d events are read, the first at %s and the commit at %s", len(read), size, read[0].Position, at.Position())
			}
		}
	}},

	{"Where expect is ExpectVersion, Any or a revision that was parsed, it reads the aggregate's last commit first", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		at := add(t, store, counter("a"), esjs.NoStream(), 1)
		for _, expect := range []func(esjs.Revision) esjs.Expectation{
			func(r esjs.Revision) esjs.Expectation { return esjs.ExpectVersion(r.Version()) },
			func(esjs.Revision) esjs.Expectation { return esjs.Any() },
			func(r esjs.Revision) esjs.Expectation { return esjs.AtRevision(parsed(t, r)) },
		} {
			takes(t, f, "it", 2, 3, func(int) { at = add(t, store, counter("a"), expect(at), 1) })
		}
		if got := numbers(t, store, counter("a")); len(got) != int(at.Version()) {
			t.Fatalf("%d events are read of %d", len(got), at.Version())
		}
	}},

	{"Events are read back as they were given, under versions without a gap and times that never decrease", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("Ä/1")
		at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
		m := esjs.Metadata{
			CorrelationID: "c", CausationID: "ü \" \x01", CommandID: "d", Actor: "e", CommandHash: "h",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Extensions: map[string]string{"tenant": "x", "a1": ""},
		}
		written, err := store.AppendWrite(bounded(t), esjs.Write{Stream: id, Events: []esjs.Event{counted{7, "a\n<b>"}, emptied{}}, Metadata: m, Time: at})
		if err != nil {
			t.Fatal(err)
		}
		later, err := store.AppendWrite(bounded(t), esjs.Write{Stream: id, Expect: esjs.AtRevision(written.Revision), Events: counts(8), Time: at.Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		read := records(t, s.open(t).Read(bounded(t), id, 0, 0))
		if len(read) != 3 {
			t.Fatalf("%d events are read", len(read))
		}
		ids := append(written.EventIDs, later.EventIDs...)
		for i, want := range []struct{ kind, data string }{{"Counted", `{"n":7,"note":"a\n<b>"}`}, {"Emptied", `{}`}, {"Counted", `{"n":8}`}} {
			r := read[i]
			if r.Type != want.kind || string(r.Data) != want.data || r.ID != ids[i] || r.Stream != id || r.Version != uint64(i+1) ||
				!r.Time.Equal(at) || r.SchemaVersion != 1 {
				t.Errorf("event %d is read as %+v", i+1, r)
			}
			if i == 2 {
				continue
			}
			got := r.Metadata
			if i > 0 {
				got.CommandHash = m.CommandHash // with the first event of a commit only
			}
			if !maps.Equal(got.Extensions, m.Extensions) {
				t.Errorf("event %d has the extensions %v", i+1, got.Extensions)
			}
			got.Extensions = nil
			if want := m; fmt.Sprint(got) != fmt.Sprint(esjs.Metadata{
				CorrelationID: want.CorrelationID, CausationID: want.CausationID, CommandID: want.CommandID,
				Actor: want.Actor, TraceParent: want.TraceParent, CommandHash: want.CommandHash,
			}) {
				t.Errorf("event %d has the metadata %+v", i+1, got)
			}
		}
	}},

	{"An aggregate that is not as expected is a *ConflictError, which tells the version that it is at", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("a")
		_, err := store.Append(bounded(t), id, esjs.ExpectVersion(1), counts(9)...)
		wantConflict(t, err, id, 1, 0)
		first := add(t, store, id, esjs.NoStream(), 1, 2)
		second := add(t, store, id, esjs.AtRevision(first), 3)
		for _, c := range []struct {
			expect   esjs.Expectation
			expected uint64
		}{
			{esjs.NoStream(), 0}, {esjs.AtRevision(esjs.Revision{}), 0}, {esjs.AtRevision(first), 2}, {esjs.AtRevision(parsed(t, first)), 2},
			{esjs.ExpectVersion(2), 2}, {esjs.ExpectVersion(4), 4}, {esjs.ExpectVersion(0), 0},
		} {
			for _, opened := range []*esjs.Store{store, s.open(t)} {
				_, err := opened.Append(bounded(t), id, c.expect, counts(9)...)
				wantConflict(t, err, id, c.expected, 3)
			}
		}
		add(t, store, id, esjs.AtRevision(second), 4)
		wantNumbers(t, store, id, 1, 2, 3, 4)
	}},

	{"Of writers that expect the same version exactly one succeeds, of those that expect no stream too", func(t *testing.T, s *storeSuite) {
		const writers, rounds = 6, 10
		stores := make([]*esjs.Store, writers)
		for i := range stores {
			stores[i] = s.open(t)
		}
		for round := range rounds {
			errs := make([]error, writers)
			var wg sync.WaitGroup
			for i, store := range stores {
				wg.Go(func() {
					_, errs[i] = store.Append(bounded(t), counter("a"), esjs.ExpectVersion(uint64(round)), counts(i)...)
				})
			}
			wg.Wait()
			winner := -1
			for i, err := range errs {
				if err == nil && winner < 0 {
					winner = i
					continue
				}
				wantConflict(t, err, counter("a"), uint64(round), uint64(round+1))
			}
			if winner < 0 {
				t.Fatalf("round %d: nobody won", round)
			}
			if got := numbers(t, stores[0], counter("a")); len(got) != round+1 || got[round] != winner {
				t.Fatalf("round %d: %d won, and stored are %v", round, winner, got)
			}
		}
	}},

	{"A version inside a commit is one to look at and none to append at", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("a")
		add(t, store, id, esjs.NoStream(), 1, 2, 3)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		inside, err := h.Load(bounded(t), "a", esjs.AtVersion(2))
		if err != nil || inside.State.Sum != 3 || inside.Revision.Version() != 2 {
			t.Fatalf("at version 2: %+v, %v", inside, err)
		}
		for _, w := range []esjs.Write{
			write(id, esjs.AtRevision(inside.Revision), 9), write(id, esjs.AtRevision(parsed(t, inside.Revision)), 9), write(id, esjs.ExpectVersion(2), 9),
			h.Write(inside, esjs.Metadata{}, inside.Time, counted{N: 9}), h.Write(inside, esjs.Metadata{CommandID: "c"}, inside.Time, counted{N: 9}),
		} {
			_, err := store.AppendWrite(bounded(t), w)
			wantConflict(t, err, id, 2, 3)
		}
		wantNumbers(t, store, id, 1, 2, 3)
	}},

	{"A lost request, a lost answer, a false refusal, a lost connection and the loss of the leader change nothing", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		var want []int
		var at esjs.Revision
		for name, arm := range appendFaults(f) {
			for _, expect := range []func() esjs.Expectation{
				func() esjs.Expectation { return esjs.AtRevision(at) },
				func() esjs.Expectation { return esjs.ExpectVersion(at.Version()) },
				esjs.Any,
			} {
				arm()
				n := len(want)
				at = add(t, store, counter("a"), expect(), n, n+1)
				want = append(want, n, n+1)
				if at.Version() != uint64(len(want)) || f.Armed() != 0 {
					t.Fatalf("%s: at version %d of %d, with %d faults that did not come", name, at.Version(), len(want), f.Armed())
				}
			}
		}
		s.Restart(t)
		add(t, store, counter("a"), esjs.AtRevision(at), len(want))
		wantNumbers(t, store, counter("a"), append(want, len(want))...)
	}},

	{"A conflict is final: the refused commit can no longer be stored", func(t *testing.T, s *storeSuite) {
		beside, id := s.open(t), counter("a")
		var at esjs.Revision
		for name := range appendFaults(nil) {
			store, f := s.faulty(t)
			n := int(at.Version())
			var theirs esjs.Revision
			f.BeforeAppend(func() { theirs = add(t, beside, id, esjs.AtRevision(at), n) }) // faster by as little as can be
			appendFaults(f)[name]()
			_, err := store.Append(bounded(t), id, esjs.AtRevision(at), counts(-1)...)
			wantConflict(t, err, id, at.Version(), at.Version()+1)
			at = theirs
			if got := numbers(t, beside, id); len(got) != n+1 || got[n] != n {
				t.Fatalf("%s: stored are %v", name, got)
			}
		}
	}},

	{"When ctx has ended before anything was sent, the error is ctx's, and nothing was stored", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, expect := range []esjs.Expectation{esjs.NoStream(), esjs.Any(), esjs.ExpectVersion(1)} {
			if _, err := store.Append(ctx, counter("a"), expect, counts(1)...); !errors.Is(err, context.Canceled) || errors.Is(err, esjs.ErrUnknownOutcome) {
				t.Fatalf("one commit: %v", err)
			}
			_, err := store.AppendAll(ctx, write(counter("a"), expect, 1), write(counter("b"), expect, 1))
			if !errors.Is(err, context.Canceled) || errors.Is(err, esjs.ErrUnknownOutcome) {
				t.Fatalf("two commits: %v", err)
			}
		}
		wantNothingStored(t, store)
	}},

	{"When it ends later, the error is ErrUnknownOutcome unless the outcome is known", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		beside := s.open(t)
		for name, arm := range map[string]func(int){"stored": f.LoseAcks, "not stored": f.LoseAppends} {
			ctx, cancel := context.WithCancel(t.Context())
			arm(1)
			f.BeforeRequest(2, cancel) // the question what became of it
			_, err := store.Append(ctx, counter(name), esjs.NoStream(), counts(1)...)
			if !errors.Is(err, esjs.ErrUnknownOutcome) || errors.Is(err, esjs.ErrConflict) {
				t.Fatalf("%s: %v, want ErrUnknownOutcome", name, err)
			}
			if got := len(numbers(t, beside, counter(name))); (got == 1) != (name == "stored") {
				t.Fatalf("%s: %d events", name, got)
			}
		}
	}},

	{"What cannot be a commit is refused with ErrInvalid, more than the server takes in one message with ErrTooLarge, and anything with ErrStoreFull by a full store: nothing was stored", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		good := counter("a")
		extension := func(name string) esjs.Metadata { return esjs.Metadata{Extensions: map[string]string{name: "x"}} }
		for name, c := range map[string]struct {
			write esjs.Write
			want  error
		}{
			"no events":         {esjs.Write{Stream: good}, esjs.ErrInvalid},
			"a nil event":       {esjs.Write{Stream: good, Events: []esjs.Event{nil}}, esjs.ErrInvalid},
			"a nil pointer":     {esjs.Write{Stream: good, Events: []esjs.Event{(*counted)(nil)}}, esjs.ErrInvalid},
			"an unnamed event":  {esjs.Write{Stream: good, Events: []esjs.Event{unnamed{}}}, esjs.ErrInvalid},
			"an empty key":      {write(counter(""), esjs.NoStream(), 1), esjs.ErrInvalid},
			"a long key":        {write(counter(strings.Repeat("k", 256)), esjs.NoStream(), 1), esjs.ErrInvalid},
			"a key not UTF-8":   {write(counter("\xff"), esjs.NoStream(), 1), esjs.ErrInvalid},
			"a bad category":    {write(esjs.StreamID{Category: "A.b", Key: "x"}, esjs.Any(), 1), esjs.ErrInvalid},
			"the store's own":   {write(esjs.StreamID{Category: "guard", Key: "x"}, esjs.Any(), 1), esjs.ErrInvalid},
			"a bad extension":   {esjs.Write{Stream: good, Events: counts(1), Metadata: extension("A-b")}, esjs.ErrInvalid},
			"its own extension": {esjs.Write{Stream: good, Events: counts(1), Metadata: extension("sequence")}, esjs.ErrInvalid},
			"text not UTF-8":    {esjs.Write{Stream: good, Events: counts(1), Metadata: esjs.Metadata{Actor: "\xff"}}, esjs.ErrInvalid},
			"too large":         {esjs.Write{Stream: good, Events: []esjs.Event{counted{Note: strings.Repeat("x", 1<<20)}}}, esjs.ErrTooLarge},
		} {
			if _, err := store.AppendWrite(bounded(t), c.write); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if _, err := store.AppendAll(bounded(t), write(counter("b"), esjs.NoStream(), 1), c.write); !errors.Is(err, c.want) {
				t.Errorf("%s, beside another: %v, want %v", name, err, c.want)
			}
		}
		wantNothingStored(t, store)

		full := s.Config
		full.MaxBytes = 8 << 10
		if err := esjs.Provision(bounded(t), s.Dial, full); err != nil {
			t.Fatal(err)
		}
		large := []esjs.Event{counted{Note: strings.Repeat("x", 9<<10)}}
		if _, err := store.Append(bounded(t), good, esjs.NoStream(), large...); !errors.Is(err, esjs.ErrStoreFull) {
			t.Errorf("a full store: %v", err)
		}
		_, err := store.AppendAll(bounded(t), esjs.Write{Stream: good, Events: large}, write(counter("b"), esjs.NoStream(), 1))
		if !errors.Is(err, esjs.ErrStoreFull) {
			t.Errorf("a full store, two commits: %v", err)
		}
		wantNothingStored(t, store)
	}},
}

// unnamed is an event without a type name.
type unnamed struct{}

func (unnamed) EventType() string { return "" }
