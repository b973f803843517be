package esjstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go/jetstream"
)

// total is the state of the suite's aggregate.
type total struct {
	Sum    int `json:"sum"`
	Events int `json:"events"`
}

const snapshots = "SNAPSHOTS"

// bucket is the rig's bucket for snapshots.
func (s *storeSuite) bucket() string { return snapshots + "_" + s.Config.Stream }

// policy makes snapshots every so many commits; never: below 0.
func (s *storeSuite) policy(every int) *esjs.SnapshotPolicy[total] {
	return &esjs.SnapshotPolicy[total]{Bucket: s.bucket(), Every: every}
}

// aggregate counts: a command adds its number, 0 is nothing to do, and what
// would make the sum negative is refused.
func aggregate(t testing.TB) esjs.Aggregate[total, int, esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, counted](), esjs.TypeOf[esjs.Event, emptied]())
	if err != nil {
		t.Fatal(err)
	}
	return esjs.Aggregate[total, int, esjs.Event]{
		Category: "counter", Codec: codec,
		Apply: func(s total, e esjs.Event) total {
			s.Events++
			switch e := e.(type) {
			case counted:
				s.Sum += e.N
			case emptied:
				s.Sum = 0
			}
			return s
		},
		Decide: func(s total, n int) ([]esjs.Event, error) {
			switch {
			case n == 0:
				return nil, nil
			case s.Sum+n < 0:
				return nil, esjs.Reject("negative", "there are %d", s.Sum)
			}
			return counts(n), nil
		},
	}
}

type handler = esjs.CommandHandler[total, int, esjs.Event]

func (s *storeSuite) handler(t testing.TB, store *esjs.Store, cfg esjs.HandlerConfig[total]) *handler {
	t.Helper()
	return s.handlerOf(t, store, aggregate(t), cfg)
}

func (s *storeSuite) handlerOf(t testing.TB, store *esjs.Store, agg esjs.Aggregate[total, int, esjs.Event], cfg esjs.HandlerConfig[total]) *handler {
	t.Helper()
	if cfg.Snapshots != nil {
		if err := esjs.ProvisionBucket(bounded(t), s.Dial, cfg.Snapshots.Bucket, s.Config.Replicas); err != nil {
			t.Fatal(err)
		}
	}
	h, err := esjs.NewCommandHandler(bounded(t), store, agg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) }) // snapshots that were not written only cost time
	return h
}

// snapshot puts a snapshot of the newest state of the counter a into the bucket.
func (s *storeSuite) snapshot(t testing.TB, store *esjs.Store) {
	t.Helper()
	h := s.handler(t, store, esjs.HandlerConfig[total]{Snapshots: s.policy(1)})
	if _, err := h.Load(bounded(t), "a"); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
}

// loadedSum loads the counter a.
func loadedSum(t testing.TB, h *handler, options ...esjs.LoadOption) int {
	t.Helper()
	loaded, err := h.Load(bounded(t), "a", options...)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.State.Sum
}

