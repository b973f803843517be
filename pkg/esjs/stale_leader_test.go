package esjs_test

import (
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
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
