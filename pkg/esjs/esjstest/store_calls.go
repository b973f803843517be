package esjstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go/jetstream"
)

// storeCall is one call of everything that a store does, on the aggregate that
// it is given, which has three commits.
type storeCall struct {
	name string
	// writes is how many events a call that succeeded has stored.
	writes int
	call   func(ctx context.Context, store *esjs.Store, h *handler, id esjs.StreamID, at esjs.Revision) error
}

func storeCalls() []storeCall {
	read := func(all func(func(esjs.Record, error) bool)) error {
		_, err := recordsOr(all)
		return err
	}
	appends := func(expect func(esjs.Revision) esjs.Expectation) func(context.Context, *esjs.Store, *handler, esjs.StreamID, esjs.Revision) error {
		return func(ctx context.Context, store *esjs.Store, _ *handler, id esjs.StreamID, at esjs.Revision) error {
			_, err := store.Append(ctx, id, expect(at), counts(7)...)
			return err
		}
	}
	return []storeCall{
		{"append at a revision", 1, appends(esjs.AtRevision)},
		{"append at a version", 1, appends(func(r esjs.Revision) esjs.Expectation { return esjs.ExpectVersion(r.Version()) })},
		{"append at any", 1, appends(func(esjs.Revision) esjs.Expectation { return esjs.Any() })},
		{"append two commits", 1, func(ctx context.Context, store *esjs.Store, _ *handler, id esjs.StreamID, at esjs.Revision) error {
			_, err := store.AppendAll(ctx, write(id, esjs.AtRevision(at), 7), write(near(id.Key+", too"), esjs.Any(), 7))
			return err
		}},
		{"append under a guard", 1, func(ctx context.Context, store *esjs.Store, _ *handler, id esjs.StreamID, at esjs.Revision) error {
			_, err := store.AppendAll(ctx, write(id, esjs.AtRevision(at), 7), esjs.Unchanged(near("none"), esjs.Revision{}))
			return err
		}},
		{"read", 0, func(ctx context.Context, store *esjs.Store, _ *handler, id esjs.StreamID, _ esjs.Revision) error {
			return read(store.Read(ctx, id, 0, 0))
		}},
		{"read all", 0, func(ctx context.Context, store *esjs.Store, _ *handler, id esjs.StreamID, _ esjs.Revision) error {
			return read(store.ReadAll(ctx, esjs.Query{Streams: []esjs.StreamID{id}}))
		}},
		{"last", 0, func(ctx context.Context, store *esjs.Store, _ *handler, _ esjs.StreamID, _ esjs.Revision) error {
			_, err := store.Last(ctx)
			return err
		}},
		{"streams", 0, func(ctx context.Context, store *esjs.Store, _ *handler, _ esjs.StreamID, _ esjs.Revision) error {
			for _, err := range store.Streams(ctx, "counter") {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"load", 0, func(ctx context.Context, _ *esjs.Store, h *handler, id esjs.StreamID, _ esjs.Revision) error {
			_, err := h.Load(ctx, id.Key)
			return err
		}},
		{"load fresh", 0, func(ctx context.Context, _ *esjs.Store, h *handler, id esjs.StreamID, _ esjs.Revision) error {
			_, err := h.Load(ctx, id.Key, esjs.Fresh())
			return err
		}},
		{"handle", 1, func(ctx context.Context, _ *esjs.Store, h *handler, id esjs.StreamID, _ esjs.Revision) error {
			_, err := h.Handle(ctx, id.Key, 7)
			return err
		}},
		{"handle what is refused", 0, func(ctx context.Context, _ *esjs.Store, h *handler, id esjs.StreamID, _ esjs.Revision) error {
			_, err := h.Handle(ctx, id.Key, -7)
			if rejection := (*esjs.Rejection)(nil); errors.As(err, &rejection) {
				return nil
			}
			return err
		}},
	}
}

// atEveryStep makes each call again and again, and does something before its
// first, second, third … request, until the call needs no more requests.
func (s *storeSuite) atEveryStep(t *testing.T, what string, do func(f *Faults, cancel func()), check func(t *testing.T, c storeCall, err error, stored int)) {
	store, f := s.faulty(t)
	beside := s.open(t)
	for _, c := range storeCalls() {
		for step := 1; ; step++ {
			id := near(fmt.Sprint(what, " ", c.name, " ", step))
			at := add(t, beside, id, esjs.NoStream(), 0)
			at = add(t, beside, id, esjs.AtRevision(at), 0)
			at = add(t, beside, id, esjs.AtRevision(at), 0)
			h := s.handler(t, store, esjs.HandlerConfig[total]{})
			ctx, cancel := context.WithCancel(bounded(t))
			var reached atomic.Bool
			f.BeforeRequest(step, func() { reached.Store(true); do(f, cancel) })
			err := c.call(ctx, store, h, id, at)
			f.disarm()
			cancel()
			stored := len(numbers(t, beside, id)) - 3
			t.Run(fmt.Sprint(what, ", ", c.name, ", request ", step), func(t *testing.T) { check(t, c, err, stored) })
			if !reached.Load() {
				break
			}
		}
	}
}

var storeClauses = []clause{
	{"It is safe for concurrent use", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		var wg sync.WaitGroup
		for _, c := range storeCalls() {
			for n := range 4 {
				wg.Go(func() {
					id := near(fmt.Sprint(c.name, n))
					for range 3 {
						at := add(t, store, id, esjs.Any(), 0)
						if err := c.call(bounded(t), store, h, id, at); err != nil && !errors.Is(err, esjs.ErrConflict) {
							t.Errorf("%s: %v", c.name, err)
						}
					}
				})
			}
		}
		wg.Wait()
	}},

	{"A call goes on when connections break, at whatever step, and when its context ends it ends: what it then has written is written, or not, as its error says", func(t *testing.T, s *storeSuite) {
		s.atEveryStep(t, "connections break", func(f *Faults, _ func()) { f.Disconnect() }, func(t *testing.T, c storeCall, err error, stored int) {
			if err != nil || stored != c.writes {
				t.Errorf("%v, and %d events are stored, want %d", err, stored, c.writes)
			}
		})
		s.atEveryStep(t, "context ends", func(_ *Faults, cancel func()) { cancel() }, func(t *testing.T, c storeCall, err error, stored int) {
			switch {
			case err == nil:
				if stored != c.writes {
					t.Errorf("no error, and %d events are stored, want %d", stored, c.writes)
				}
			case errors.Is(err, esjs.ErrUnknownOutcome) && c.writes > 0: // written, or not
			case !errors.Is(err, context.Canceled):
				t.Errorf("%v", err)
			case stored != 0:
				t.Errorf("%v, and %d events are stored", err, stored)
			}
		})
	}},

	{"Keys of every shape are kept apart", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		seed := rand.Uint64()
		t.Logf("the seed is %d", seed)
		keys := shapes(rand.New(rand.NewPCG(seed, 0)))
		for n := 0; n < len(keys); n += 100 {
			writes := map[int][]esjs.Write{esjs.Partition(counterB.Key, s.Config.Partitions): {write(counterB, esjs.Any(), n)}}
			for i, key := range keys[n:min(n+100, len(keys))] {
				p := esjs.Partition(key, s.Config.Partitions)
				writes[p] = append(writes[p], write(counter(key), esjs.NoStream(), n+i))
			}
			for _, writes := range writes {
				if _, err := store.AppendAll(bounded(t), writes...); err != nil {
					t.Fatal(err)
				}
			}
		}
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		for i, key := range keys {
			loaded, err := h.Load(bounded(t), key)
			if err != nil || loaded.State != (total{i, 1}) || loaded.Stream.Key != key {
				t.Fatalf("key %q: loaded %+v, %v, want %d", key, loaded, err, i)
			}
		}
		all := streams(t, store, "counter")
		if want := append(keys, "b"); !slices.Equal(slices.Sorted(slices.Values(all)), slices.Sorted(slices.Values(want))) {
			t.Fatalf("%d aggregates are listed, want %d", len(all), len(want))
		}
	}},
}

