package esjs_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// A version inside a commit is a place to look at and none to append at: the
// aggregate has gone on, in the same commit.
func TestAnAppendAtAVersionInsideACommitIsAConflict(t *testing.T) {
	d := esjstest.Server(t)
	ctx, s := testContext(t), d.Store(t)
	id := account("a")
	if _, err := s.Append(ctx, id, esjs.NoStream(), deposited{Amount: 1}, deposited{Amount: 2}, deposited{Amount: 3}); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	loaded, err := h.Load(ctx, "a", esjs.AtVersion(2))
	if err != nil || loaded.State.Total != 3 || loaded.Revision.Version() != 2 {
		t.Fatalf("at version 2: %+v, %v", loaded, err)
	}
	if _, err := s.Append(ctx, id, esjs.AtRevision(loaded.Revision), deposited{Amount: 9}); !isConflict(err, 2, 3) {
		t.Errorf("an append at version 2 of 3: %v", err)
	}
	parsed, err := esjs.ParseRevision(loaded.Revision.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, id, esjs.AtRevision(parsed), deposited{Amount: 9}); !isConflict(err, 2, 3) {
		t.Errorf("an append at the text of version 2 of 3: %v", err)
	}
	if _, err := s.AppendAll(ctx, h.Write(loaded, esjs.Metadata{}, loaded.Time, deposited{Amount: 9})); !isConflict(err, 2, 3) {
		t.Errorf("a write at version 2 of 3: %v", err)
	}
	if got := amounts(t, s, id); len(got) != 3 {
		t.Errorf("stored %v", got)
	}
}

// A replica that lags shows what was, and never less than this store has shown
// before; that something is not there is the leader's word.
func TestALaggingReplica(t *testing.T) {
	d := esjstest.Server(t)
	f := d.Faults()
	ctx, s, other := testContext(t), open(t, f.Dial(), d), d.Store(t)
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	deposit := func(key string) {
		t.Helper()
		if _, err := other.Append(ctx, account(key), esjs.Any(), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for want := range 2 {
		deposit("loaded")
		h.Forget("loaded")
		if loaded, err := h.Load(ctx, "loaded"); err != nil || loaded.State.Total != want+1 {
			t.Fatalf("loaded %+v, %v", loaded, err)
		}
	}
	h.Forget("loaded")
	f.StaleReads(1)
	if loaded, err := h.Load(ctx, "loaded"); err != nil || loaded.State.Total != 2 {
		t.Errorf("loaded again: %+v, %v", loaded, err)
	}
	deposit("read")
	f.StaleReads(1)
	for r, err := range s.Read(ctx, account("read"), 0, 0) {
		if err != nil || r.Version != 1 {
			t.Errorf("read: version %d, %v", r.Version, err)
		}
	}
	deposit("past")
	f.StaleReads(1)
	if loaded, err := h.Load(ctx, "past", esjs.AtVersion(1)); err != nil || loaded.State.Total != 1 {
		t.Errorf("loaded at version 1: %+v, %v", loaded, err)
	}
	if n := f.Armed(); n != 0 {
		t.Errorf("%d stale reads were not asked for", n)
	}
}
