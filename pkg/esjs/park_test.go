package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// parked returns the parked keys of the bucket's only subscription.
func (r *rig) parked(t testing.TB) []esjs.Parked {
	t.Helper()
	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	if len(status) == 0 {
		return nil
	}
	return status[0].Parked
}

func (r *rig) waitForParked(t testing.TB, key string, count int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is not parked with %d commits", key, count), func() bool {
		for _, p := range r.parked(t) {
			if p.Key == key && p.Count == count {
				return true
			}
		}
		return false
	})
}

func (r *rig) release(t testing.TB, key string) {
	t.Helper()
	if err := r.subscription().Release(within(t), key); err != nil {
		t.Fatal(err)
	}
}

// poison is a handler that fails at one version of the key "bad" until it is cured.
func (h *handled) poison(at uint64, cured *atomic.Bool, err error) func(context.Context, esjs.Recorded[esjs.Event]) error {
	return func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key == "bad" && e.Version == at && !cured.Load() {
			return err
		}
		return h.handle(ctx, e)
	}
}

func TestParkSetsOneKeyAside(t *testing.T) {
	for name, failure := range map[string]error{
		"at once":                    esjs.Park(errors.New("no good")),
		"when attempts are used up":  errors.New("no good"),
		"what does not decode below": fmt.Errorf("loading: %w", &esjs.DecodeError{Type: "Other", Err: errors.New("no good")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, esjstest.Server(t))
			cfg := r.cfg
			cfg.Retry.Attempts = 3
			var cured atomic.Bool
			got := newHandled(t, 10)
			run := r.start(t, cfg, got.poison(2, &cured, failure))
			for range 4 {
				r.tick(t, "bad")
				r.tick(t, "good")
				r.tick(t, "fine")
			}
			r.waitForParked(t, "clock/bad", 3)
			eventually(t, "the others do not go on", func() bool {
				return got.versions("good") == "1 2 3 4" && got.versions("fine") == "1 2 3 4"
			})
			if got.versions("bad") != "1" {
				t.Errorf("the parked key went on: %s", got.versions("bad"))
			}
			if p := r.parked(t)[0]; !strings.Contains(p.Reason, "no good") || p.Since.IsZero() {
				t.Errorf("%+v", p)
			}
			// Another instance knows what is parked.
			run.stopped(t)
			got = newHandled(t, 4)
			run = r.start(t, cfg, got.poison(2, &cured, failure))
			r.tick(t, "bad")
			r.waitForParked(t, "clock/bad", 4)

			since := r.parked(t)[0].Since
			r.release(t, "clock/bad") // not cured: it comes back
			eventually(t, "it was not parked again", func() bool { return r.parked(t)[0].Since.After(since) })
			r.waitForParked(t, "clock/bad", 4)

			cured.Store(true)
			r.release(t, "clock/bad")
			eventually(t, "it is not replayed", func() bool { return got.versions("bad") == "2 3 4 5" })
			r.tick(t, "bad")
			eventually(t, "it does not go on", func() bool { return got.versions("bad") == "2 3 4 5 6" })
			eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
			run.stopped(t)
			if err := r.tryRelease(t); !errors.Is(err, esjs.ErrNotFound) {
				t.Errorf("release of a key that is not parked: %v", err)
			}
		})
	}
}

// A commit that nobody wants to be handled is given up, once; what came after it is handled in order.
func TestDropParkedGivesUpOneCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	var cured atomic.Bool
	got := newHandled(t, 10)
	run := r.start(t, r.cfg, got.poison(2, &cured, esjs.Park(errors.New("no good"))))
	drop := func(from esjs.Position) error {
		return r.subscription().DropParked(within(t), "clock/bad", from)
	}
	r.tick(t, "bad")
	if err := drop(esjs.Position{}); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("of a key that is not parked: %v", err)
	}
	for range 3 {
		r.tick(t, "bad")
	}
	r.waitForParked(t, "clock/bad", 3)
	from := r.parked(t)[0].From
	if err := drop(esjs.Position{}); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("of another commit: %v", err)
	}
	if p := r.parked(t)[0]; p.Count != 3 || p.Released {
		t.Errorf("a drop that was refused leaves %+v", p)
	}
	if err := drop(from); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what came after it is not handled", func() bool { return got.versions("bad") == "1 3 4" })
	r.tick(t, "bad")
	eventually(t, "it does not go on", func() bool { return got.versions("bad") == "1 3 4 5" })
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	if err := drop(from); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("a drop that is repeated: %v", err)
	}
	run.stopped(t)

	// The only one that waits.
	got = newHandled(t, 10)
	run = r.start(t, r.cfg, got.poison(6, &cured, esjs.Park(errors.New("no good"))))
	r.tick(t, "bad")
	r.waitForParked(t, "clock/bad", 1)
	if err := drop(r.parked(t)[0].From); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	r.tick(t, "bad")
	eventually(t, "it does not go on", func() bool { return got.versions("bad") == "7" })
	run.stopped(t)
}