// shapes makes keys that could be taken for one another, or for something else.
func shapes(random *rand.Rand) []string {
	keys := map[string]bool{}
	for c := range 128 {
		keys[string(rune(c))] = true
	}
	for _, key := range []string{
		"=2E", "=2e", "=3D2E", "a.b", "a=2Eb", "a..b", ".a", "a.", "*.>", "$JS.API", "ev.counter.a", "A", "Ä", "A\u0308", "\u200b", " a", "a ", "\r\n",
		strings.Repeat("a", 254), strings.Repeat("a", 255), strings.Repeat("a", 253) + "ü", strings.Repeat("\x00", 255), strings.Repeat("😀", 63), "\U0010FFFF",
	} {
		keys[key] = true
	}
	for len(keys) < 400 {
		var b strings.Builder
		for n := 1 + random.IntN(20); n > 0; n-- {
			if random.IntN(4) == 0 {
				b.WriteRune([]rune("ü世=.*>%~/ \x00\u202e")[random.IntN(12)])
			} else {
				b.WriteByte("abAB-_09=.E2"[random.IntN(12)])
			}
		}
		keys[b.String()] = true
	}
	delete(keys, "b") // stands for what has many events
	all := make([]string, 0, len(keys))
	for key := range keys {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

var provisionClauses = []clause{
	{"Provision creates the store's stream, or sets its limits, as cfg says", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		at := add(t, store, counterA, esjs.NoStream(), 1)
		for _, limit := range []int64{s.Config.MaxBytes * 2, s.Config.MaxBytes} {
			cfg := s.Config
			cfg.MaxBytes = limit
			if err := esjs.Provision(bounded(t), s.Dial, cfg); err != nil {
				t.Fatal(err)
			}
			js, err := jetstream.New(store.Conn())
			if err != nil {
				t.Fatal(err)
			}
			for p := range max(cfg.Partitions, 1) {
				name, _ := cfg.StreamOf(p)
				stream, err := esjs.Answered(bounded(t), func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, name) })
				if err != nil || stream.CachedInfo().Config.MaxBytes != limit {
					t.Fatalf("the limit of %s is not %d: %v", name, limit, err)
				}
			}
		}
		at = add(t, store, counterA, esjs.AtRevision(at), 2)
		if last, err := s.open(t).Last(bounded(t)); err != nil || last != at.Position() {
			t.Fatalf("the last commit is at %v, %v", last, err)
		}
		wantNumbers(t, store, counterA, 1, 2)
	}},

	{"A limit on bytes that is below what is stored is refused with ErrConfig, because the store would be full at once", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		at := add(t, store, counterA, esjs.NoStream(), make([]int, 1000)...)
		cfg := s.Config
		cfg.MaxBytes = 10_000
		if err := esjs.Provision(bounded(t), s.Dial, cfg); !errors.Is(err, esjs.ErrConfig) {
			t.Fatalf("a limit of 10 kB: %v", err)
		}
		add(t, store, counterA, esjs.AtRevision(at), 1)
	}},
}
