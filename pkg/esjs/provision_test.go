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
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
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

// Provisioning again changes the limits and keeps everything else.
func TestProvisionAgain(t *testing.T) {
	d := esjstest.Server(t)
	ctx, cfg := testContext(t), d.Config()
	cfg.MaxBytes = 1 << 20
	s := d.StoreWith(t, cfg)
	if _, err := s.Append(ctx, account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	cfg.MaxBytes = 2 << 20
	if err := esjs.Provision(ctx, d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.MaxBytes != cfg.MaxBytes || info.State.Msgs != 1 {
		t.Errorf("limit %d with %d messages, want %d with 1", info.Config.MaxBytes, info.State.Msgs, cfg.MaxBytes)
	}
	if got := amounts(t, s, account("a")); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
}
