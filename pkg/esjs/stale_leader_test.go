package esjs_test

import (
	"context"
	"errors"
	"slices"
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

// A sealed value proves that its key was stored: that there is none is not the word of a leader that was cut off before. What
// it says would be set aside, with no attempt.
func TestAKeyIsNotMissingWhereAFormerLeaderDoesNotKnowIt(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t, esjstest.Partitions(1))
	store, former := keyedStore(t, d, master(1)), newFormerLeader(t, d)
	reading := keyedOn(t, d, former.dial)
	former.remember(t, "KV_"+keyBucket, "$KV."+keyBucket+".person.m-1")
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	if c := loaded(t, clubHandler(t, reading, esjs.HandlerConfig[club]{}), "m-1"); c.Names["m-1"] != "Ada" {
		t.Errorf("loaded %+v", c)
	}
	former.resign(t)
}

// What is read after a PersonErased is erased, whatever a former leader still has.
func TestNothingOfAPersonIsReadAfterTheErasureBesideAFormerLeader(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t, esjstest.Partitions(1))
	store, late, former := keyedStore(t, d, master(1)), keyedStore(t, d, master(1)), newFormerLeader(t, d)
	reading := keyedOn(t, d, former.dial)
	esjs.StopKeyWatch(late)
	esjs.StopKeyWatch(reading)
	for _, key := range []string{"first", "late"} {
		if key == "late" {
			if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
				t.Fatal(err)
			}
		}
		// late has the key in memory and does not know better.
		if _, err := late.Append(testContext(t), member(key), esjs.NoStream(), ada("m-1")); err != nil {
			t.Fatal(err)
		}
		if key == "first" {
			former.remember(t, "KV_"+keyBucket, "$KV."+keyBucket+".person.m-1")
		}
	}
	var names []string
	for r, err := range reading.ReadAll(testContext(t), esjs.Query{Categories: []string{"member", "erasure"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Stream.Category != "member" {
			continue
		}
		e, err := joinedCodec(t).Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Stream.Key+" "+e.Event.(joined).Name.Value())
	}
	if want := []string{"first Ada", "late "}; !slices.Equal(names, want) {
		t.Errorf("read %q, want %q", names, want)
	}
	former.resign(t)
}

// An erasure is complete when the old key is gone from the bucket, which a former leader does not know it to have been replaced in.
func TestAnErasureRemovesTheKeyBesideAFormerLeader(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store, former := keyedStore(t, d, master(1)), newFormerLeader(t, d)
	erasing := keyedOn(t, d, former.dial)
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	entry := "$KV." + keyBucket + ".person.m-1"
	former.remember(t, "KV_"+keyBucket, entry)
	former.rememberFirst(t, "KV_"+keyBucket, entry)
	if err := erasing.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	former.resign(t)
	report, err := esjs.VerifyErased(testContext(t), store, joinedCodec(t), "m-1")
	if err != nil || !report.Complete() {
		t.Errorf("after the erasure: %+v, %v", report, err)
	}
}

// keyedOn opens another store with keys, on connections of its own.
func keyedOn(t *testing.T, d *esjstest.Deployment, dial esjs.Dial) *esjs.Store {
	t.Helper()
	cfg := d.Config()
	cfg.Keys = &esjs.KeyConfig{Bucket: keyBucket, Master: master(1)}
	store, err := esjs.Open(testContext(t), dial, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}
