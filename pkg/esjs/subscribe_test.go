package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

const subscriptions = "SUBSCRIPTIONS_test"

func TestSubscribeKeepsTheOrderOfEachKey(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	const keys, commits = 20, 25
	got := newHandled(t, keys*commits)
	run := r.start(t, r.cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		switch rand.N(5) {
		case 0:
			return errors.New("try again")
		case 1:
			return esjs.RetryAfter(time.Millisecond, errors.New("too early"))
		case 2:
			if rand.N(3) == 0 {
				panic("a handler may do this")
			}
		}
		got.add(e)
		return nil
	})
	var writers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for range commits {
				if _, err := r.store.Append(context.Background(), clock(fmt.Sprint("k", k)), esjs.Any(), ticked{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	got.wait()
	run.stopped(t)
	for k := range keys {
		if key := fmt.Sprint("k", k); !gapless(got.all[key], commits) {
			t.Errorf("%s: %v", key, got.all[key])
		}
	}
	for _, stream := range []string{"EVENTS", "KV_" + subscriptions} {
		if left := consumers(t, jetStream(t, r.Connect(t)), stream); len(left) > 0 {
			t.Errorf("consumers of %s left: %v", stream, left)
		}
	}
}

func TestSubscribeGoesOnWhereItStopped(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	for range 10 {
		r.tick(t, "a")
		r.tick(t, "b")
	}
	caughtUp := make(chan struct{})
	cfg := r.cfg
	cfg.OnCaughtUp = func() { close(caughtUp) }
	got := newHandled(t, 20)
	run := r.start(t, cfg, got.handle)
	got.wait()
	<-caughtUp
	run.stopped(t)

	status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
	if err != nil || len(status) != 1 {
		t.Fatalf("%v %v", status, err)
	}
	if s := status[0]; s.Name != "test" || s.Owner != "" || s.Position.Sequence() != 20 || s.Lag != 0 {
		t.Errorf("%+v", s)
	}

	again := newHandled(t, 2)
	run = r.start(t, r.cfg, again.handle)
	r.tick(t, "a", ticked{1}, ticked{2})
	again.wait()
	run.stopped(t)
	if again.versions("a") != "11 12" || again.versions("b") != "" {
		t.Errorf("a: %s, b: %s", again.versions("a"), again.versions("b"))
	}
}

func TestSubscribeCatchesUpWithAnEmptyStore(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	caughtUp := make(chan struct{})
	cfg.OnCaughtUp = func() { close(caughtUp) }
	run := r.start(t, cfg, newHandled(t, 0).handle)
	select {
	case <-caughtUp:
	case <-time.After(patience):
		t.Error("not caught up")
	}
	run.stopped(t)
}

func TestSubscribeEveryInstance(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	cfg := r.cfg
	cfg.Bucket, cfg.EveryInstance = "", true
	for range 5 {
		r.tick(t, "a")
	}
	var runs []*running
	var got []*handled
	for range 3 {
		h := newHandled(t, 6)
		got = append(got, h)
		runs = append(runs, r.start(t, cfg, h.handle))
	}
	r.tick(t, "a")
	for i, run := range runs {
		got[i].wait()
		run.stopped(t)
		if got[i].versions("a") != "1 2 3 4 5 6" {
			t.Errorf("instance %d: %s", i, got[i].versions("a"))
		}
	}
	t.Run("where nothing can be parked a poison event ends the subscription", func(t *testing.T) {
		r.tick(t, "a", unheard{})
		var undecodable *esjs.DecodeError
		if err := r.start(t, cfg, newHandled(t, 0).handle).end(t); !errors.As(err, &undecodable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("unknown types can be skipped", func(t *testing.T) {
		cfg := cfg
		cfg.SkipUnknown = true
		h := newHandled(t, 6)
		run := r.start(t, cfg, h.handle)
		h.wait()
		run.stopped(t)
	})
}

func TestSubscribeBatch(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	const keys, commits = 10, 5
	for range commits {
		for k := range keys {
			r.tick(t, fmt.Sprint("k", k))
		}
	}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	got := newHandled(t, keys*commits)
	var sizes []int
	ended := make(chan error, 1)
	go func() {
		ended <- esjs.SubscribeBatch(ctx, r.store, r.cfg, 4, func(_ context.Context, batch []esjs.Delivery[esjs.Event]) []error {
			sizes = append(sizes, len(batch))
			errs := make([]error, len(batch))
			for i, d := range batch {
				if rand.N(4) == 0 {
					errs[i] = errors.New("this one again")
				} else {
					got.add(d.Events[0])
				}
			}
			return errs
		})
	}()
	got.wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for key, versions := range got.all {
		if !gapless(versions, commits) {
			t.Errorf("%s: %v", key, versions)
		}
	}
	if slices.Max(sizes) > 4 || slices.Max(sizes) == 1 {
		t.Errorf("batches of %v", sizes)
	}
}

// A mailer that was given Query{After: last} would otherwise mail the whole history.
func TestAQueryThatOnlyAReadKeepsToIsRefused(t *testing.T) {
	r := newAssemblyRig(t, esjstest.Server(t))
	r.place(t, "o-1", time.Hour)
	last, err := r.store.Last(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for field, query := range map[string]esjs.Query{
		"After": {After: last}, "Until": {Until: last}, "Since": {Since: time.Now()}, "Before": {Before: time.Now()}, "Limit": {Limit: 1},
	} {
		process := assemblyProcess(t)
		process.Inputs = query
		_, ofProcess := esjs.NewProcess(within(t), r.store, process, esjs.ProcessConfig{Service: "test", Bucket: positions, Instances: openOnes})
		ofSubscription := esjs.Subscribe(within(t), r.store, esjs.SubscriptionConfig[esjs.Event]{Name: "mailer", Codec: process.In, Query: query, Bucket: positions},
			func(context.Context, esjs.Recorded[esjs.Event]) error {
				t.Errorf("%s: something was handled", field)
				return nil
			})
		for of, err := range map[string]error{"process assembly": ofProcess, "subscription mailer": ofSubscription} {
			if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "the query has "+field) || !strings.Contains(err.Error(), "From") {
				t.Errorf("%s of %s: %v, want ErrConfig that names it and From", field, of, err)
			}
		}
	}
}

func TestSubscribeRefusesABadConfiguration(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	for name, spoil := range map[string]func(*esjs.SubscriptionConfig[esjs.Event]){
		"no name":        func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Name = "" },
		"no codec":       func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Codec = nil },
		"no bucket":      func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Bucket = "" },
		"both modes":     func(c *esjs.SubscriptionConfig[esjs.Event]) { c.EveryInstance = true },
		"no such bucket": func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Bucket = "NONE" },
		"a bad category": func(c *esjs.SubscriptionConfig[esjs.Event]) { c.Query.Categories = []string{"a.b"} },
	} {
		cfg := r.cfg
		spoil(&cfg)
		if err := esjs.Subscribe(within(t), r.store, cfg, newHandled(t, 0).handle); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