var loadClauses = []clause{
	{"Load returns the aggregate's state: what a fold of all its events gives, wherever its snapshot stands", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		// One long aggregate, whose snapshot is taken again and again.
		commits, at := 0, esjs.Revision{}
		grow := func(to int) {
			for ; commits < to; commits++ {
				at = add(t, store, counterA, esjs.AtRevision(at), 1, 1)
			}
		}
		grow(1)
		for _, distance := range []int{0, 1, 63, 64, 65, 1000} {
			s.snapshot(t, store)
			grow(commits + distance)
			want := total{2 * commits, 2 * commits}
			for name, cfg := range map[string]esjs.HandlerConfig[total]{
				"with the snapshot":             {Snapshots: s.policy(-1)},
				"from the log":                  {},
				"a snapshot of another version": {Snapshots: &esjs.SnapshotPolicy[total]{Bucket: s.bucket(), Every: -1, StateVersion: 2}},
			} {
				loaded, err := s.handler(t, s.open(t), cfg).Load(bounded(t), "a")
				if err != nil || loaded.State != want || loaded.Revision.String() != at.String() {
					t.Fatalf("%d commits behind, %s: %+v, %v, want %+v at %s", distance, name, loaded, err, want, at)
				}
			}
		}
	}},

	{"It is the zero state and revision when there are no events", func(t *testing.T, s *storeSuite) {
		h := s.handler(t, s.open(t), esjs.HandlerConfig[total]{Snapshots: s.policy(1)})
		for _, options := range [][]esjs.LoadOption{nil, {esjs.Fresh()}, {esjs.AsOf(time.Now())}} {
			loaded, err := h.Load(bounded(t), "none", options...)
			if err != nil || loaded.State != (total{}) || loaded.Revision.Version() != 0 || loaded.Stream != counter("none") || !loaded.Time.IsZero() {
				t.Fatalf("loaded %+v, %v", loaded, err)
			}
		}
	}},

	{"A snapshot that cannot be used only costs time, and one of more than the leader has is a *CorruptError", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		at := addMany(t, store, counterA, 4) // sum 6
		s.snapshot(t, store)
		js, err := jetstream.New(store.Conn())
		if err != nil {
			t.Fatal(err)
		}
		kv, err := esjs.Answered(bounded(t), func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, s.bucket()) })
		if err != nil {
			t.Fatal(err)
		}
		place := func(version, sequence uint64, state string) string {
			log := ""
			if s.Config.Partitions > 1 {
				_, log = s.Config.StreamOf(at.Position().Partition())
			}
			return fmt.Sprintf(`{"form":1,"state_version":0,"version":%d,"sequence":%d,"log":%q,"time":"2026-01-01T00:00:00Z","state":%s}`, version, sequence, log, state)
		}
		last := at.Position().Sequence()
		for name, c := range map[string]struct {
			body    string
			corrupt bool
		}{
			"not JSON":               {"{", false},
			"another form":           {`{"form":99}`, false},
			"a wrong version":        {place(9, last, `{"sum":77}`), false},
			"a version too many":     {place(3, 2, `{"sum":77}`), false},
			"not one of its commits": {place(2, last-1, `{"sum":77}`), false},
			"a state of other kind":  {place(4, last, `"x"`), false},
			"ahead of the log":       {place(99, last+1, `{"sum":77}`), true},
			"far ahead of the log":   {place(4, last+1_000_000, `{"sum":77}`), true},
		} {
			err := answered(bounded(t), func(ctx context.Context) error { _, err := kv.PutString(ctx, "counter.a", c.body); return err })
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := s.handler(t, s.open(t), esjs.HandlerConfig[total]{Snapshots: s.policy(-1)}).Load(bounded(t), "a")
			switch corrupt := (*esjs.CorruptError)(nil); {
			case c.corrupt && !errors.As(err, &corrupt):
				t.Errorf("%s: %+v, %v, want a *CorruptError", name, loaded, err)
			case !c.corrupt && (err != nil || loaded.State != (total{6, 4})):
				t.Errorf("%s: %+v, %v", name, loaded, err)
			}
		}
	}},

	{"Without options it asks any replica for what is new: it may lack what that has not received yet, but nothing that this store has appended or seen", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		beside := s.open(t)
		h, cold := s.handler(t, store, esjs.HandlerConfig[total]{}), s.handler(t, store, esjs.HandlerConfig[total]{})
		add(t, beside, counterA, esjs.NoStream(), 1)
		eventually(t, func() bool { return loadedSum(t, h) == 1 })
		add(t, beside, counterA, esjs.ExpectVersion(1), 1)
		f.StaleReads(2)
		if known, unknown := loadedSum(t, h), loadedSum(t, cold); known != 1 || unknown != 1 || f.Armed() != 0 {
			t.Errorf("a replica is behind: the state that was cached has %d, the other one %d", known, unknown)
		}
		eventually(t, func() bool { return loadedSum(t, h) == 2 }) // and not forgotten before
		cold.Forget("a")
		f.StaleReads(1)
		if again := loadedSum(t, cold); again != 2 || f.Armed() != 0 {
			t.Errorf("2 was loaded, and then %d", again)
		}
	}},

	{"Cached may be of any age", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		add(t, store, counterA, esjs.NoStream(), 1)
		if missing := loadedSum(t, h, esjs.Cached()); missing != 1 {
			t.Errorf("what is not in the cache has %d, want 1", missing)
		}
		add(t, store, counterA, esjs.ExpectVersion(1), 1)
		if old := loadedSum(t, h, esjs.Cached()); old != 1 {
			t.Errorf("the cache has %d, want 1", old)
		}
		for name, options := range map[string][]esjs.LoadOption{"without options": nil, "fresh": {esjs.Cached(), esjs.Fresh()}} {
			if now := loadedSum(t, h, options...); now != 2 {
				t.Errorf("%s: %d, want 2", name, now)
			}
		}
		if now := loadedSum(t, h, esjs.Cached()); now != 2 {
			t.Errorf("the cache has %d after that, want 2", now)
		}
	}},

	{"Fresh is as new as the leader", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		beside := s.open(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		for n := range 20 {
			add(t, beside, counterA, esjs.ExpectVersion(uint64(n)), 1)
			f.StaleReads(n % 2)
			if loaded, err := h.Load(bounded(t), "a", esjs.Fresh()); err != nil || loaded.State.Sum != n+1 {
				t.Fatalf("%d commits are stored, loaded is %+v, %v", n+1, loaded, err)
			}
		}
	}},

	{"AtVersion and AsOf are the aggregate as it was", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		h := s.handler(t, store, esjs.HandlerConfig[total]{})
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		const commits = 100
		for i := range commits {
			if _, err := h.Handle(bounded(t), "a", 1, esjs.At(start.Add(time.Duration(i)*time.Minute))); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{1, 36, 37, 64, 99, 100} {
			f.StaleReads(n % 2)
			loaded, err := h.Load(bounded(t), "a", esjs.AtVersion(uint64(n)))
			if err != nil || loaded.State.Sum != n || loaded.Revision.Version() != uint64(n) {
				t.Fatalf("at version %d: %+v, %v", n, loaded, err)
			}
			asOf := start.Add(time.Duration(n-1)*time.Minute + time.Second)
			if loaded, err = h.Load(bounded(t), "a", esjs.AsOf(asOf)); err != nil || loaded.State.Sum != n {
				t.Fatalf("as of %s: %+v, %v", asOf, loaded, err)
			}
		}
		if _, err := h.Load(bounded(t), "a", esjs.AtVersion(commits+1)); !errors.Is(err, esjs.ErrNotFound) {
			t.Fatalf("a version that is not there: %v", err)
		}
		before, err := h.Load(bounded(t), "a", esjs.AsOf(start.Add(-time.Second)))
		if err != nil || before.Revision.Version() != 0 {
			t.Fatalf("before the first event: %+v, %v", before, err)
		}
		// A clock that went back does not put an event before the one it follows.
		result, err := h.Handle(bounded(t), "a", 1, esjs.At(start))
		if err != nil {
			t.Fatal(err)
		}
		if loaded, err := h.Load(bounded(t), "a"); err != nil || loaded.Time.Before(start.Add((commits-1)*time.Minute)) || result.Version != commits+1 {
			t.Fatalf("an event at %s after one at %s, %v", loaded.Time, start.Add((commits-1)*time.Minute), err)
		}
	}},

	{"It leaves nothing behind on the server", func(t *testing.T, s *storeSuite) {
		const callers = 8
		store := s.open(t)
		addMany(t, store, counterA, 3)
		s.snapshot(t, store)
		add(t, store, counterA, esjs.ExpectVersion(3), 1)
		h := s.handler(t, store, esjs.HandlerConfig[total]{Snapshots: s.policy(-1)})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range loads / callers {
					h.Forget("a")
					if loaded, err := h.Load(bounded(t), "a"); err != nil || loaded.State.Events != 4 {
						t.Errorf("loaded %+v, %v", loaded, err)
						return
					}
				}
			})
		}
		wg.Wait()
		s.wantNoConsumers(t, store)
	}},
}
