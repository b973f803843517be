package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func put(id esjs.StreamID, expect esjs.Expectation, amount int) esjs.Write {
	return esjs.Write{Stream: id, Expect: expect, Events: []esjs.Event{deposited{Amount: amount}}}
}

func isConflictOf(err error, id esjs.StreamID, expected, actual uint64) bool {
	var conflict *esjs.ConflictError
	return isConflict(err, expected, actual) && errors.As(err, &conflict) && conflict.Stream == id
}

func TestAGuardedAggregateMustBeUnchanged(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, s := testContext(t), d.Store(t)
		written, guarded := account("written"), account("guarded ü.*")
		b, err := s.Append(ctx, guarded, esjs.NoStream(), deposited{Amount: 1})
		if err != nil {
			t.Fatal(err)
		}
		// The guard may stand before what it protects.
		out, err := s.AppendAll(ctx, esjs.Unchanged(guarded, b.Revision), put(written, esjs.NoStream(), 10))
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Revision.String() != b.Revision.String() || len(out[0].EventIDs) != 0 {
			t.Fatalf("the guard answered %s with %d events, want %s and none", out[0].Revision, len(out[0].EventIDs), b.Revision)
		}
		// A guard is not a write: it holds again, and from its text too.
		text, err := esjs.ParseRevision(b.Revision.String())
		if err != nil {
			t.Fatal(err)
		}
		out, err = s.AppendAll(ctx, put(written, esjs.AtRevision(out[1].Revision), 20), esjs.Unchanged(guarded, text))
		if err != nil {
			t.Fatal(err)
		}
		last := esjs.AtRevision(out[0].Revision)
		if _, err := s.Append(ctx, guarded, esjs.AtRevision(b.Revision), deposited{Amount: 2}); err != nil {
			t.Fatal(err)
		}
		for _, since := range []esjs.Revision{b.Revision, text} {
			if _, err := s.AppendAll(ctx, put(written, last, 99), esjs.Unchanged(guarded, since)); !isConflictOf(err, guarded, 1, 2) {
				t.Fatalf("a guarded aggregate that has moved: %v", err)
			}
		}
		// The zero revision guards that an aggregate does not exist.
		if _, err := s.AppendAll(ctx, put(written, last, 99), esjs.Unchanged(guarded, esjs.Revision{})); !isConflictOf(err, guarded, 0, 2) {
			t.Fatalf("a guarded aggregate that should not exist: %v", err)
		}
		if _, err := s.AppendAll(ctx, put(written, last, 30), esjs.Unchanged(account("nobody"), esjs.Revision{})); err != nil {
			t.Fatal(err)
		}
		// With what is written at a wrong revision the write is the conflict.
		if _, err := s.AppendAll(ctx, put(written, last, 99), esjs.Unchanged(account("nobody"), esjs.Revision{})); !isConflictOf(err, written, 2, 3) {
			t.Fatalf("a stale write under a guard: %v", err)
		}
		if got := fmt.Sprint(amounts(t, s, written), amounts(t, s, guarded)); got != "[10 20 30] [1 2]" {
			t.Fatalf("stored %s", got)
		}
		wantGuards(t, s, 3)
	})
}

// wantGuards checks that guards are commits like others: the whole store reads
// without a gap, and each stands beside what it protected.
func wantGuards(t *testing.T, s *esjs.Store, want int) {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, esjs.Guarded]())
	if err != nil {
		t.Fatal(err)
	}
	guards := 0
	for r, err := range s.ReadAll(testContext(t), esjs.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Stream.Category != "guard" {
			continue
		}
		guards++
		e, err := codec.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		g := e.Event.(esjs.Guarded)
		if r.Version != 1 || g.Category != "account" || (g.Version == 0) != g.Position.IsZero() || !g.Position.Before(r.Position) {
			t.Fatalf("guard %+v at %s, version %d", g, r.Position, r.Version)
		}
	}
	if guards != want {
		t.Fatalf("%d guards are stored, want %d", guards, want)
	}
}

