package esjs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// A process on an old store starts where it is told to, and later where it was.
func TestProcessStartsWhereItIsTold(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	r.place(t, "before", time.Hour)
	now, err := r.store.Last(contextWithPatience(t))
	if err != nil {
		t.Fatal(err)
	}
	from := options{config: func(c *esjs.ProcessConfig) { c.From = now }}
	r.place(t, "after", time.Hour)
	p := r.start(t, from)
	r.seen.await(t, "after", "AssemblyStarted")
	p.shutdown(t)
	r.place(t, "meanwhile", time.Hour)
	if now, err = r.store.Last(contextWithPatience(t)); err != nil {
		t.Fatal(err)
	}
	p = r.start(t, from) // the stored position holds
	r.seen.await(t, "meanwhile", "AssemblyStarted")
	p.shutdown(t)
	r.check(t, "before")
}

func TestLastBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	before := func(at time.Time) uint64 {
		t.Helper()
		p, err := r.store.LastBefore(within(t), at)
		if err != nil {
			t.Fatal(err)
		}
		return p.Sequence()
	}
	if got := before(time.Now()); got != 0 {
		t.Errorf("in an empty store: %d", got)
	}
	const commits = 20
	for range commits {
		r.tick(t, "a")
	}
	stream, err := jetStream(t, r.Connect(t)).Stream(within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var stored []time.Time
	for i := range commits {
		m, err := stream.GetMsg(within(t), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, m.Time)
	}
	for i, at := range stored {
		want := uint64(i)
		for want > 0 && !stored[want-1].Before(at) { // two at the same time
			want--
		}
		if got := before(at); got != want {
			t.Errorf("before commit %d was stored: %d, want %d", i+1, got, want)
		}
	}
	if got := before(stored[commits-1].Add(time.Nanosecond)); got != commits {
		t.Errorf("after all: %d", got)
	}
	if got := before(time.Time{}); got != 0 {
		t.Errorf("before all: %d", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.store.LastBefore(ctx, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
