package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// smallBucket is a bucket that can be filled, and made larger as an operator does.
type smallBucket struct {
	js  jetstream.JetStream
	kv  jetstream.KeyValue
	cfg jetstream.KeyValueConfig
}

func newSmallBucket(t *testing.T, d *esjstest.Deployment, name string) smallBucket {
	t.Helper()
	js := jetStream(t, d.Connect(t))
	cfg := jetstream.KeyValueConfig{Bucket: name, History: 1, Storage: jetstream.FileStorage, MaxBytes: 8 << 10, LimitMarkerTTL: time.Minute}
	kv, err := js.CreateKeyValue(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return smallBucket{js, kv, cfg}
}

// fill leaves no room for an entry of the last of the sizes.
func (b smallBucket) fill(t *testing.T, sizes ...int) {
	t.Helper()
	n := 0
	for _, size := range sizes {
		for err := error(nil); err == nil; n++ {
			_, err = b.kv.Put(testContext(t), fmt.Sprint("filler-", n), make([]byte, size))
		}
	}
}

func (b smallBucket) enlarge(t *testing.T) {
	t.Helper()
	b.cfg.MaxBytes = 64 << 20
	if _, err := b.js.UpdateKeyValue(testContext(t), b.cfg); err != nil {
		t.Fatal(err)
	}
}

// unparked waits until the observer was told n times that a key is not parked.
func (s *signals) unparked(t *testing.T, subscription string, n int) {
	t.Helper()
	for told := 0; told < n; told++ {
		before := s.count(s.failed, subscription)
		s.await(t, "it is told that a key is not parked", func() bool {
			return s.failed[subscription] > before && strings.Contains(s.lastError[subscription], "is not parked")
		})
	}
}

// A key that cannot be parked, because the bucket is full, waits until it can. Nothing
// of it is handled again meanwhile, other keys go on, and the observer is told.
func TestParkWaitsForRoomInTheBucket(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	full := newSmallBucket(t, r.Deployment, "FULL")
	s := newSignals()
	cfg := r.cfg
	cfg.Bucket, cfg.Observer, cfg.Lease, cfg.Retry.Attempts = "FULL", s, time.Minute, 1
	caughtUp := make(chan struct{})
	cfg.OnCaughtUp = func() { close(caughtUp) }
	got := newHandled(t, 1)
	var failures atomic.Int64
	run := r.start(t, cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key == "good" {
			return got.handle(ctx, e)
		}
		failures.Add(1)
		return errors.New("no good")
	})
	select {
	case <-caughtUp: // every lease has its entry in the bucket
	case <-time.After(patience):
		t.Fatal("it has not caught up")
	}
	full.fill(t, 500, 100, 1)
	r.tick(t, "bad")
	s.unparked(t, "test", 2)
	r.tick(t, "bad")
	r.tick(t, "good")
	got.wait()
	s.unparked(t, "test", 1)
	full.enlarge(t)
	s.await(t, "it is parked", func() bool { return s.parked["test"] == 1 })
	run.stopped(t)
	if n := failures.Load(); n != 1 {
		t.Errorf("the handler was called %d times for a key that is to be parked", n)
	}
	status, err := esjs.Subscriptions(within(t), r.store, "FULL")
	if err != nil || len(status[0].Parked) != 1 || status[0].Parked[0].Count != 2 || status[0].Parked[0].Reason != "no good" {
		t.Errorf("%+v, %v", status, err)
	}
}