func (r *rig) tryRelease(t testing.TB) error {
	t.Helper()
	return r.subscription().Release(within(t), "clock/bad")
}

func TestParkOfAnUnknownEvent(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	got := newHandled(t, 3)
	run := r.start(t, r.cfg, got.handle)
	r.tick(t, "bad")
	r.tick(t, "bad", ticked{}, unheard{}) // a commit is handled as a whole
	r.tick(t, "bad")
	r.tick(t, "good")
	r.waitForParked(t, "clock/bad", 2)
	eventually(t, "the others do not go on", func() bool { return got.versions("good") == "1" })
	run.stopped(t)
	if got.versions("bad") != "1" {
		t.Errorf("handled %s", got.versions("bad"))
	}
	// The next release of the service knows the type.
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, ticked](), esjs.TypeOf[esjs.Event, unheard]())
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Codec = codec
	got = newHandled(t, 3)
	run = r.start(t, r.cfg, got.handle)
	r.release(t, "clock/bad")
	got.wait()
	run.stopped(t)
	if got.versions("bad") != "2 3 4" {
		t.Errorf("handled %s", got.versions("bad"))
	}
}

func TestParkOfMoreThanAnEntryLists(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	const commits = 1300
	var cured atomic.Bool
	got := newHandled(t, commits)
	run := r.start(t, r.cfg, got.poison(1, &cured, esjs.Park(errors.New("no good"))))
	for range commits - 200 {
		r.tick(t, "bad")
	}
	r.waitForParked(t, "clock/bad", 1001)
	run.stopped(t)
	run = r.start(t, r.cfg, got.poison(1, &cured, esjs.Park(errors.New("no good"))))
	for range 100 {
		r.tick(t, "bad")
	}
	cured.Store(true)
	r.release(t, "clock/bad")
	for range 100 {
		r.tick(t, "bad")
	}
	got.wait()
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	run.stopped(t)
	if !gapless(got.all["bad"], commits) {
		t.Errorf("handled %v", got.all["bad"])
	}
}

// A commit whose events belong to several keys is handled by each, and one
// that is parked holds up its own key only.
func TestParkOneKeyOfACommit(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Key = func(e esjs.Recorded[esjs.Event]) string {
		switch n := e.Event.(ticked).N; n {
		case 0:
			return ""
		default:
			return fmt.Sprint("n", n)
		}
	}
	got := newHandled(t, 0)
	var cured atomic.Bool
	run := r.start(t, cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Event.(ticked).N == 2 && !cured.Load() {
			return esjs.Park(errors.New("no good"))
		}
		e.Stream.Key = fmt.Sprint("n", e.Event.(ticked).N)
		return got.handle(ctx, e)
	})
	for range 3 {
		r.tick(t, "a", ticked{1}, ticked{0}, ticked{2}, ticked{1})
	}
	eventually(t, "the other key does not go on", func() bool { return got.versions("n1") == "1 4 5 8 9 12" })
	r.waitForParked(t, "n2", 3)
	cured.Store(true)
	r.release(t, "n2")
	eventually(t, "it is not replayed", func() bool { return got.versions("n2") == "3 7 11" })
	run.stopped(t)
}

