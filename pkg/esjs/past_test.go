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
