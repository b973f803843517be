package esjstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// StoreRig is what [RunStore] needs to know of a store.
type StoreRig struct {
	// Config and Dial are of a store that is provisioned and empty. The suite
	// opens it several times, as several programs do, and provisions it again.
	Config esjs.Config
	Dial   esjs.Dial
	// Faults returns a fault injector on the way to the same store, with
	// nothing armed; see [NewFaults].
	Faults func() *Faults
	// Restart takes the server away that leads the store's stream, of several that of key "a", and
	// returns when the store can be used again. What was stored is still there.
	Restart func(t testing.TB)
}

// RunStore proves the contract of [esjs.Store] and of what loads and appends
// through it; each clause is a subtest that is named as the sentence in the
// documentation that it proves, and gets a rig with an empty store.
func RunStore(t *testing.T, newRig func(t testing.TB) StoreRig) {
	for _, c := range storeContract() {
		t.Run(c.of, func(t *testing.T) {
			for _, clause := range c.clauses {
				t.Run(clause.sentence, func(t *testing.T) { clause.test(t, &storeSuite{newRig(t)}) })
			}
		})
	}
}

// contract is what is promised by the documentation of one thing.
type contract struct {
	of      string // "Store.Append"
	clauses []clause
}

type clause struct {
	sentence string
	test     func(t *testing.T, s *storeSuite)
}

func storeContract() []contract {
	return []contract{
		{"Store", storeClauses}, {"Store.Append", appendClauses}, {"Write", writeClauses},
		{"Store.AppendWrite", appendWriteClauses}, {"Store.AppendAll", appendAllClauses}, {"Unchanged", unchangedClauses},
		{"Store.Read", readClauses}, {"Store.ReadAsOf", readAsOfClauses},
		{"Store.ReadAll", readAllClauses}, {"Store.Last", lastClauses}, {"Store.Streams", streamsClauses},
		{"CommandHandler.Load", loadClauses}, {"CommandHandler.Handle", handleClauses},
		{"Provision", provisionClauses},
	}
}

// StoreRig provisions another empty store on the deployment.
func (d *Deployment) StoreRig(t testing.TB) StoreRig { return d.PartitionsRig(1)(t) }

// PartitionsRig is StoreRig for stores of so many partitions.
func (d *Deployment) PartitionsRig(partitions int) func(t testing.TB) StoreRig {
	return func(t testing.TB) StoreRig { return d.storeRig(t, partitions) }
}

