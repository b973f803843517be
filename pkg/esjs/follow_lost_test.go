package esjs_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// olderLog returns what puts the event stream back to what the server has of it now, as after a failure that
// the disk has forgotten the last messages in, or after a restore.
func (r *rig) olderLog(t *testing.T) (putBack func()) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(r.Servers()[0].JetStreamConfig().StoreDir, "*", "streams", "EVENTS"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	stored, kept := all[0], filepath.Join(t.TempDir(), "EVENTS")
	replace := func(to, from string) {
		r.Stop(0)
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		r.Start(t, 0)
	}
	replace(kept, stored)
	return func() { replace(stored, kept) }
}

// readers runs one of each kind on what the clock "a" does, and returns their ends. Each is told how many commits
// it has had so far.
func (r *rig) readers(t *testing.T, had func(reader string)) map[string]func() error {
	t.Helper()
	if err := esjs.ProvisionBucket(within(t), r.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	ends := map[string]func() error{}
	start := func(name string, run func(context.Context) error) {
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		go func() { ended <- run(ctx) }()
		ends[name] = func() error { return (&running{cancel, ended}).end(t) }
	}
	handler := func(name string) func(context.Context, esjs.Recorded[esjs.Event]) error {
		return func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			if e.Stream.Key != "a" {
				t.Errorf("the %s was given a commit of the other log, %s", name, e.Position)
			}
			had(name)
			return nil
		}
	}
	start("subscription", func(ctx context.Context) error {
		return esjs.Subscribe(ctx, r.store, r.cfg, handler("subscription"))
	})
	one := r.cfg
	one.Bucket, one.EveryInstance, one.Query = "", true, esjs.Query{Streams: []esjs.StreamID{clock("a")}}
	start("subscription to one stream", func(ctx context.Context) error {
		return esjs.Subscribe(ctx, r.store, one, handler("subscription to one stream"))
	})
	start("projection", func(ctx context.Context) error {
		apply := handler("projection")
		return esjs.NewProjector(r.store, kvsink.New(r.store, "VIEWS"), esjs.Projection[*kvsink.Tx, esjs.Event]{
			Name: "view", Version: 1, Codec: r.cfg.Codec,
			Apply: func(ctx context.Context, _ *kvsink.Tx, e esjs.Recorded[esjs.Event]) error { return apply(ctx, e) },
		}, esjs.ProjectionConfig{}).Run(ctx)
	})
	return ends
}

// Who reads while the log loses its end, and gets as many other commits, has seen what is no more and would miss
// what took its place.
func TestARunningReaderDoesNotGoOnInAnotherLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	seen := newSignals()
	ends := r.readers(t, func(reader string) { seen.change(func() { seen.handled[reader]++ }) })
	await := func(n int) {
		t.Helper()
		for reader := range ends {
			seen.await(t, reader, func() bool { return seen.handled[reader] == n })
		}
	}
	r.tick(t, "a")
	r.tick(t, "a")
	await(2)
	putBack := r.olderLog(t)
	r.tick(t, "a")
	await(3)
	putBack()
	other := *r
	other.store = r.Store(t)
	for range 3 {
		other.tick(t, "b")
	}
	for reader, end := range ends {
		t.Log(reader)
		isOfAnotherLog(t, end(), 3)
	}
}

// A reader that has had nothing yet knows what it stands behind.
func TestAWaitingReaderDoesNotGoOnInAnotherLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	r.handledUpTo(t, 3)
	waits := make(chan struct{})
	r.cfg.OnCaughtUp = func() { close(waits) }
	run := r.start(t, r.cfg, newHandled(t, 0).handle)
	<-waits
	again := r.begunAgain(t)
	for range 5 {
		again.tick(t, "b")
	}
	isOfAnotherLog(t, run.end(t), 3)
}

// What a bucket holds is read again when the bucket may be another one: who stands by takes over in the end.
func TestWhoStandsByHearsOfABucketThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	r.cfg.Lease = time.Second
	seen := newHandled(t, 0)
	activities, runs := [2]activity{}, [2]*running{}
	start := func(i int) {
		cfg := r.cfg
		cfg.Observer = &activities[i]
		runs[i] = r.start(t, cfg, seen.handle)
	}
	start(0)
	eventually(t, "nobody has the lease", func() bool { return activities[0].String() == "on" })
	start(1)
	eventually(t, "nobody stands by", func() bool { return activities[1].String() == "off" })
	eventually(t, "the lease is not renewed", func() bool { // so that the bucket is behind this for long when it is made anew
		info, err := jetStream(t, r.Connect(t)).Stream(within(t), "KV_"+subscriptions)
		return err == nil && info.CachedInfo().State.LastSeq > 10
	})
	if err := jetStream(t, r.Connect(t)).DeleteKeyValue(within(t), subscriptions); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionBucket(within(t), r.Dial(), subscriptions, 1); err != nil {
		t.Fatal(err)
	}
	r.tick(t, "a")
	eventually(t, "nobody handles", func() bool { return seen.versions("a") != "" })
	active, other := runs[0], runs[1]
	if activities[1].String() != "off" {
		active, other = other, active
	}
	active.stopped(t)
	r.tick(t, "b")
	eventually(t, "nobody takes over", func() bool { return seen.versions("b") == "1" })
	other.stopped(t)
}