// An event whose key cannot be told, because it does not decode or because Key
// panics, is parked under its aggregate, and handled when that is mended and
// the aggregate is released.
func TestParkOfAnEventWithoutAKey(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Key = func(e esjs.Recorded[esjs.Event]) string {
		switch tick := e.Event.(type) {
		case ticked:
			return []string{"zero", "one"}[tick.N] // panics for others
		case unheard:
			return "unheard"
		}
		return ""
	}
	got := newHandled(t, 0)
	run := r.start(t, cfg, got.handle)
	r.tick(t, "bad", ticked{1}, ticked{2})
	r.tick(t, "worse", unheard{})
	r.tick(t, "good")
	r.waitForParked(t, "clock/bad", 1)
	r.waitForParked(t, "clock/worse", 1)
	eventually(t, "the others do not go on", func() bool { return got.versions("good") == "1" })
	run.stopped(t)
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, ticked](), esjs.TypeOf[esjs.Event, unheard]())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Codec, cfg.Key = codec, func(e esjs.Recorded[esjs.Event]) string { return e.Type }
	run = r.start(t, cfg, got.handle)
	r.release(t, "clock/bad")
	r.release(t, "clock/worse")
	eventually(t, "it is still listed", func() bool { return len(r.parked(t)) == 0 })
	run.stopped(t)
	if got.versions("bad") != "1 1 2" || got.versions("worse") != "1" { // what the commit had for another key is handled again
		t.Errorf("handled %s and %s", got.versions("bad"), got.versions("worse"))
	}
}

// What cannot be decoded is told each time that it is parked: no handler is called, which could tell of it.
func TestWhatCannotBeDecodedIsTold(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg, seen := r.cfg, newSignals()
	cfg.Observer = seen
	run := r.start(t, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	r.tick(t, "worse", unheard{})
	r.waitForParked(t, "clock/worse", 1)
	if told := seen.count(seen.failed, "test"); told != 1 {
		t.Errorf("told %d times when it was parked, want once", told)
	}
	r.release(t, "clock/worse")
	eventually(t, "it is not told when the released key is parked again", func() bool { return seen.count(seen.failed, "test") == 2 })
	run.stopped(t)
	if handled := seen.count(seen.handled, "test"); handled != 0 {
		t.Errorf("%d calls of the handler are told of, and there was none", handled)
	}
}

// What Key returns and cannot be a key parks the event under its aggregate, and
// nothing of the store is harmed: the subject of its entry would not fit.
func TestParkOfAnEventWhoseKeyIsNoKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	keys := []string{"good", strings.Repeat("é", 1000), strings.Repeat("k", 256), "\xff"}
	cfg.Key = func(e esjs.Recorded[esjs.Event]) string { return keys[e.Event.(ticked).N] }
	got := newHandled(t, 1)
	run := r.start(t, cfg, got.handle)
	for n := range keys {
		r.tick(t, fmt.Sprint("k-", (n+1)%len(keys)), ticked{(n + 1) % len(keys)}) // the good one last
	}
	for n := 1; n < len(keys); n++ {
		r.waitForParked(t, fmt.Sprint("clock/k-", n), 1)
	}
	got.wait()
	for _, p := range r.parked(t) {
		if !strings.Contains(p.Reason, "Key of Ticked of version 1: the key") {
			t.Errorf("%s waits because: %s", p.Key, p.Reason)
		}
	}
	run.stopped(t)
	// The next release of the service has other keys. The longest aggregate is one.
	long := strings.Repeat("=", 255)
	cfg.Key = func(e esjs.Recorded[esjs.Event]) string { return e.Stream.String() }
	got = newHandled(t, len(keys))
	run = r.start(t, cfg, got.handle)
	r.tick(t, long)
	for n := 1; n < len(keys); n++ {
		r.release(t, fmt.Sprint("clock/k-", n))
	}
	got.wait()
	eventually(t, "something is still listed", func() bool { return len(r.parked(t)) == 0 })
	run.stopped(t)
}

func TestReleaseOfAllParkedKeys(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	var cured atomic.Bool
	got := newHandled(t, 6)
	run := r.start(t, r.cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
		if !cured.Load() {
			return esjs.Park(errors.New("no good"))
		}
		return got.handle(ctx, e)
	})
	for _, key := range []string{"a", "b", "c", "a", "b", "c"} {
		r.tick(t, key)
	}
	for _, key := range []string{"a", "b", "c"} {
		r.waitForParked(t, "clock/"+key, 2)
	}
	cured.Store(true)
	for subscription, want := range map[string]int{"other": 0, "test": 3} {
		if n, err := (esjs.Subscription{Store: r.store, Bucket: subscriptions, Name: subscription}).ReleaseAll(within(t)); n != want || err != nil {
			t.Errorf("%s: released %d, %v, want %d", subscription, n, err, want)
		}
	}
	got.wait()
	eventually(t, "something is still listed", func() bool { return len(r.parked(t)) == 0 })
	run.stopped(t)
	for _, key := range []string{"a", "b", "c"} {
		if got.versions(key) != "1 2" {
			t.Errorf("%s: %s", key, got.versions(key))
		}
	}
}