func (d *Deployment) storeRig(t testing.TB, partitions int) StoreRig {
	t.Helper()
	d.mu.Lock()
	d.rigs++
	cfg := esjs.Config{
		Stream: fmt.Sprintf("EVENTS_%d", d.rigs), Prefix: fmt.Sprintf("ev%d", d.rigs),
		Replicas: d.Replicas(), MaxBytes: 64 << 20, Partitions: partitions,
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := esjs.Provision(ctx, d.Dial(), cfg); err != nil {
		t.Fatalf("provision the store: %v", err)
	}
	return StoreRig{
		Config: cfg, Dial: d.Dial(), Faults: d.Faults,
		Restart: func(t testing.TB) {
			t.Helper()
			stream, _ := cfg.StreamOf(esjs.Partition(counterA.Key, partitions))
			d.Restart(t, d.Leader(t, stream))
			for p := range partitions {
				stream, _ := cfg.StreamOf(p)
				d.Leader(t, stream)
			}
		},
	}
}

// storeSuite is a rig and what clauses do with it.
type storeSuite struct{ StoreRig }

// counted and emptied are the suite's events.
type counted struct {
	N    int    `json:"n"`
	Note string `json:"note,omitzero"`
}

func (counted) EventType() string { return "Counted" }

type emptied struct{}

func (emptied) EventType() string { return "Emptied" }

// counter names an aggregate of the suite.
func counter(key string) esjs.StreamID { return esjs.StreamID{Category: "counter", Key: key} }

// near is a counter in the partition of [counterA], of three that a store may have: what is
// written with it in one AppendAll.
func near(key string) esjs.StreamID {
	for key != "" && esjs.Partition(key, 3) != esjs.Partition(counterA.Key, 3) {
		key += "+"
	}
	return counter(key)
}

func counts(numbers ...int) []esjs.Event {
	events := make([]esjs.Event, len(numbers))
	for i, n := range numbers {
		events[i] = counted{N: n}
	}
	return events
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (s *storeSuite) open(t testing.TB) *esjs.Store {
	t.Helper()
	return s.openBehind(t, s.Dial)
}

func (s *storeSuite) openBehind(t testing.TB, dial esjs.Dial) *esjs.Store {
	t.Helper()
	store, err := esjs.Open(bounded(t), dial, s.Config)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(store.Close)
	return store
}

// faulty opens the store behind faults.
func (s *storeSuite) faulty(t testing.TB) (*esjs.Store, *Faults) {
	t.Helper()
	f := s.Faults()
	return s.openBehind(t, f.Dial()), f
}

// takes makes a call again until it took from least to most requests, and fails when ten did not: what a busy server does not
// answer in time is asked again, which is not what the call costs.
func takes(t testing.TB, f *Faults, what string, least, most int, call func(try int)) {
	t.Helper()
	var took []int
	for try := range 10 {
		before := f.Requests()
		call(try)
		n := f.Requests() - before
		if least <= n && n <= most {
			return
		}
		took = append(took, n)
	}
	t.Fatalf("%s took %v requests, want %d to %d", what, took, least, most)
}

// add appends one commit of counts.
func add(t testing.TB, store *esjs.Store, id esjs.StreamID, expect esjs.Expectation, numbers ...int) esjs.Revision {
	t.Helper()
	out, err := store.Append(bounded(t), id, expect, counts(numbers...)...)
	if err != nil {
		t.Fatalf("append to %s: %v", id, err)
	}
	return out.Revision
}

// addMany appends so many commits, each of one count.
func addMany(t testing.TB, store *esjs.Store, id esjs.StreamID, commits int) esjs.Revision {
	t.Helper()
	var at esjs.Revision
	for n := range commits {
		at = add(t, store, id, esjs.AtRevision(at), n)
	}
	return at
}

func write(id esjs.StreamID, expect esjs.Expectation, numbers ...int) esjs.Write {
	return esjs.Write{Stream: id, Expect: expect, Events: counts(numbers...)}
}

// records reads an iteration to its end.
func records(t testing.TB, all func(func(esjs.Record, error) bool)) []esjs.Record {
	t.Helper()
	read, err := recordsOr(all)
	if err != nil {
		t.Fatalf("after %d events: %v", len(read), err)
	}
	return read
}

func recordsOr(all func(func(esjs.Record, error) bool)) (read []esjs.Record, err error) {
	for r, err := range all {
		if err != nil {
			return read, err
		}
		read = append(read, r)
	}
	return read, nil
}

func versions(read []esjs.Record) (all []uint64) {
	for _, r := range read {
		all = append(all, r.Version)
	}
	return all
}

// span lists from, from+1 … to, or from, from-1 … to.
func span(from, to uint64) (all []uint64) {
	for v := min(from, to); v <= max(from, to); v++ {
		all = append(all, v)
	}
	if from > to {
		slices.Reverse(all)
	}
	return all
}

// refresh shows the leader's version of an aggregate to a store, which then
// reads nothing older.
func refresh(t testing.TB, store *esjs.Store, id esjs.StreamID) uint64 {
	t.Helper()
	h, err := esjs.NewCommandHandler(bounded(t), store, aggregate(t), esjs.HandlerConfig[total]{})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := h.Load(bounded(t), id.Key, esjs.Fresh())
	if err != nil {
		t.Fatalf("load %s: %v", id, err)
	}
	return loaded.Revision.Version()
}

// numbers reads a counter, of which there may be none, as the leader has it.
func numbers(t testing.TB, store *esjs.Store, id esjs.StreamID) (all []int) {
	t.Helper()
	refresh(t, store, id)
	read, err := recordsOr(store.Read(bounded(t), id, 0, 0))
	if err != nil && !errors.Is(err, esjs.ErrNotFound) {
		t.Fatalf("read %s: %v", id, err)
	}
	for i, r := range read {
		var n int
		if _, err := fmt.Sscanf(string(r.Data), `{"n":%d`, &n); err != nil || r.Version != uint64(i+1) {
			t.Fatalf("event %d of %s is %s at version %d: %v", i+1, id, r.Data, r.Version, err)
		}
		all = append(all, n)
	}
	return all
}

func wantNumbers(t testing.TB, store *esjs.Store, id esjs.StreamID, want ...int) {
	t.Helper()
	if got := numbers(t, store, id); !slices.Equal(got, want) {
		t.Fatalf("%s has %v, want %v", id, got, want)
	}
}

func wantNothingStored(t testing.TB, store *esjs.Store) {
	t.Helper()
	if last, err := store.Last(bounded(t)); err != nil || !last.IsZero() {
		t.Fatalf("the last commit is at %s, %v; nothing should be stored", last, err)
	}
}

func wantConflict(t testing.TB, err error, id esjs.StreamID, expected, actual uint64) {
	t.Helper()
	var conflict *esjs.ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, esjs.ErrConflict) || errors.Is(err, esjs.ErrUnknownOutcome) ||
		*conflict != (esjs.ConflictError{Stream: id, Expected: expected, Actual: actual}) {
		t.Fatalf("got %v, want a conflict of %s at version %d, not %d", err, id, actual, expected)
	}
}

func wantCorrupt(t testing.TB, err error, id esjs.StreamID, at uint64) {
	t.Helper()
	var corrupt *esjs.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Position.Sequence() != at || corrupt.Stream != id {
		t.Fatalf("got %v, want that %s is corrupt at %d", err, id, at)
	}
}

// parsed is a revision as another program knows it, which got its text.
func parsed(t testing.TB, r esjs.Revision) esjs.Revision {
	t.Helper()
	p, err := esjs.ParseRevision(r.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
