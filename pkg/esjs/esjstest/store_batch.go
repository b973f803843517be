package esjstest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var writeClauses = []clause{
	{"A write that is appended again with the same command id, events and expectation is recognised, and answers as it did the first time", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		at := addMany(t, store, near("a"), 3)
		for name, expect := range map[string]esjs.Expectation{
			"no stream": esjs.NoStream(), "revision": esjs.AtRevision(at), "text": esjs.AtRevision(parsed(t, at)),
			"version": esjs.ExpectVersion(3), "any": esjs.Any(),
		} {
			id := near("a")
			if name != "revision" {
				id = near(name)
			}
			if name == "text" || name == "version" || name == "any" {
				at = addMany(t, store, id, 3)
			}
			if name == "text" {
				expect = esjs.AtRevision(parsed(t, at))
			}
			w := write(id, expect, 4, 5)
			w.Metadata = esjs.Metadata{CommandID: "c", CommandHash: "h"}
			first, err := store.AppendWrite(bounded(t), w)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for later := range 3 { // what came after it does not matter
				for _, opened := range []*esjs.Store{store, s.open(t)} {
					again, err := opened.AppendWrite(bounded(t), w)
					if err != nil || again.Revision.String() != first.Revision.String() || !slices.Equal(again.EventIDs, first.EventIDs) {
						t.Fatalf("%s, %d commits later: %+v, %v; the first time %+v", name, later, again, err, first)
					}
				}
				add(t, store, id, esjs.Any(), later)
			}
			before := refresh(t, store, id)
			for _, other := range []func(*esjs.Write){ // as much as differs is another write
				func(w *esjs.Write) { w.Metadata.CommandHash = "another" },
				func(w *esjs.Write) { w.Events = counts(4, 6) },
				func(w *esjs.Write) { w.Metadata.CommandID = "d" },
			} {
				w := w
				other(&w)
				if _, err := store.AppendWrite(bounded(t), w); name != "any" && !errors.Is(err, esjs.ErrConflict) {
					t.Fatalf("%s: another write under the same expectation: %v", name, err)
				}
			}
			if after := refresh(t, store, id); name != "any" && after != before {
				t.Fatalf("%s: at version %d, then %d", name, before, after)
			}
		}
	}},

	{"With Any that holds while it is among the newest 64 commits of the aggregate, which are then read", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		w := write(near("a"), esjs.Any(), 1)
		w.Metadata.CommandID = "c"
		first, err := store.AppendWrite(bounded(t), w)
		if err != nil {
			t.Fatal(err)
		}
		at := first.Revision
		for range 63 {
			at = add(t, store, near("a"), esjs.AtRevision(at), 2)
		}
		again, err := store.AppendWrite(bounded(t), w)
		if err != nil || again.Revision.String() != first.Revision.String() {
			t.Fatalf("63 commits later: %+v, %v; the first time %s", again, err, first.Revision)
		}
	}},
}