func TestGuardsAreRefusedWhereTheyMeanNothing(t *testing.T) {
	ctx, s := testContext(t), esjstest.Server(t).Store(t)
	guard := esjs.Unchanged(account("a"), esjs.Revision{})
	full := guard
	full.Events = []esjs.Event{closed{}}
	for name, writes := range map[string][]esjs.Write{
		"a guard alone":               {guard},
		"guards alone":                {guard, esjs.Unchanged(account("b"), esjs.Revision{})},
		"written and guarded":         {guard, put(account("a"), esjs.NoStream(), 1)},
		"guarded twice":               {guard, guard, put(account("b"), esjs.NoStream(), 1)},
		"a guard with events":         {full, put(account("b"), esjs.NoStream(), 1)},
		"a guard of a guard":          {esjs.Unchanged(esjs.StreamID{Category: "guard", Key: "x"}, esjs.Revision{}), put(account("b"), esjs.NoStream(), 1)},
		"a guard of a bad key":        {esjs.Unchanged(account(""), esjs.Revision{}), put(account("b"), esjs.NoStream(), 1)},
		"a write to the guards' name": {put(esjs.StreamID{Category: "guard", Key: "x"}, esjs.NoStream(), 1)},
	} {
		if _, err := s.AppendAll(ctx, writes...); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if last, err := s.Last(ctx); err != nil || !last.IsZero() {
		t.Fatalf("something was stored: %v, %v", last, err)
	}
}

// Every fault of a guarded append ends as what truly happened. Guards stand
// first: a false refusal damages the last message's expectation, and that of a
// guard could become true by it.
func TestGuardedAppendsSettleEveryFault(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		beside := d.Store(t)
		for name, arm := range map[string]func(*esjstest.Faults){
			"the ack is lost":     func(f *esjstest.Faults) { f.LoseAcks(1) },
			"the request is lost": func(f *esjstest.Faults) { f.LoseAppends(1) },
			"a refusal is false":  func(f *esjstest.Faults) { f.RefuseAppends(2) },
			"every kind at once":  func(f *esjstest.Faults) { f.LoseAppends(1); f.RefuseAppends(1); f.LoseAcks(1) },
		} {
			t.Run(name, func(t *testing.T) {
				f := d.Faults()
				s := open(t, f.Dial(), d)
				ctx, written, guarded := testContext(t), account(name), account(name+", guarded")
				g, err := s.Append(ctx, guarded, esjs.NoStream(), deposited{Amount: 1})
				if err != nil {
					t.Fatal(err)
				}
				arm(f)
				out, err := s.AppendAll(ctx, esjs.Unchanged(guarded, g.Revision), put(written, esjs.NoStream(), 1))
				if err != nil {
					t.Fatal(err)
				}
				if n := f.Armed(); n != 0 {
					t.Fatalf("%d faults did not come", n)
				}
				// The guarded aggregate moves while the append is on its way.
				f.BeforeAppend(func() {
					if _, err := beside.Append(ctx, guarded, esjs.AtRevision(g.Revision), deposited{Amount: 2}); err != nil {
						t.Error(err)
					}
				})
				arm(f)
				_, err = s.AppendAll(ctx, esjs.Unchanged(guarded, g.Revision), put(written, esjs.AtRevision(out[1].Revision), 9))
				if !isConflictOf(err, guarded, 1, 2) {
					t.Fatalf("a guard that another writer broke: %v", err)
				}
				if got := fmt.Sprint(amounts(t, beside, written), amounts(t, beside, guarded)); got != "[1] [1 2]" {
					t.Fatalf("stored %s", got)
				}
			})
		}
	})
}

