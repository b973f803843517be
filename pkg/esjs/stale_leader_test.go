package esjs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// A leader that was paused may answer once more before it learns that it leads no
// more. That is no damage: it is asked again.
func TestOneStaleAnswerOfALeaderIsNoDamage(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	f := d.Faults()
	h := newHandler(t, d, open(t, f.Dial(), d), esjs.HandlerConfig[balance]{})
	for i := range 3 {
		if _, err := h.Handle(testContext(t), "a", 1); err != nil {
			t.Fatal(err)
		}
		f.StaleLeader(2)
		switch i {
		case 0: // the leader says that there is no such aggregate
			loaded, err := h.Load(testContext(t), "a", esjs.Fresh())
			if err != nil || loaded.State.Total != 1 {
				t.Errorf("loaded is %+v, %v", loaded.State, err)
			}
		case 1:
			var no *esjs.Rejection
			if _, err := h.Handle(testContext(t), "a", -5); !errors.As(err, &no) {
				t.Errorf("a refused command: %v", err)
			}
		case 2: // the replica is behind as well
			h.Forget("a")
			f.StaleReads(1)
			loaded, err := h.Load(testContext(t), "a")
			if err != nil || loaded.State.Total != 3 {
				t.Errorf("loaded is %+v, %v", loaded.State, err)
			}
		}
		if f.Armed() != 0 {
			t.Errorf("case %d: the leader was not asked", i)
		}
	}
}

// What this store has seen refutes a leader that says less: an append that expects a version
// is not refused because of it, and a read is no older.
func TestAStaleAnswerOfALeaderIsNoConflict(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	f := d.Faults()
	store := open(t, f.Dial(), d)
	id := account("a")
	for version := range uint64(2) {
		if _, err := store.Append(testContext(t), id, esjs.ExpectVersion(version), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
		// What the faults answer as old is what was read through them.
		if _, err := versions(store.Read(testContext(t), id, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	f.StaleReads(1)
	f.StaleLeader(1)
	stored, err := store.Append(testContext(t), id, esjs.ExpectVersion(2), deposited{Amount: 1})
	if err != nil || stored.Revision.Version() != 3 {
		t.Errorf("the append that expects the current version: %v, %v", stored.Revision, err)
	}
	f.StaleReads(1)
	f.StaleLeader(1)
	if read, err := versions(store.Read(testContext(t), id, 0, 0)); err != nil || len(read) != 3 {
		t.Errorf("the versions %v are read, %v; three are stored", read, err)
	}
	if f.Armed() != 0 {
		t.Errorf("%d faults have not come", f.Armed())
	}
}

// The version that a conflict names is not below what this store has seen, either, where the server has refused the append.
func TestAStaleLeaderIsNotNamedInAConflict(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	f := d.Faults()
	store := open(t, f.Dial(), d)
	h := newHandler(t, d, store, esjs.HandlerConfig[balance]{})
	id := account("a")
	var known esjs.Revision
	for version := range uint64(3) {
		stored, err := store.Append(testContext(t), id, esjs.ExpectVersion(version), deposited{Amount: 1})
		if err != nil {
			t.Fatal(err)
		}
		if version == 0 {
			known = stored.Revision
		}
		// What the faults answer as old is what was read through them.
		if _, err := h.Load(testContext(t), "a", esjs.Fresh()); err != nil {
			t.Fatal(err)
		}
	}
	f.StaleLeader(1)
	_, err := store.Append(testContext(t), id, esjs.AtRevision(known), deposited{Amount: 1})
	if conflict := (*esjs.ConflictError)(nil); !errors.As(err, &conflict) || conflict.Actual != 3 {
		t.Errorf("a store that has stored version 3 says: %v", err)
	}
	if f.Armed() != 0 {
		t.Errorf("%d faults have not come", f.Armed())
	}
}

// A released key is applied up to what the leader has that leads, and not to what one has that was cut off: what came after that
// would never be in the view.
func TestAReleaseLeavesOutNothingThatAFormerLeaderDoesNotKnow(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t, esjstest.Partitions(1))
	store, former := d.Store(t), newFormerLeader(t, d)
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	reading := open(t, former.dial, d)
	sink := kvsink.New(reading, "VIEWS")
	var mended atomic.Bool
	p := esjs.NewProjector(reading, sink, esjs.Projection[*kvsink.Tx, esjs.Event]{
		Name: "totals", Version: 1, Codec: accountAggregate(t).Codec,
		Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[esjs.Event]) error {
			if !mended.Load() {
				return esjs.Park(errors.New("not yet"))
			}
			return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(n int) (int, error) { return n + e.Event.(deposited).Amount, nil })
		},
	}, esjs.ProjectionConfig{})
	ctx, stop := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	deposit := func(amount int) esjs.Position {
		stored, err := store.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: amount})
		if err != nil {
			t.Fatal(err)
		}
		return stored.Revision.Position()
	}
	deposit(1)
	former.remember(t, "EVENTS", "ev.account.a")
	if err := p.WaitFor(testContext(t), deposit(2)); err != nil {
		t.Fatal(err)
	}
	mended.Store(true)
	if err := p.Release(testContext(t), "account/a"); err != nil {
		t.Error(err)
	}
	former.resign(t)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the projector ended with %v", err)
	}
	var total int
	if _, err := sink.Get(testContext(t), "totals_v1", "a", &total); err != nil || total != 3 {
		t.Errorf("the view has %d, %v; want 3", total, err)
	}
}
