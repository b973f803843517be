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

func TestProvisionBucket(t *testing.T) {
	d := esjstest.Server(t)
	for range 2 { // the second time changes nothing
		if err := esjs.ProvisionBucket(within(t), d.Dial(), "SUBSCRIPTIONS_x", 1); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := jetStream(t, d.Connect(t)).Stream(within(t), "KV_SUBSCRIPTIONS_x")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxMsgsPerSubject != 1 || cfg.Storage != jetstream.FileStorage || cfg.MaxBytes != 64<<20 {
		t.Errorf("history %d, storage %v, %d bytes", cfg.MaxMsgsPerSubject, cfg.Storage, cfg.MaxBytes)
	}
	for _, c := range []struct{ asked, want int64 }{{128 << 20, 128 << 20}, {1 << 20, 128 << 20}} {
		if err := esjs.ProvisionBucket(within(t), d.Dial(), "SUBSCRIPTIONS_x", 1, esjs.MaxBytes(c.asked)); err != nil {
			t.Fatal(err)
		}
		if info, err := stream.Info(within(t)); err != nil || info.Config.MaxBytes != c.want {
			t.Errorf("provisioned again with %d bytes it has %d, %v; want %d", c.asked, info.Config.MaxBytes, err, c.want)
		}
	}
	if err := esjs.ProvisionBucket(within(t), d.Dial(), "SNAPSHOTS_x", 1, esjs.MaxBytes(1<<20)); err != nil {
		t.Fatal(err)
	}
	if small, err := jetStream(t, d.Connect(t)).Stream(within(t), "KV_SNAPSHOTS_x"); err != nil || small.CachedInfo().Config.MaxBytes != 1<<20 {
		t.Errorf("a new bucket of 1 MiB: %v", err)
	}
	if err := esjs.ProvisionBucket(within(t), d.Dial(), "SNAPSHOTS_x", 1, esjs.MaxBytes(0)); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("no bytes: %v", err)
	}
	if err := esjs.ProvisionBucket(within(t), d.Dial(), "a.b", 1); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a bad name: %v", err)
	}
}

// A bucket that somebody else has made is used where it keeps what it is given.
func TestABucketThatWouldForgetIsRefused(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	js := jetStream(t, r.Connect(t))
	for field, cfg := range map[string]jetstream.KeyValueConfig{
		"max_age":       {Bucket: "EXPIRES", TTL: time.Hour, LimitMarkerTTL: time.Minute},
		"storage":       {Bucket: "MEMORY", Storage: jetstream.MemoryStorage, LimitMarkerTTL: time.Minute},
		"allow_msg_ttl": {Bucket: "PLAIN", History: 5, MaxValueSize: 1 << 16},
	} {
		if _, err := js.CreateKeyValue(within(t), cfg); err != nil {
			t.Fatal(err)
		}
		r.cfg.Bucket = cfg.Bucket
		subscribed := esjs.Subscribe(within(t), r.store, r.cfg, newHandled(t, 0).handle)
		if !errors.Is(subscribed, esjs.ErrConfig) || !strings.Contains(subscribed.Error(), field+" is ") {
			t.Errorf("a subscription with the bucket %s: %v", cfg.Bucket, subscribed)
		}
		provisioned := esjs.ProvisionBucket(within(t), r.Dial(), cfg.Bucket, 1)
		switch {
		case field != "allow_msg_ttl" && (!errors.Is(provisioned, esjs.ErrConfig) || !strings.Contains(provisioned.Error(), field+" is ")):
			t.Errorf("provisioning the bucket %s: %v", cfg.Bucket, provisioned)
		case field == "allow_msg_ttl" && provisioned != nil:
			t.Errorf("a bucket that can be made a good one: %v", provisioned)
		}
	}
	r.cfg.Bucket = "PLAIN"
	r.tick(t, "a")
	h := newHandled(t, 1)
	run := r.start(t, r.cfg, h.handle)
	h.wait()
	run.stopped(t)
}

// A write over a revision that the entry is not at any more is refused, also where the entry has an earlier one: the bucket was made
// anew, or restored. Who waits for the end of that waits for ever.
func TestAnEntryOfABucketThatWasMadeAnewHasChanged(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	if err := esjs.ProvisionBucket(within(t), d.Dial(), "SUBSCRIPTIONS_x", 1); err != nil {
		t.Fatal(err)
	}
	put := func(value string, revision uint64) (uint64, error) {
		return esjs.PutEntry(within(t), store, "SUBSCRIPTIONS_x", "a", []byte(value), revision)
	}
	var revision uint64
	for _, value := range []string{"one", "two"} {
		var err error
		if revision, err = put(value, revision); err != nil {
			t.Fatal(err)
		}
	}
	renewBucket(t, d, "SUBSCRIPTIONS_x")
	if again, err := put("one again", 0); err != nil || again >= revision {
		t.Fatalf("the first entry of the new bucket: %d, %v", again, err)
	}
	if _, err := put("three", revision); !errors.Is(err, esjs.ErrChanged) {
		t.Errorf("it was at %d in the bucket of before: %v", revision, err)
	}
}
