package esjstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var unchangedClauses = []clause{
	{"it lets the other writes be stored only while the aggregate is at the revision that they were decided on", func(t *testing.T, s *storeSuite) {
		store, written, guarded := s.open(t), near("written"), near("guarded ü.*")
		at := add(t, store, guarded, esjs.NoStream(), 1)
		var last esjs.Revision
		for i, since := range []esjs.Revision{at, at, parsed(t, at)} { // a guard is not a write: it holds again
			out, err := store.AppendAll(bounded(t), esjs.Unchanged(guarded, since), write(written, esjs.AtRevision(last), i))
			if err != nil {
				t.Fatal(err)
			}
			last = out[1].Revision
		}
		add(t, store, guarded, esjs.AtRevision(at), 2)
		for _, since := range []esjs.Revision{at, parsed(t, at)} {
			_, err := store.AppendAll(bounded(t), write(written, esjs.AtRevision(last), 9), esjs.Unchanged(guarded, since))
			wantConflict(t, err, guarded, 1, 2)
		}
		wantNumbers(t, store, written, 0, 1, 2)
		wantNumbers(t, store, guarded, 1, 2)
		s.wantGuards(t, store, 3)
	}},

	{"The zero Revision means that it must not exist", func(t *testing.T, s *storeSuite) {
		store, written, guarded := s.open(t), near("written"), near("guarded")
		none := esjs.Unchanged(guarded, esjs.Revision{})
		if _, err := store.AppendAll(bounded(t), write(written, esjs.NoStream(), 1), none); err != nil {
			t.Fatal(err)
		}
		// With what is written at a wrong revision the write is the conflict.
		_, err := store.AppendAll(bounded(t), write(written, esjs.NoStream(), 9), none)
		wantConflict(t, err, written, 0, 1)
		add(t, store, guarded, esjs.NoStream(), 1)
		_, err = store.AppendAll(bounded(t), write(written, esjs.ExpectVersion(1), 9), none)
		wantConflict(t, err, guarded, 0, 1)
		wantNumbers(t, store, written, 1)
	}},

	{"The answer at the guard's place is the revision that was given", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		at := add(t, store, near("guarded"), esjs.NoStream(), 1)
		out, err := store.AppendAll(bounded(t), esjs.Unchanged(near("guarded"), at), write(near("a"), esjs.NoStream(), 1), esjs.Unchanged(near("none"), esjs.Revision{}))
		if err != nil || out[0].Revision.String() != at.String() || len(out[0].EventIDs) != 0 || out[2].Revision.Version() != 0 || out[1].Revision.Version() != 1 {
			t.Fatalf("got %+v, %v", out, err)
		}
	}},

	{"A guard without a write beside it is refused with ErrInvalid, and so is one of an aggregate that is also written to", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		guard := esjs.Unchanged(near("a"), esjs.Revision{})
		full := guard
		full.Events = counts(1)
		other := write(near("b"), esjs.NoStream(), 1)
		for name, writes := range map[string][]esjs.Write{
			"a guard alone":        {guard},
			"guards alone":         {guard, esjs.Unchanged(near("b"), esjs.Revision{})},
			"written and guarded":  {guard, write(near("a"), esjs.NoStream(), 1)},
			"guarded twice":        {guard, guard, other},
			"a guard with events":  {full, other},
			"a guard of a guard":   {esjs.Unchanged(esjs.StreamID{Category: "guard", Key: "x"}, esjs.Revision{}), other},
			"a guard of a bad key": {esjs.Unchanged(near(""), esjs.Revision{}), other},
		} {
			if _, err := store.AppendAll(bounded(t), writes...); !errors.Is(err, esjs.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		wantNothingStored(t, store)
	}},

	{"An aggregate that has changed makes AppendAll fail with a *ConflictError that names it", func(t *testing.T, s *storeSuite) {
		beside := s.open(t)
		for name := range appendFaults(nil) {
			store, f := s.faulty(t)
			written, guarded := near(name), near(name+", guarded")
			at := add(t, store, guarded, esjs.NoStream(), 1)
			// Guards stand first: a false refusal damages the last message's expectation,
			// and that of a guard could become true by it.
			appendFaults(f)[name]()
			out, err := store.AppendAll(bounded(t), esjs.Unchanged(guarded, at), write(written, esjs.NoStream(), 1))
			if err != nil || f.Armed() != 0 {
				t.Fatalf("%s: %v, %d faults did not come", name, err, f.Armed())
			}
			f.BeforeAppend(func() { add(t, beside, guarded, esjs.AtRevision(at), 2) }) // while the append is on its way
			appendFaults(f)[name]()
			_, err = store.AppendAll(bounded(t), esjs.Unchanged(guarded, at), write(written, esjs.AtRevision(out[1].Revision), 9))
			wantConflict(t, err, guarded, 1, 2)
			wantNumbers(t, beside, written, 1)
			wantNumbers(t, beside, guarded, 1, 2)
		}
	}},

	// Two accounts may each be overdrawn while their sum is not. Each writer is
	// right about what it had read: without guards both appends are good, and
	// the rule is broken.
	{"Two writers that each guard what the other one writes are settled as if they had written to the same aggregate", func(t *testing.T, s *storeSuite) {
		for _, guards := range []bool{false, true} {
			store, f := s.faulty(t)
			beside := s.open(t)
			ids := []esjs.StreamID{near(fmt.Sprint("a", guards)), near(fmt.Sprint("b", guards))}
			both, err := store.AppendAll(bounded(t), write(ids[0], esjs.NoStream(), 50), write(ids[1], esjs.NoStream(), 50))
			if err != nil {
				t.Fatal(err)
			}
			withdraw := func(store *esjs.Store, from, other int) error {
				writes := []esjs.Write{write(ids[from], esjs.AtRevision(both[from].Revision), -100)}
				if guards {
					writes = append(writes, esjs.Unchanged(ids[other], both[other].Revision))
				}
				_, err := store.AppendAll(bounded(t), writes...)
				return err
			}
			f.BeforeAppend(func() {
				if err := withdraw(beside, 1, 0); err != nil {
					t.Error(err)
				}
			})
			err = withdraw(store, 0, 1)
			sum := sumOf(numbers(t, beside, ids[0])) + sumOf(numbers(t, beside, ids[1]))
			switch {
			case guards && sum != 0:
				t.Fatalf("with guards the sum is %d", sum)
			case guards:
				wantConflict(t, err, ids[1], 1, 2)
			case sum != -100 || err != nil:
				t.Fatalf("without guards the sum is %d and the second writer got %v: the rule is not at risk", sum, err)
			}
		}
		s.raceForASum(t)
	}},
}

