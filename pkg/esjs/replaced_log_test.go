package esjs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// begunAgain is the rig after its log was lost and made anew, and nothing else was.
func (r *rig) begunAgain(t *testing.T) *rig {
	t.Helper()
	if err := jetStream(t, r.Connect(t)).DeleteStream(within(t), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	again := *r
	again.store = r.Store(t) // provisions
	return &again
}

// handledUpTo has a subscription handle n commits of one clock, and end.
func (r *rig) handledUpTo(t *testing.T, n int) {
	t.Helper()
	h := newHandled(t, n)
	run := r.start(t, r.cfg, h.handle)
	for range n {
		r.tick(t, "a")
	}
	h.wait()
	run.stopped(t)
}

func isOfAnotherLog(t *testing.T, err error, at uint64) {
	t.Helper()
	if corrupt := (*esjs.CorruptError)(nil); !errors.As(err, &corrupt) || corrupt.Position.Sequence() != at {
		t.Errorf("the subscription ended with %v, want a *CorruptError at %d", err, at)
	}
}

// Where a subscription stands is a place in one log. In another one that has as
// many commits, or gets them while the subscription waits for them, others would be left out.
func TestASubscriptionDoesNotGoOnInAnotherLog(t *testing.T) {
	t.Parallel()
	none := func(context.Context, esjs.Recorded[esjs.Event]) error {
		t.Error("a commit of the other log was handled")
		return nil
	}
	r := newRig(t, esjstest.Server(t))
	r.handledUpTo(t, 3)
	again := r.begunAgain(t)
	for range 3 {
		again.tick(t, "b")
	}
	isOfAnotherLog(t, again.start(t, r.cfg, none).end(t), 3)

	overtaken := again.begunAgain(t)
	run := overtaken.start(t, r.cfg, none)
	for range 5 {
		overtaken.tick(t, "c")
	}
	isOfAnotherLog(t, run.end(t), 3)
}

// A position that was stored before commits were noted with it goes on.
func TestAPositionWithoutACommitGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	r.handledUpTo(t, 3)
	kv, err := jetStream(t, r.Connect(t)).KeyValue(within(t), subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(within(t), "sub.test")
	if err != nil {
		t.Fatal(err)
	}
	var lease map[string]any
	if err := json.Unmarshal(entry.Value(), &lease); err != nil || lease["newest"] == nil {
		t.Fatalf("the position %s is without a commit, %v", entry.Value(), err)
	}
	delete(lease, "newest")
	before, err := json.Marshal(lease)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(within(t), "sub.test", before); err != nil {
		t.Fatal(err)
	}
	h := newHandled(t, 2)
	run := r.start(t, r.cfg, h.handle)
	r.tick(t, "a")
	r.tick(t, "a")
	h.wait()
	run.stopped(t)
	if got := h.versions("a"); got != "4 5" {
		t.Errorf("handled are %s", got)
	}
}

// A snapshot of another log only costs time, wherever that log stands.
func TestASnapshotOfAnotherLogIsNotUsed(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	r := &rig{Deployment: d, store: d.Store(t)}
	policy := esjs.HandlerConfig[balance]{Snapshots: &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 2}}
	h := newHandler(t, d, r.store, policy)
	for range 2 {
		if _, err := h.Handle(testContext(t), "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	first := snapshot(t, d, "a").Value()
	if !bytes.Contains(first, []byte(`"commit":`)) {
		t.Fatalf("the snapshot %s is without its commit", first)
	}
	r = r.begunAgain(t)
	policy.Snapshots.Every = -1 // the old one stays
	for n := 1; n <= 5; n++ {
		if _, err := r.store.Append(testContext(t), account("a"), esjs.ExpectVersion(uint64(n-1)), deposited{Amount: 100}); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			continue // the snapshot is beyond the end of the log
		}
		loaded, err := newHandler(t, d, r.store, policy).Load(testContext(t), "a", esjs.Fresh())
		if err != nil || loaded.State.Total != 100*n {
			t.Errorf("%d commits of 100 give %+v, %v", n, loaded.State, err)
		}
	}
}
