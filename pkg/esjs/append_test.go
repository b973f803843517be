package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// deposited and closed are the events of the tests' account.
type deposited struct {
	Amount int    `json:"amount"`
	Note   string `json:"note,omitzero"`
}

func (deposited) EventType() string { return "Deposited" }

type closed struct{}

func (closed) EventType() string { return "Closed" }

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func account(key string) esjs.StreamID { return esjs.StreamID{Category: "account", Key: key} }

// versions reads an aggregate and checks that its versions are 1, 2, 3 …; it
// returns the amounts in order.
func amounts(t *testing.T, s *esjs.Store, id esjs.StreamID) []int {
	t.Helper()
	var out []int
	for r, err := range s.Read(testContext(t), id, 0, 0) {
		if err != nil {
			t.Fatalf("read %s: %v", id, err)
		}
		if want := uint64(len(out) + 1); r.Version != want {
			t.Fatalf("version %d of %s, want %d", r.Version, id, want)
		}
		var amount int
		if _, err := fmt.Sscanf(string(r.Data), `{"amount":%d`, &amount); err != nil {
			t.Fatalf("data %s: %v", r.Data, err)
		}
		out = append(out, amount)
	}
	return out
}

func TestAppendFollowsItsExpectation(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, s := testContext(t), d.Store(t)
		id := account("a b.c/ü>*")

		first, err := s.Append(ctx, id, esjs.NoStream(), deposited{Amount: 1}, deposited{Amount: 2})
		if err != nil {
			t.Fatal(err)
		}
		if v := first.Revision.Version(); v != 2 || len(first.EventIDs) != 2 {
			t.Fatalf("version %d with %d ids, want 2 and 2", v, len(first.EventIDs))
		}
		if _, err := s.Append(ctx, id, esjs.NoStream(), deposited{Amount: 9}); !isConflict(err, 0, 2) {
			t.Fatalf("an existing stream: %v", err)
		}
		second, err := s.Append(ctx, id, esjs.AtRevision(first.Revision), deposited{Amount: 3})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(ctx, id, esjs.AtRevision(first.Revision), deposited{Amount: 9}); !isConflict(err, 2, 3) {
			t.Fatalf("an old revision: %v", err)
		}
		if _, err := s.Append(ctx, id, esjs.ExpectVersion(2), deposited{Amount: 9}); !isConflict(err, 2, 3) {
			t.Fatalf("an old version: %v", err)
		}
		if _, err := s.Append(ctx, id, esjs.ExpectVersion(3), deposited{Amount: 4}); err != nil {
			t.Fatal(err)
		}
		parsed, err := esjs.ParseRevision(second.Revision.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(ctx, id, esjs.AtRevision(parsed), deposited{Amount: 9}); !isConflict(err, 3, 4) {
			t.Fatalf("an old revision from its text: %v", err)
		}
		if _, err := s.Append(ctx, id, esjs.Any(), deposited{Amount: 5}); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(amounts(t, s, id)); got != "[1 2 3 4 5]" {
			t.Fatalf("stored %s", got)
		}
	})
}

func isConflict(err error, expected, actual uint64) bool {
	var conflict *esjs.ConflictError
	return errors.As(err, &conflict) && errors.Is(err, esjs.ErrConflict) &&
		conflict.Expected == expected && conflict.Actual == actual
}

