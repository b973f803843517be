package esjstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// command names a command by its id and what it is.
func command(id, verb string) esjs.HandleOption {
	return esjs.WithMetadata(esjs.Metadata{CommandID: id, CommandHash: esjs.CommandHash(verb, nil)})
}

var handleClauses = []clause{
	{"Handle loads the aggregate, decides, and appends what was decided", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		first, err := h.Handle(bounded(t), "a", 10)
		if err != nil || first.State.Sum != 10 || first.Version != 1 || len(first.EventIDs) != 1 {
			t.Fatalf("the first command: %+v, %v", first, err)
		}
		nothing, err := h.Handle(bounded(t), "a", 0)
		if err != nil || nothing.Version != 1 || len(nothing.EventIDs) != 0 {
			t.Fatalf("nothing to do: %+v, %v", nothing, err)
		}
		_, err = h.Handle(bounded(t), "a", 1, esjs.IfVersion(7))
		wantConflict(t, err, counterA, 7, 1)
		if _, err := h.Handle(bounded(t), "a", 1, esjs.IfVersion(1)); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, store, counterA, 10, 1)
	}},

	{"Calls for one aggregate go one after the other, in the order in which they came; who waits for longer than ctx allows gets its error, and has written nothing", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		agg, deciding, decided := aggregate(t), make(chan struct{}), make(chan struct{})
		decide := agg.Decide
		agg.Decide = func(s total, n int) ([]esjs.Event, error) {
			if n == 1000 {
				close(deciding)
				<-decided
			}
			return decide(s, n)
		}
		h, err := esjs.NewCommandHandler(bounded(t), store, agg, esjs.HandlerConfig[total]{Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		handle := func(ctx context.Context, key string, n int) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := h.Handle(ctx, key, n)
				done <- err
			}()
			return done
		}
		first := handle(bounded(t), "a", 1000)
		<-deciding
		impatient, giveUp := context.WithCancel(bounded(t))
		second := handle(impatient, "a", 100)
		if err := <-handle(bounded(t), "b", 1); err != nil {
			t.Errorf("another aggregate's: %v", err)
		}
		giveUp()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		close(decided)
		if err := <-first; err != nil {
			t.Error(err)
		}
		var all []<-chan error
		for range 50 { // with one attempt each
			all = append(all, handle(bounded(t), "a", 1))
		}
		for _, one := range all {
			if err := <-one; err != nil {
				t.Error(err)
			}
		}
		wantNumbers(t, store, counterA, append([]int{1000}, slices.Repeat([]int{1}, 50)...)...)
	}},

	{"When another writer was faster it loads what is new and decides again, at most HandlerConfig.Attempts times", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		beside := s.open(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{Attempts: 3})
		faster := func(times int) {
			for range times {
				f.BeforeAppend(func() { add(t, beside, counterA, esjs.Any(), 1) })
			}
		}
		faster(2)
		if result, err := h.Handle(bounded(t), "a", 10); err != nil || result.State.Sum != 12 || result.Version != 3 {
			t.Fatalf("the third attempt: %+v, %v", result, err)
		}
		faster(3)
		_, err := h.Handle(bounded(t), "a", 100)
		wantConflict(t, err, counterA, 5, 6)
		wantNumbers(t, beside, counterA, 1, 1, 10, 1, 1, 1)
		s.raceToHandle(t)
	}},

	{"A decision that writes nothing is taken on what the leader has shown during the call; others who write meanwhile do not make it wait", func(t *testing.T, s *storeSuite) {
		store, beside := s.open(t), s.open(t)
		agg, decisions := aggregate(t), 0
		decide := agg.Decide
		busy := false
		agg.Decide = func(s total, n int) ([]esjs.Event, error) {
			if decisions++; busy { // the aggregate moves while each decision is taken
				add(t, beside, counterA, esjs.Any(), 1)
			}
			return decide(s, n)
		}
		h := s.handlerOf(t, store, agg, esjs.HandlerConfig[total]{})
		if _, err := h.Handle(bounded(t), "a", 1); err != nil {
			t.Fatal(err)
		}
		// The cache is old: what is refused there is not refused.
		add(t, beside, counterA, esjs.ExpectVersion(1), 100)
		if result, err := h.Handle(bounded(t), "a", -101); err != nil || result.State.Sum != 0 {
			t.Fatalf("refused on an old state: %+v, %v", result, err)
		}
		for name, call := range map[string]func() error{
			"refused":       func() error { _, err := h.Handle(bounded(t), "a", -1_000_000); return err },
			"nothing to do": func() error { _, err := h.Handle(bounded(t), "a", 0); return err },
		} {
			decisions, busy = 0, true
			err := call()
			busy = false
			if rejection := (*esjs.Rejection)(nil); errors.As(err, &rejection) != (name == "refused") || decisions != 2 {
				t.Errorf("%s: %v after %d decisions, want 2", name, err, decisions)
			}
		}
		add(t, beside, counterA, esjs.Any(), 1)
		version := refresh(t, beside, counterA)
		_, err := h.Handle(bounded(t), "a", 1, esjs.IfVersion(1))
		wantConflict(t, err, counterA, 1, version)
		add(t, beside, counterA, esjs.Any(), 1)
		if _, err := h.Handle(bounded(t), "a", 1, esjs.IfVersion(version+1)); err != nil {
			t.Errorf("the version that it is at: %v", err)
		}
	}},

	{"What Decide returned as an error is returned as it is", func(t *testing.T, s *storeSuite) {
		agg, broken := aggregate(t), errors.New("broken")
		agg.Decide = func(total, int) ([]esjs.Event, error) { return counts(1), broken }
		store := s.open(t)
		h := s.handlerOf(t, store, agg, esjs.HandlerConfig[total]{})
		if _, err := h.Handle(bounded(t), "a", 1); err != broken { //nolint:errorlint // unwrapped is what is promised
			t.Errorf("got %v", err)
		}
		wantNothingStored(t, store)
	}},

	{"A command id among the newest 128 that wrote something to the aggregate gets its first result again", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		written := s.policy(1)
		h := s.handler(t, store, esjs.HandlerConfig[total]{Snapshots: written})
		var first []esjs.Result[total]
		for i := range 130 {
			switch i % 40 { // some of them through faults
			case 1:
				f.LoseAcks(1)
			case 2:
				f.LoseAppends(1)
			case 3:
				f.RefuseAppends(1)
			}
			result, err := h.Handle(bounded(t), "a", 1, command(fmt.Sprint("c-", i), "add"))
			if err != nil || result.Version != uint64(i+1) {
				t.Fatalf("command %d: %+v, %v", i, result, err)
			}
			first = append(first, result)
		}
		s.snapshot(t, store)
		for name, again := range map[string]*handler{
			"the same handler":    h,
			"one with the log":    s.handler(t, s.open(t), esjs.HandlerConfig[total]{}),
			"one with a snapshot": s.handler(t, s.open(t), esjs.HandlerConfig[total]{Snapshots: s.policy(-1)}),
		} {
			for _, i := range []int{2, 3, 64, 129} {
				result, err := again.Handle(bounded(t), "a", 1, command(fmt.Sprint("c-", i), "add"))
				if err != nil || !result.Repeated || result.Version != first[i].Version || result.State.Sum != 130 ||
					result.Revision.String() != first[i].Revision.String() || !slices.Equal(result.EventIDs, first[i].EventIDs) {
					t.Fatalf("%s, command %d: %+v, %v; the first time %+v", name, i, result, err, first[i])
				}
			}
		}
		if n := refresh(t, store, counterA); n != 130 {
			t.Fatalf("%d events are stored", n)
		}
	}},

	{"With another command hash it is refused with ErrCommandReused", func(t *testing.T, s *storeSuite) {
		one := s.handler(t, s.open(t), esjs.HandlerConfig[total]{})
		two := s.handler(t, s.open(t), esjs.HandlerConfig[total]{})
		if _, err := one.Handle(bounded(t), "a", 10); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Load(bounded(t), "a", esjs.Fresh()); err != nil { // cached from here on
			t.Fatal(err)
		}
		first, err := one.Handle(bounded(t), "a", 5, command("c", "add 5"))
		if err != nil {
			t.Fatal(err)
		}
		// Who has not seen the first use learns of it from the conflict.
		for _, h := range []*handler{two, one} {
			if result, err := h.Handle(bounded(t), "a", 7, command("c", "add 7")); !errors.Is(err, esjs.ErrCommandReused) {
				t.Fatalf("another command under the same id: %+v, %v", result, err)
			}
			again, err := h.Handle(bounded(t), "a", 5, command("c", "add 5"))
			if err != nil || again.Version != first.Version || again.State.Sum != 15 {
				t.Fatalf("repeated: %+v, %v; first %+v", again, err, first)
			}
		}
	}},
}

// raceToHandle has many callers of several handlers of one aggregate: none
// decides on an old state, and what one has just stored does not look like a
// loss to another.
func (s *storeSuite) raceToHandle(t *testing.T) {
	const handlers, callers, each = 3, 3, 20
	var wg sync.WaitGroup
	for range handlers {
		h := s.handler(t, s.open(t), esjs.HandlerConfig[total]{Attempts: 1000})
		for caller := range callers {
			wg.Go(func() {
				for range each {
					if _, err := h.Handle(bounded(t), "race", caller%2); err != nil { // 0: nothing to do
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if got, want := sumOf(numbers(t, s.open(t), counter("race"))), handlers*each; got != want {
		t.Fatalf("the sum is %d, want %d", got, want)
	}
}