// raceForASum has writers on two aggregates, through faults and the loss of a
// leader: the sum of both is never below zero, and what was acknowledged is stored once.
func (s *storeSuite) raceForASum(t *testing.T) {
	const writers, start, step = 4, 210, 7
	store, names := s.open(t), []string{near("race a").Key, near("race b").Key}
	_, err := store.AppendAll(bounded(t), write(near(names[0]), esjs.NoStream(), start/2), write(near(names[1]), esjs.NoStream(), start/2))
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := make([]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		store, f := s.faulty(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		wg.Go(func() {
			for n := 0; ; n++ {
				switch n % 4 {
				case 1:
					f.LoseAcks(1)
				case 2:
					f.RefuseAppends(1)
				case 3:
					f.LoseAppends(1)
				}
				err := overdraw(bounded(t), store, h, names[w%2], names[1-w%2], step)
				if errors.Is(err, errSpent) {
					return
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				acknowledged[w]++
			}
		})
	}
	s.Restart(t)
	wg.Wait()
	sum, stored := 0, 0
	for _, r := range records(t, store.ReadAll(bounded(t), esjs.Query{Streams: []esjs.StreamID{near(names[0]), near(names[1])}})) {
		var n int
		if _, err := fmt.Sscanf(string(r.Data), `{"n":%d`, &n); err != nil {
			t.Fatal(err)
		}
		if n < 0 {
			stored++
		}
		if sum += n; sum < 0 {
			t.Fatalf("the sum is %d at %s", sum, r.Position)
		}
	}
	if stored != start/step || sumOf(acknowledged) != stored {
		t.Fatalf("%d withdrawals are stored, %d acknowledged, the rule allows %d", stored, sumOf(acknowledged), start/step)
	}
}

var errSpent = errors.New("nothing is left")

// overdraw takes step from one aggregate, as far below zero as the other one
// allows; errSpent when both together do not have it.
func overdraw(ctx context.Context, store *esjs.Store, h *esjs.CommandHandler[total, int, esjs.Event], from, other string, step int) error {
	for {
		one, err := h.Load(ctx, from, esjs.Fresh())
		if err != nil {
			return err
		}
		two, err := h.Load(ctx, other, esjs.Fresh())
		if err != nil {
			return err
		}
		if one.State.Sum+two.State.Sum < step {
			return errSpent
		}
		_, err = store.AppendAll(ctx, esjs.Unchanged(two.Stream, two.Revision), write(one.Stream, esjs.AtRevision(one.Revision), -step))
		if !errors.Is(err, esjs.ErrConflict) {
			return err
		}
	}
}

func sumOf(numbers []int) (sum int) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}

// wantGuards checks that guards are commits like others, each behind what it is about.
func (s *storeSuite) wantGuards(t *testing.T, store *esjs.Store, want int) {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, esjs.Guarded]())
	if err != nil {
		t.Fatal(err)
	}
	read := records(t, store.ReadAll(bounded(t), esjs.Query{Categories: []string{"guard"}}))
	if len(read) != want {
		t.Fatalf("%d guards are stored, want %d", len(read), want)
	}
	for _, r := range read {
		e, err := codec.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if g := e.Event.(esjs.Guarded); r.Version != 1 || g.Category != "counter" || g.Version != 1 || !g.Position.Before(r.Position) {
			t.Fatalf("guard %+v at %s, version %d", g, r.Position, r.Version)
		}
	}
}