// Racing writers: every success is stored once, versions have no gap, and each
// loser learns the version that it lost to.
func TestRacingWritersLoseNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx := testContext(t)
		id := account("hot")
		const writers, each = 8, 25
		var wins [writers][]int
		var losses atomic.Int64
		var wg sync.WaitGroup
		for w := range writers {
			s := d.Store(t)
			wg.Go(func() {
				for i := 0; i < each; {
					amount := w*1000 + i
					version, err := lastVersion(ctx, s, id)
					if err != nil {
						t.Error(err)
						return
					}
					_, err = s.Append(ctx, id, esjs.ExpectVersion(version), deposited{Amount: amount})
					var conflict *esjs.ConflictError
					switch {
					case err == nil:
						wins[w] = append(wins[w], amount)
						i++
					case errors.As(err, &conflict):
						if conflict.Expected != version || conflict.Actual <= version {
							t.Errorf("lost with expected %d and actual %d at version %d", conflict.Expected, conflict.Actual, version)
						}
						losses.Add(1)
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		stored := map[int]int{}
		for _, amount := range amounts(t, d.Store(t), id) {
			stored[amount]++
		}
		if len(stored) != writers*each {
			t.Fatalf("%d commits stored, %d acknowledged", len(stored), writers*each)
		}
		for _, won := range wins {
			for _, amount := range won {
				if stored[amount] != 1 {
					t.Fatalf("commit %d is stored %d times", amount, stored[amount])
				}
			}
		}
		t.Logf("%d appends, %d conflicts", writers*each, losses.Load())
	})
}

func lastVersion(ctx context.Context, s *esjs.Store, id esjs.StreamID) (uint64, error) {
	for r, err := range s.Read(ctx, id, math.MaxUint64, 1) {
		if errors.Is(err, esjs.ErrNotFound) {
			return 0, nil
		}
		return r.Version, err
	}
	return 0, nil
}

// Each fault of a publish ends as what truly happened: stored once, or a
// conflict that is real.
func TestAppendSettlesEveryFault(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		for name, arm := range map[string]func(*esjstest.Faults){
			"the ack is lost":     func(f *esjstest.Faults) { f.LoseAcks(1) },
			"two acks are lost":   func(f *esjstest.Faults) { f.LoseAcks(2) },
			"the request is lost": func(f *esjstest.Faults) { f.LoseAppends(1) },
			"a refusal is false":  func(f *esjstest.Faults) { f.RefuseAppends(1) },
			"every kind at once":  func(f *esjstest.Faults) { f.LoseAppends(2); f.RefuseAppends(2); f.LoseAcks(1) },
		} {
			t.Run(name, func(t *testing.T) {
				f := d.Faults()
				s := open(t, f.Dial(), d)
				ctx, id := testContext(t), account(name)
				first, err := s.Append(ctx, id, esjs.NoStream(), deposited{Amount: 1})
				if err != nil {
					t.Fatal(err)
				}
				arm(f)
				second, err := s.Append(ctx, id, esjs.AtRevision(first.Revision), deposited{Amount: 2}, deposited{Amount: 3})
				if err != nil {
					t.Fatal(err)
				}
				if second.Revision.Version() != 3 {
					t.Fatalf("revision %s, want version 3", second.Revision)
				}
				arm(f)
				out, err := s.AppendAll(ctx,
					esjs.Write{Stream: id, Expect: esjs.AtRevision(second.Revision), Events: []esjs.Event{deposited{Amount: 4}}},
					esjs.Write{Stream: account(name + "-2"), Events: []esjs.Event{deposited{Amount: 1}}})
				if err != nil {
					t.Fatal(err)
				}
				if v := out[0].Revision.Version(); v != 4 {
					t.Fatalf("version %d after the batch, want 4", v)
				}
				arm(f)
				if _, err := s.Append(ctx, id, esjs.AtRevision(first.Revision), deposited{Amount: 9}); !isConflict(err, 1, 4) {
					t.Fatalf("a stale append under faults: %v", err)
				}
				if got := fmt.Sprint(amounts(t, s, id)); got != "[1 2 3 4]" {
					t.Fatalf("stored %s", got)
				}
			})
		}
	})
}

func open(t *testing.T, dial esjs.Dial, d *esjstest.Deployment) *esjs.Store {
	t.Helper()
	d.Store(t) // provisions
	s, err := esjs.Open(testContext(t), dial, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAppendAllIsAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, s := testContext(t), d.Store(t)
		for _, n := range []int{2, 10, 100} {
			writes := make([]esjs.Write, n)
			for i := range writes {
				writes[i] = esjs.Write{Stream: account(fmt.Sprintf("%d of %d", i, n)), Events: []esjs.Event{deposited{Amount: i}}}
			}
			out, err := s.AppendAll(ctx, writes...)
			if err != nil {
				t.Fatal(err)
			}
			for i := range writes {
				writes[i].Expect = esjs.AtRevision(out[i].Revision)
			}
			// One stale expectation among right ones refuses all of them.
			if _, err := s.Append(ctx, writes[n/2].Stream, esjs.Any(), deposited{Amount: -1}); err != nil {
				t.Fatal(err)
			}
			_, err = s.AppendAll(ctx, writes...)
			if !isConflict(err, 1, 2) {
				t.Fatalf("%d aggregates, one stale: %v", n, err)
			}
			for i, w := range writes {
				want := 1
				if i == n/2 {
					want = 2
				}
				if have := len(amounts(t, s, w.Stream)); have != want {
					t.Fatalf("%s has %d events, want %d", w.Stream, have, want)
				}
			}
		}
	})
}

