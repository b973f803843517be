package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

const (
	handoverKeys    = 6
	handoverCommits = 60
)

// writeAll appends to every key for a while, and returns when all is stored.
func (r *rig) writeAll(t *testing.T) *sync.WaitGroup {
	var writers sync.WaitGroup
	for k := range handoverKeys {
		writers.Go(func() {
			for range handoverCommits {
				if _, err := r.store.Append(context.Background(), clock(fmt.Sprint("k", k)), esjs.Any(), ticked{}); err != nil {
					t.Error(err)
				}
				<-time.After(rand.N(20 * time.Millisecond)) // so that there is always something under way
			}
		})
	}
	return &writers
}

// flaky handles with failures now and then.
func (h *handled) flaky(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
	if rand.N(5) == 0 {
		return errors.New("try again")
	}
	return h.handle(ctx, e)
}

// finished tells that every key was handled to its end.
func (h *handled) finished() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range handoverKeys {
		versions := h.all[fmt.Sprint("k", k)]
		if len(versions) == 0 || versions[len(versions)-1] != handoverCommits {
			return false
		}
	}
	return true
}

// Clean stops repeat nothing and leave nothing out.
func TestHandoverByCleanStops(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	r.cfg.Lease = 20 * time.Second
	got := newHandled(t, 0)
	instances := []*running{r.start(t, r.cfg, got.flaky), r.start(t, r.cfg, got.flaky)}
	writers := r.writeAll(t)
	for range 10 {
		eventually(t, "nobody has the lease", func() bool { return r.owner(t) != "" })
		i := rand.N(2)
		instances[i].stopped(t)
		instances[i] = r.start(t, r.cfg, got.flaky)
	}
	writers.Wait()
	eventually(t, "not all was handled", got.finished)
	for _, i := range instances {
		i.stopped(t)
	}
	for key, versions := range got.all {
		if !gapless(versions, handoverCommits) {
			t.Errorf("%s: %v", key, versions)
		}
	}
}

// Owners that are cut off repeat some of what they had handled, in order, and
// leave nothing out.
func TestHandoverByPartitions(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	r.cfg.Lease = 3 * time.Second
	got := newHandled(t, 0)
	var links []*link
	var instances []*running
	for i := range 2 {
		l := newLink()
		cfg := r.cfg
		cfg.Owner = fmt.Sprint(i)
		links = append(links, l)
		instances = append(instances, r.instance(t, l).start(t, cfg, got.flaky))
	}
	writers := r.writeAll(t)
	for range 3 {
		eventually(t, "nobody has the lease", func() bool { return r.owner(t) != "" })
		owner := r.owner(t)
		var i int
		if owner == "1" {
			i = 1
		}
		links[i].set(true, false)
		eventually(t, "nobody took over", func() bool { now := r.owner(t); return now != owner && now != "" })
		links[i].set(false, false)
	}
	writers.Wait()
	eventually(t, "not all was handled", got.finished)
	for _, i := range instances {
		i.stopped(t)
	}
	for key, versions := range got.all {
		for i, v := range versions {
			if i == 0 && v != 1 || i > 0 && v > versions[i-1]+1 {
				t.Errorf("%s: something was left out: %v", key, versions)
				break
			}
		}
	}
}
