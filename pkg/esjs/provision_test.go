package esjs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream that could lose events or refuse what the store does is refused when
// the store is opened, and when it is provisioned, with every difference.
func TestAStreamThatIsNotFitIsRefused(t *testing.T) {
	d := esjstest.Server(t)
	ctx := testContext(t)
	js := jetStream(t, d.Connect(t))
	if _, err := esjs.Open(ctx, d.Dial(), d.Config()); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "there is no stream EVENTS") {
		t.Errorf("no stream: %v", err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"ev.>", "more.>"}, Storage: jetstream.MemoryStorage, MaxAge: time.Hour, MaxMsgsPerSubject: 10,
	}); err != nil {
		t.Fatal(err)
	}
	_, opened := esjs.Open(ctx, d.Dial(), d.Config())
	for what, err := range map[string]error{"open": opened, "provision": esjs.Provision(ctx, d.Dial(), d.Config())} {
		if !errors.Is(err, esjs.ErrConfig) {
			t.Fatalf("%s: %v", what, err)
		}
		for _, difference := range []string{
			"subjects is [ev.> more.>], needed [ev.>]", "storage is Memory, needed File", "discard is DiscardOld, needed DiscardNew",
			"max_age is 1h0m0s, needed 0s", "max_msgs_per_subject is 10, needed -1", "deny_delete is false, needed true",
			"deny_purge is false, needed true", "allow_direct is false, needed true", "allow_atomic is false, needed true",
		} {
			if !strings.Contains(err.Error(), difference) {
				t.Errorf("%s does not say that %s: %v", what, difference, err)
			}
		}
	}
}

// Compression is turned on for a stream, and by nobody off.
func TestProvisionCompresses(t *testing.T) {
	d := esjstest.Server(t)
	ctx, cfg := testContext(t), d.Config()
	js := jetStream(t, d.Connect(t))
	for _, step := range []struct {
		compress bool
		want     jetstream.StoreCompression
	}{{false, jetstream.NoCompression}, {true, jetstream.S2Compression}, {false, jetstream.S2Compression}} {
		cfg.Compress = step.compress
		if err := esjs.Provision(ctx, d.Dial(), cfg); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(ctx, "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		if have := stream.CachedInfo().Config.Compression; have != step.want {
			t.Errorf("provisioned with Compress %t it is %v, want %v", step.compress, have, step.want)
		}
		store, err := esjs.Open(ctx, d.Dial(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		store.Close()
	}
}

// Who provisions at every start, and says nothing of replicas and limits, changes none.
func TestProvisionLeavesAloneWhatItIsNotAskedFor(t *testing.T) {
	d := esjstest.Cluster(t)
	ctx, cfg := testContext(t), d.Config()
	cfg.MaxBytes = 2 << 30
	bucket := func(replicas int) error {
		return esjs.ProvisionBucket(ctx, d.Dial(), "SUBSCRIPTIONS_x", replicas)
	}
	keys := func(replicas int) error { return esjs.ProvisionKeys(ctx, d.Dial(), "KEYS_x", replicas) }
	timers := func(replicas int) error { return esjs.ProvisionTimers(ctx, d.Dial(), replicas) }
	if err := errors.Join(esjs.Provision(ctx, d.Dial(), cfg), bucket(3), keys(3), timers(3)); err != nil {
		t.Fatal(err)
	}
	cfg.Replicas, cfg.MaxBytes = 0, 0
	if err := errors.Join(esjs.Provision(ctx, d.Dial(), cfg), bucket(0), keys(0), timers(0)); err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, d.Connect(t))
	for name, bytes := range map[string]int64{"EVENTS": 2 << 30, "KV_SUBSCRIPTIONS_x": 64 << 20, "KV_KEYS_x": 64 << 20, "TIMERS": -1} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if has := stream.CachedInfo().Config; has.Replicas != 3 || has.MaxBytes != bytes {
			t.Errorf("%s has %d replicas and %d bytes; want 3 and %d", name, has.Replicas, has.MaxBytes, bytes)
		}
	}
}