func TestAppendRefusesWhatItCannotStore(t *testing.T) {
	ctx := testContext(t)
	s := esjstest.Server(t).Store(t)
	huge := deposited{Note: strings.Repeat("x", 2<<20)}
	for name, c := range map[string]struct {
		write esjs.Write
		want  error
	}{
		"no events":         {esjs.Write{Stream: account("x")}, esjs.ErrInvalid},
		"a nil event":       {esjs.Write{Stream: account("x"), Events: []esjs.Event{nil}}, esjs.ErrInvalid},
		"a nil pointer":     {esjs.Write{Stream: account("x"), Events: []esjs.Event{(*deposited)(nil)}}, esjs.ErrInvalid},
		"an empty key":      {esjs.Write{Stream: account(""), Events: []esjs.Event{closed{}}}, esjs.ErrInvalid},
		"a long key":        {esjs.Write{Stream: account(strings.Repeat("k", 256)), Events: []esjs.Event{closed{}}}, esjs.ErrInvalid},
		"a bad category":    {esjs.Write{Stream: esjs.StreamID{Category: "A.b", Key: "x"}, Events: []esjs.Event{closed{}}}, esjs.ErrInvalid},
		"too large":         {esjs.Write{Stream: account("x"), Events: []esjs.Event{huge}}, esjs.ErrTooLarge},
		"a bad extension":   {esjs.Write{Stream: account("x"), Events: []esjs.Event{closed{}}, Metadata: esjs.Metadata{Extensions: map[string]string{"A-b": "c"}}}, esjs.ErrInvalid},
		"its own extension": {esjs.Write{Stream: account("x"), Events: []esjs.Event{closed{}}, Metadata: esjs.Metadata{Extensions: map[string]string{"sequence": "7"}}}, esjs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.AppendAll(ctx, c.write); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	twice := esjs.Write{Stream: account("x"), Events: []esjs.Event{closed{}}}
	if _, err := s.AppendAll(ctx, twice, twice); !errors.Is(err, esjs.ErrInvalid) {
		t.Fatalf("two writes to one aggregate: %v", err)
	}
	many := make([]esjs.Write, 1001)
	for i := range many {
		many[i] = esjs.Write{Stream: account(fmt.Sprint(i)), Events: []esjs.Event{closed{}}}
	}
	if _, err := s.AppendAll(ctx, many...); !errors.Is(err, esjs.ErrInvalid) {
		t.Fatalf("1001 writes: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Append(cancelled, account("x"), esjs.NoStream(), closed{}); !errors.Is(err, context.Canceled) || errors.Is(err, esjs.ErrUnknownOutcome) {
		t.Fatalf("a context that had ended: %v", err)
	}
	if last, err := s.Last(ctx); err != nil || !last.IsZero() {
		t.Fatalf("something was stored: %v, %v", last, err)
	}
}

func TestAFullStoreSaysSo(t *testing.T) {
	d := esjstest.Server(t)
	cfg := d.Config()
	cfg.Stream, cfg.Prefix, cfg.MaxBytes = "SMALL", "small", 64<<10
	ctx := testContext(t)
	if err := esjs.Provision(ctx, d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	s, err := esjs.Open(ctx, d.Dial(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var rev esjs.Revision
	for i := range 100 {
		out, err := s.Append(ctx, account("full"), esjs.AtRevision(rev), deposited{Amount: i, Note: strings.Repeat("x", 2000)})
		if err != nil {
			if !errors.Is(err, esjs.ErrStoreFull) {
				t.Fatalf("append %d: %v", i, err)
			}
			return
		}
		rev = out.Revision
	}
	t.Fatal("200 kB went into a store of 64 kB")
}
