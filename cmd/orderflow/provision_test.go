package main

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// The server that is started for so many events has room for all that is provisioned beside them, and snapshots
// for their share; again, with a larger limit, the buckets of snapshots grow and the others do not.
func TestSnapshotsHaveTheirShareOfTheEvents(t *testing.T) {
	const largest = int64(20) << 30
	server, err := startServer(t.Context(), t.TempDir(), "127.0.0.1:0", largest, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	dial := server.dial("provision", zerolog.Nop())
	nc, err := dial("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ events, snapshots int64 }{{1 << 20, 64 << 20}, {largest, largest / 16}} {
		if err := provision(t.Context(), dial, esjs.Config{MaxBytes: c.events}); err != nil {
			t.Fatalf("%d bytes of events: %v", c.events, err)
		}
		for name, want := range map[string]int64{"KV_SNAPSHOTS_order": c.snapshots, "KV_SNAPSHOTS_saga": c.snapshots, "KV_SUBSCRIPTIONS_order": 64 << 20} {
			stream, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if have := stream.CachedInfo().Config.MaxBytes; have != want {
				t.Errorf("beside %d bytes of events %s may hold %d, want %d", c.events, name, have, want)
			}
		}
	}
}

// What was raised stays so when the command is run again without saying it.
func TestProvisionLeavesAloneWhatItIsNotTold(t *testing.T) {
	t.Parallel()
	server := esjstest.Server(t)
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want int64
	}{{nil, defaultEventsMax}, {[]string{"--events-max-bytes", "2147483648"}, 2 << 30}, {nil, 2 << 30}} {
		if status, _, stderr := once(t, t.TempDir(), append([]string{"provision", "--nats-url", server.URL()}, c.args...)...); status != 0 {
			t.Fatalf("provision %v: %d %s", c.args, status, stderr)
		}
		stream, err := js.Stream(t.Context(), eventStream)
		if err != nil {
			t.Fatal(err)
		}
		if have := stream.CachedInfo().Config; have.MaxBytes != c.want || have.Replicas != 1 {
			t.Errorf("after provision %v there are %d replicas of %d bytes, want 1 of %d", c.args, have.Replicas, have.MaxBytes, c.want)
		}
	}
}
