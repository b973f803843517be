package kvsink_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// jars is a server with the bucket VIEWS, a store on it, and what decodes its events.
func jars(t *testing.T) (*esjstest.Deployment, *esjs.Store, *esjs.Codec[added]) {
	t.Helper()
	d := esjstest.Server(t)
	store := d.Store(t)
	provision(t, d, "VIEWS")
	codec, err := esjs.NewCodec(esjs.TypeOf[added, added]())
	if err != nil {
		t.Fatal(err)
	}
	return d, store, codec
}

// A released key is applied to rows of its own; where a row of several keys has gone on
// without it, the release is refused, nothing is changed, and the key stays parked.
func TestAReleaseLeavesNoEventOut(t *testing.T) {
	t.Parallel()
	_, store, codec := jars(t)
	sink := kvsink.New(store, "VIEWS")
	var mended atomic.Bool
	rowsOf := func(name string, row func(esjs.StreamID) string) *esjs.Projector[*kvsink.Tx, added] {
		p := esjs.NewProjector(store, sink, esjs.Projection[*kvsink.Tx, added]{Name: name, Version: 1, Codec: codec,
			Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[added]) error {
				if e.Stream.Key == "bad" && !mended.Load() {
					return esjs.Park(errors.New("no good"))
				}
				return kvsink.Update(ctx, tx, row(e.Stream), e.Record, func(n int) (int, error) { return n + e.Event.N, nil })
			}}, esjs.ProjectionConfig{})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("%s ended with %v", name, err)
			}
		})
		return p
	}
	each := rowsOf("each", func(id esjs.StreamID) string { return id.Key })
	total := rowsOf("total", func(esjs.StreamID) string { return "all" })
	var last esjs.Position
	for _, key := range []string{"bad", "bad", "good"} {
		out, err := store.Append(t.Context(), esjs.StreamID{Category: "jar", Key: key}, esjs.Any(), added{10}, added{1})
		if err != nil {
			t.Fatal(err)
		}
		last = last.Later(out.Revision.Position())
	}
	for _, p := range []*esjs.Projector[*kvsink.Tx, added]{each, total} {
		if err := p.WaitFor(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	mended.Store(true)
	if err := each.Release(t.Context(), "jar/bad"); err != nil {
		t.Errorf("rows of one key each: %v", err)
	}
	if err := total.Release(t.Context(), "jar/bad"); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("a row of both: %v, want ErrInvalid", err)
	}
	for row, want := range map[[2]string]int{{"each_v1", "bad"}: 22, {"each_v1", "good"}: 11, {"total_v1", "all"}: 11} {
		var n int
		if _, err := sink.Get(t.Context(), row[0], row[1], &n); err != nil || n != want {
			t.Errorf("%s is %d, %v; want %d", row, n, err, want)
		}
	}
	checkpoint, err := sink.Load(t.Context(), "total_v1")
	if _, parked := checkpoint.Parked["jar/bad"]; err != nil || !parked {
		t.Errorf("parked is %+v, %v", checkpoint.Parked, err)
	}
}

// A release by another program is waited for by the projector, which goes on; one that was cut off after it had claimed the checkpoint, for
// a while.
func TestAProjectorOutlivesReleasesByOthers(t *testing.T) {
	t.Parallel()
	d, store, codec := jars(t)
	var mended atomic.Bool
	waits := make(chan struct{}, 1000)
	projector := func(store *esjs.Store, observer esjs.Observer) *esjs.Projector[*kvsink.Tx, added] {
		sink := kvsink.New(store, "VIEWS")
		kvsink.ReleaseStays(sink, time.Second)
		return esjs.NewProjector(store, sink, esjs.Projection[*kvsink.Tx, added]{Name: "jars", Version: 1, Codec: codec,
			Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[added]) error {
				if e.Stream.Key == "bad" && !mended.Load() {
					return esjs.Park(errors.New("no good"))
				}
				return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(n int) (int, error) { return n + e.Event.N, nil })
			}}, esjs.ProjectionConfig{Observer: observer, Retry: esjs.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond}})
	}
	running := projector(store, waiting{c: waits})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	f := d.Faults()
	operator, err := esjs.Open(t.Context(), f.Dial(), d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(operator.Close)
	add := func(key string) esjs.Position {
		out, err := store.Append(t.Context(), esjs.StreamID{Category: "jar", Key: key}, esjs.Any(), added{1})
		if err != nil {
			t.Fatal(err)
		}
		return out.Revision.Position()
	}
	var last esjs.Position
	for _, cut := range []bool{false, true} {
		mended.Store(false)
		if err := running.WaitFor(t.Context(), last.Later(add("bad"))); err != nil {
			t.Fatal(err)
		}
		mended.Store(true)
		for len(waits) > 0 {
			<-waits
		}
		releasing, end := context.WithCancel(t.Context())
		f.BeforeAppend(func() {}) // the claim
		f.BeforeAppend(func() {   // the row
			last = last.Later(add("good"))
			<-waits
			if cut {
				end()
			}
		})
		err := projector(operator, nil).Release(releasing, "jar/bad")
		if (err != nil) != cut {
			t.Errorf("cut off %v: the release says %v", cut, err)
		}
		end()
		if err := running.WaitFor(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	if err := running.Release(t.Context(), "jar/bad"); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the projector ended with %v", err)
	}
	for row, want := range map[string]int{"bad": 2, "good": 2} {
		var n int
		if _, err := kvsink.New(store, "VIEWS").Get(t.Context(), "jars_v1", row, &n); err != nil || n != want {
			t.Errorf("%s is %d, %v; want %d", row, n, err, want)
		}
	}
}

// waiting is told of attempts that wait.
type waiting struct {
	esjs.NopObserver
	c chan struct{}
}

func (w waiting) Handled(_ string, _ time.Duration, err error) {
	if errors.Is(err, esjs.ErrUnavailable) {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