// A subscription with very many parked keys parks no more of them until others are released.
func TestParkOfTooManyKeysWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	js := jetStream(t, r.Connect(t))
	for n := range 1000 {
		entry := fmt.Sprintf(`{"subscription":"test","key":"k-%d","reason":"no good","since":"2026-11-01T00:00:00Z"}`, n)
		if _, err := js.PublishAsync(fmt.Sprintf("$KV.%s.parked.test.k-%d", subscriptions, n), []byte(entry)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the entries are not stored")
	}
	s := newSignals()
	cfg := r.cfg
	cfg.Observer = s
	run := r.start(t, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return esjs.Park(errors.New("no good")) })
	r.tick(t, "bad")
	s.unparked(t, "test", 1)
	if n := s.count(s.parked, "test"); n != 1000 {
		t.Errorf("%d keys are parked", n)
	}
	r.release(t, "k-7") // nothing waits of it
	r.waitForParked(t, "clock/bad", 1)
	run.stopped(t)
	if n := len(r.parked(t)); n != 1000 {
		t.Errorf("%d keys are parked in the end", n)
	}
}

// An instance that cannot be set aside keeps once that it is being: because of an input or of a
// timer, however often that is tried, and in the next process too.
func TestQuarantineThatIsNotStoredIsKeptOnce(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	full := newSmallBucket(t, r.Deployment, "FULL")
	var blessed atomic.Bool
	start := func(s *signals) *assemblyRun {
		o := observed(s)
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			keepsQuarantines(&blessed)(p)
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				events, err := react(a, in)
				if err != nil {
					err = fmt.Errorf("%w, %s", err, strings.Repeat("and so on ", 120))
				}
				return events, err
			}
		}
		o.config = func(c *esjs.ProcessConfig) {
			c.Bucket, c.Lease, c.Observer = "FULL", time.Minute, s
			c.Owner, c.ExclusiveOwner = "the only one", true // where the lease cannot be given back
		}
		p := r.start(t, o)
		s.await(t, "it is active", func() bool { return s.active["assembly"] && s.active["assembly-timers"] })
		return p
	}
	s := newSignals()
	p := start(s)
	full.fill(t, 800)            // leases still have room to grow
	r.place(t, "o-1", time.Hour) // is not cursed
	r.seen.await(t, "o-1", "AssemblyStarted")
	r.arrive(t, "o-1", "left")
	s.unparked(t, "assembly", 2)
	r.check(t, "o-1", "AssemblyStarted", "SetAside")
	p.shutdown(t)

	s = newSignals()
	p = start(s)
	s.unparked(t, "assembly", 1)
	r.check(t, "o-1", "AssemblyStarted", "SetAside")
	full.enlarge(t)
	p.quarantined(t, "o-1: 1")
	p.release(t, "o-1") // it is still cursed, which is another quarantine
	r.seen.await(t, "o-1", "AssemblyStarted", "SetAside", "SetAside")
	p.shutdown(t)
	r.check(t, "o-1", "AssemblyStarted", "SetAside", "SetAside")
}

// Neither does a timer whose instance cannot be set aside.
func TestQuarantineByATimerThatIsNotStoredIsKeptOnce(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	full := newSmallBucket(t, r.Deployment, "FULL")
	var blessed atomic.Bool
	s := newSignals()
	o := observed(s)
	o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		cursedTimers(&blessed)(p)
		p.Quarantined = func(_ assembly, q esjs.Quarantine) esjs.Event { return setAside{Order: q.Key, Reason: q.Reason} }
	}
	o.config = func(c *esjs.ProcessConfig) { c.Bucket, c.Lease, c.Observer = "FULL", time.Minute, s }
	p := r.start(t, o)
	s.await(t, "it is active", func() bool { return s.active["assembly"] && s.active["assembly-timers"] })
	full.fill(t, 500, 100, 1)
	r.place(t, "ill", 10*time.Millisecond)
	s.await(t, "the instance is not set aside", func() bool {
		return s.failed["assembly-timers"] >= 5 && strings.Contains(s.lastError["assembly-timers"], "store full")
	})
	r.check(t, "ill", "AssemblyStarted", "SetAside")
	full.enlarge(t)
	p.quarantined(t, "ill: 0")
	p.shutdown(t)
	r.check(t, "ill", "AssemblyStarted", "SetAside")
}
