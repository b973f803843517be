package esjs_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// deniedRig is a store of the user "denied", and what runs on it.
type deniedRig struct {
	guarded
	store *esjs.Store
	cfg   esjs.SubscriptionConfig[esjs.Event]
}

func newDeniedRig(t *testing.T) *deniedRig {
	t.Helper()
	r := &deniedRig{guarded: startGuarded(t, denied())}
	admin, ctx, cfg := esjs.DialURL(r.url("admin")), testContext(t), esjs.Config{MaxBytes: 1 << 20}
	err := errors.Join(esjs.Provision(ctx, admin, cfg), esjs.ProvisionTimers(ctx, admin, 1))
	for _, bucket := range []string{subscriptions, positions, openOnes} {
		err = errors.Join(err, esjs.ProvisionBucket(ctx, admin, bucket, 1))
	}
	if err == nil {
		r.store, err = esjs.Open(ctx, esjs.DialURL(r.url("denied")), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.store.Close)
	r.cfg = esjs.SubscriptionConfig[esjs.Event]{Name: "test", Codec: accountAggregate(t).Codec, Bucket: subscriptions}
	return r
}

func (r *deniedRig) subscribe(ctx context.Context, cfg esjs.SubscriptionConfig[esjs.Event]) error {
	return esjs.Subscribe(ctx, r.store, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
}

func (r *deniedRig) project(ctx context.Context, t *testing.T, cfg esjs.ProjectionConfig) error {
	db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	return esjs.NewProjector(r.store, sqlsink.New(db), esjs.Projection[*sql.Tx, esjs.Event]{
		Name: "view", Version: 1, Codec: accountAggregate(t).Codec,
		Apply: func(context.Context, *sql.Tx, esjs.Recorded[esjs.Event]) error { return nil },
	}, cfg).Run(ctx)
}

func (r *deniedRig) process(ctx context.Context, t *testing.T) error {
	p, err := esjs.NewProcess(ctx, r.store, assemblyProcess(t), esjs.ProcessConfig{Service: "test", Bucket: positions, Instances: openOnes})
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	return p.Run(ctx)
}

// What is not permitted is not waited for: who needs it ends, and says what it is.
func TestARightThatIsMissingEndsWhoNeedsIt(t *testing.T) {
	r := newDeniedRig(t)
	create, next, put := "$JS.API.CONSUMER.CREATE.", "$JS.API.CONSUMER.MSG.NEXT.", "$KV."
	for name, c := range map[string]struct {
		run    func(context.Context) error
		rights []string // without wildcards at their ends
	}{
		"subscription": {func(ctx context.Context) error { return r.subscribe(ctx, r.cfg) },
			[]string{create + "EVENTS", next + "EVENTS", create + "KV_" + subscriptions, next + "KV_" + subscriptions, put + subscriptions}},
		"subscription of every instance": {func(ctx context.Context) error {
			cfg := r.cfg
			cfg.Bucket, cfg.EveryInstance = "", true
			return r.subscribe(ctx, cfg)
		}, []string{create + "EVENTS", next + "EVENTS"}},
		"projection": {func(ctx context.Context) error { return r.project(ctx, t, esjs.ProjectionConfig{}) },
			[]string{create + "EVENTS", next + "EVENTS", "$JS.API.STREAM.INFO.EVENTS"}},
		"projection with a lease": {func(ctx context.Context) error {
			return r.project(ctx, t, esjs.ProjectionConfig{Bucket: subscriptions})
		},
			[]string{create + "EVENTS", next + "EVENTS", create + "KV_" + subscriptions, next + "KV_" + subscriptions, put + subscriptions}},
		"process": {func(ctx context.Context) error { return r.process(ctx, t) },
			[]string{create + "EVENTS", next + "EVENTS", create + "TIMERS", next + "TIMERS", create + "KV_" + positions, next + "KV_" + positions, put + positions}},
	} {
		for _, right := range c.rights {
			r.deny(t, right, right+".>")
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			err := c.run(ctx)
			cancel()
			if !errors.Is(err, esjs.ErrRefused) || !strings.Contains(err.Error(), right) {
				t.Errorf("a %s without the right to publish to %s: %v", name, right, err)
			}
		}
	}
}

// A right that is taken away ends what runs as one that was missing at its start.
func TestARightThatIsTakenAwayEndsWhoNeedsIt(t *testing.T) {
	r := newDeniedRig(t)
	for _, right := range []string{"$JS.API.CONSUMER.MSG.NEXT.EVENTS", "$KV." + subscriptions} {
		r.deny(t)
		caughtUp, ended := make(chan struct{}), make(chan error, 1)
		cfg := r.cfg
		cfg.Lease, cfg.OnCaughtUp = time.Second, func() { close(caughtUp) }
		go func() { ended <- r.subscribe(testContext(t), cfg) }()
		select {
		case <-caughtUp:
		case err := <-ended:
			t.Fatalf("with all rights it ended with %v", err)
		}
		r.deny(t, right+".>")
		for range 300 { // more than are asked for at a time
			if _, err := r.store.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ended; !errors.Is(err, esjs.ErrRefused) || !strings.Contains(err.Error(), right) {
			t.Errorf("without the right to publish to %s it ended with %v", right, err)
		}
	}
}

// A key that is released and cannot be read is told of while it waits, and goes on when it can.
func TestAReleasedKeyThatCannotBeReadIsTold(t *testing.T) {
	r := newDeniedRig(t)
	ctx, told := testContext(t), newSignals()
	cfg := r.cfg
	cfg.Observer = told
	var cured atomic.Bool
	go func() {
		_ = esjs.Subscribe(ctx, r.store, cfg, func(context.Context, esjs.Recorded[esjs.Event]) error {
			if cured.Load() {
				return nil
			}
			return esjs.Park(errors.New("no good"))
		})
	}()
	if _, err := r.store.Append(ctx, account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	told.await(t, "it is parked", func() bool { return told.parked["test"] == 1 })
	cured.Store(true)
	r.deny(t, "$JS.API.STREAM.MSG.GET.EVENTS")
	if err := (esjs.Subscription{Store: r.store, Bucket: subscriptions, Name: "test"}).Release(ctx, "account/a"); err != nil {
		t.Fatal(err)
	}
	told.await(t, "it is told", func() bool {
		return strings.Contains(told.lastError["test"], `"account/a" cannot be read`) && strings.Contains(told.lastError["test"], "$JS.API.STREAM.MSG.GET.EVENTS")
	})
	r.deny(t)
	told.await(t, "it is handled", func() bool { return told.handled["test"] == 1 && told.parked["test"] == 0 })
}