// Two accounts may each be overdrawn while their sum is not. One writer per
// account, both decided on the same balances: without guards both appends are
// good, and the rule is broken; with guards one of them is a conflict.
func TestTwoWritersCannotBreakARuleTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		for _, guards := range []bool{false, true} {
			ctx, f := testContext(t), d.Faults()
			s, beside := open(t, f.Dial(), d), d.Store(t)
			a, b := account(fmt.Sprint("a", guards)), account(fmt.Sprint("b", guards))
			both, err := s.AppendAll(ctx, put(a, esjs.NoStream(), 50), put(b, esjs.NoStream(), 50))
			if err != nil {
				t.Fatal(err)
			}
			withdraw := func(s *esjs.Store, from, other int) error {
				ids := []esjs.StreamID{a, b}
				writes := []esjs.Write{put(ids[from], esjs.AtRevision(both[from].Revision), -100)}
				if guards {
					writes = append(writes, esjs.Unchanged(ids[other], both[other].Revision))
				}
				_, err := s.AppendAll(ctx, writes...)
				return err
			}
			f.BeforeAppend(func() {
				if err := withdraw(beside, 1, 0); err != nil {
					t.Error(err)
				}
			})
			err = withdraw(s, 0, 1)
			sum := total(amounts(t, beside, a)) + total(amounts(t, beside, b))
			switch {
			case guards && (sum != 0 || !isConflictOf(err, b, 1, 2)):
				t.Fatalf("with guards the sum is %d and the second writer got %v", sum, err)
			case !guards && (sum != -100 || err != nil):
				t.Fatalf("without guards the sum is %d and the second writer got %v: the rule is not at risk", sum, err)
			}
		}
	})
}

func total(amounts []int) (sum int) {
	for _, amount := range amounts {
		sum += amount
	}
	return sum
}

// Writers on both accounts, through lost answers, false refusals and changes of
// leaders: the sum is never below zero, and what was acknowledged is stored once.
func TestRacingWritersKeepARuleOverTwoAggregates(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		const writers, start, step = 6, 400, 7
		ctx := testContext(t)
		a, b := account("a"), account("b")
		s := d.Store(t)
		if _, err := s.AppendAll(ctx, put(a, esjs.NoStream(), start/2), put(b, esjs.NoStream(), start/2)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		acknowledged := make([]int, writers)
		for w := range writers {
			f := d.Faults()
			store := open(t, f.Dial(), d)
			h := newHandler(t, d, store, esjs.HandlerConfig[balance]{})
			from, other := "a", "b"
			if w%2 == 1 {
				from, other = other, from
			}
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
					done, err := overdraw(ctx, store, h, from, other, step)
					switch {
					case errors.Is(err, errSpent):
						return
					case err != nil:
						t.Errorf("writer %d: %v", w, err)
						return
					}
					acknowledged[w] += done
				}
			})
		}
		if d.Replicas() > 1 {
			for range 3 {
				d.StepDown(t, "EVENTS")
			}
		}
		wg.Wait()
		sum, stored := 0, 0
		for r, err := range s.ReadAll(ctx, esjs.Query{Categories: []string{"account"}}) {
			if err != nil {
				t.Fatal(err)
			}
			var amount int
			if _, err := fmt.Sscanf(string(r.Data), `{"amount":%d`, &amount); err != nil {
				t.Fatal(err)
			}
			if sum += amount; sum < 0 && r.Position.Sequence() > 1 {
				t.Fatalf("the sum is %d at %s", sum, r.Position)
			}
			if amount < 0 {
				stored++
			}
		}
		if want := start / step; stored != want || total(acknowledged) != want {
			t.Fatalf("%d withdrawals are stored, %d acknowledged, the rule allows %d", stored, total(acknowledged), want)
		}
		wantGuards(t, s, stored)
	})
}

var errSpent = errors.New("the accounts are spent")

// overdraw takes step from one account, as far below zero as the other one
// allows; errSpent when both together do not have it.
func overdraw(ctx context.Context, s *esjs.Store, h *esjs.CommandHandler[balance, deposit, esjs.Event], from, other string, step int) (int, error) {
	for {
		one, err := h.Load(ctx, from, esjs.Fresh())
		if err != nil {
			return 0, err
		}
		two, err := h.Load(ctx, other, esjs.Fresh())
		if err != nil {
			return 0, err
		}
		if one.State.Total+two.State.Total < step {
			return 0, errSpent
		}
		write := put(one.Stream, esjs.AtRevision(one.Revision), -step)
		_, err = s.AppendAll(ctx, esjs.Unchanged(two.Stream, two.Revision), write)
		if !errors.Is(err, esjs.ErrConflict) {
			return 1, err
		}
	}
}