var appendAllClauses = []clause{
	{"AppendAll stores commits of several aggregates, all or none of them", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		for _, n := range []int{2, 10, 100} {
			writes := make([]esjs.Write, n)
			for i := range writes {
				writes[i] = write(near(fmt.Sprintf("%d of %d", i, n)), esjs.NoStream(), i)
			}
			out, err := store.AppendAll(bounded(t), writes...)
			if err != nil {
				t.Fatal(err)
			}
			for i := range writes {
				writes[i].Expect = esjs.AtRevision(out[i].Revision)
			}
			// One stale expectation among right ones refuses all of them, wherever it stands.
			for _, stale := range []int{0, n / 2, n - 1} {
				moved := add(t, store, writes[stale].Stream, esjs.Any(), -1)
				_, err := store.AppendAll(bounded(t), writes...)
				wantConflict(t, err, writes[stale].Stream, moved.Version()-1, moved.Version())
				writes[stale].Expect = esjs.AtRevision(moved)
			}
			for _, w := range writes {
				if got := numbers(t, store, w.Stream); slices.Contains(got[1:], got[0]) {
					t.Fatalf("%s has %v", w.Stream, got)
				}
			}
			if _, err := store.AppendAll(bounded(t), writes...); err != nil {
				t.Fatalf("%d aggregates that are as expected: %v", n, err)
			}
		}
		if out, err := store.AppendAll(bounded(t)); err != nil || out != nil {
			t.Fatalf("no writes: %v, %v", out, err)
		}
	}},

	{"One write costs what Append costs", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		takes(t, f, "it", 1, 1, func(try int) {
			if _, err := store.AppendAll(bounded(t), write(near(fmt.Sprint("a", try)), esjs.NoStream(), 1)); err != nil {
				t.Fatal(err)
			}
		})
	}},

	{"The answers are in the order of the writes", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		mixed := []esjs.Write{
			write(near("b"), esjs.NoStream(), 1), write(near("a"), esjs.Any(), 1, 2), write(near("c"), esjs.ExpectVersion(0), 1, 2, 3),
		}
		for round := range uint64(2) {
			out, err := store.AppendAll(bounded(t), mixed...)
			if err != nil || len(out) != 3 {
				t.Fatalf("%d answers, %v", len(out), err)
			}
			for i, w := range mixed {
				read := records(t, store.Read(bounded(t), w.Stream, math.MaxUint64, 1))
				if got := out[i].Revision; got.Version() != (round+1)*uint64(len(w.Events)) || got.Position() != read[0].Position ||
					len(out[i].EventIDs) != len(w.Events) || out[i].EventIDs[len(w.Events)-1] != read[0].ID {
					t.Fatalf("the answer about %s is %s with %v, stored is %+v", w.Stream, got, out[i].EventIDs, read[0])
				}
				mixed[i].Expect = []esjs.Expectation{esjs.AtRevision(out[i].Revision), esjs.Any(), esjs.ExpectVersion(out[i].Revision.Version())}[i]
			}
		}
	}},

	{"Two writes that name one aggregate are refused with ErrInvalid, and so are more than 1000 writes", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		many := make([]esjs.Write, 1001)
		for i := range many {
			many[i] = write(near(fmt.Sprint(i)), esjs.NoStream(), i)
		}
		for name, writes := range map[string][]esjs.Write{
			"twice the same": {many[0], many[0]}, "twice with others": {many[0], many[1], write(near("0"), esjs.Any(), 2)}, "1001": many,
		} {
			if _, err := store.AppendAll(bounded(t), writes...); !errors.Is(err, esjs.ErrInvalid) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		wantNothingStored(t, store)
		out, err := store.AppendAll(bounded(t), many[:1000]...)
		if err != nil || out[999].Revision.Position().Sequence() != 1000 {
			t.Fatalf("1000 writes: %v", err)
		}
	}},

	{"Faults change nothing here either", func(t *testing.T, s *storeSuite) {
		beside := s.open(t)
		var a, b esjs.Revision
		for name := range appendFaults(nil) {
			store, f := s.faulty(t)
			writes := []esjs.Write{write(near("a"), esjs.AtRevision(a), int(a.Version())), write(near("b"), esjs.Any(), int(b.Version()))}
			appendFaults(f)[name]()
			out, err := store.AppendAll(bounded(t), writes...)
			if err != nil || f.Armed() != 0 {
				t.Fatalf("%s: %v, %d faults did not come", name, err, f.Armed())
			}
			a, b = out[0].Revision, out[1].Revision

			old := a
			f.BeforeAppend(func() { a = add(t, beside, near("a"), esjs.AtRevision(old), int(old.Version())) })
			appendFaults(f)[name]()
			_, err = store.AppendAll(bounded(t), write(near("b"), esjs.AtRevision(b), -1), write(near("a"), esjs.AtRevision(old), -1))
			wantConflict(t, err, near("a"), old.Version(), old.Version()+1)
			for n, got := range [][]int{numbers(t, beside, near("a")), numbers(t, beside, near("b"))} {
				for i := range got {
					if got[i] != i {
						t.Fatalf("%s: aggregate %d has %v", name, n, got)
					}
				}
			}
			if store.Close(); refresh(t, beside, near("a")) != a.Version() || refresh(t, beside, near("b")) != b.Version() {
				t.Fatalf("%s: the aggregates are not at %s and %s", name, a, b)
			}
		}
		s.Restart(t)
		if _, err := beside.AppendAll(bounded(t), write(near("a"), esjs.AtRevision(a), 1), write(near("b"), esjs.AtRevision(b), 1)); err != nil {
			t.Fatalf("after a restart: %v", err)
		}
	}},

	{"A repeated batch of which only a part is recognised is an ErrUnknownOutcome", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		writes := []esjs.Write{write(near("a"), esjs.Any(), 1), write(near("b"), esjs.Any(), 2)}
		for i := range writes {
			writes[i].Metadata = esjs.Metadata{CommandID: "c"}
		}
		out, err := store.AppendAll(bounded(t), writes...)
		if err != nil {
			t.Fatal(err)
		}
		for at := out[0].Revision; at.Version() < 66; {
			at = add(t, store, near("a"), esjs.AtRevision(at), 3)
		}
		ctx := bounded(t)
		if _, err := store.AppendAll(ctx, writes...); !errors.Is(err, esjs.ErrUnknownOutcome) || ctx.Err() != nil {
			t.Fatalf("repeated too late: %v, and the context: %v", err, ctx.Err())
		}
		if a, b := numbers(t, store, near("a")), numbers(t, store, near("b")); len(a) != 66 || len(b) != 1 {
			t.Fatalf("a has %v, and b %v", a, b)
		}
	}},

	{"More batches than the server takes at a time wait for their turn", func(t *testing.T, s *storeSuite) {
		const each = 60 // the server takes 50 at a time, of whatever stores
		var wg sync.WaitGroup
		for i, store := range []*esjs.Store{s.open(t), s.open(t)} {
			for n := range each {
				wg.Go(func() {
					_, err := store.AppendAll(bounded(t), write(near(fmt.Sprint("a", i, n)), esjs.NoStream(), n), write(near(fmt.Sprint("b", i, n)), esjs.NoStream(), n))
					if err != nil {
						t.Errorf("batch %d of store %d: %v", n, i, err)
					}
				})
			}
		}
		wg.Wait()
		if read := records(t, s.open(t).ReadAll(bounded(t), esjs.Query{})); len(read) != 4*each {
			t.Fatalf("%d events are stored, want %d", len(read), 4*each)
		}
	}},
}
