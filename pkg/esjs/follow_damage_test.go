package esjs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// damage flips one bit of what a server has stored, in the block that holds needle.
func damage(t *testing.T, d *esjstest.Deployment, server int, needle string) {
	t.Helper()
	blocks := filepath.Join(d.Servers()[server].JetStreamConfig().StoreDir, "*", "streams", "EVENTS", "msgs", "*.blk")
	d.Stop(server)
	defer d.Start(t, server)
	files, err := filepath.Glob(blocks)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		block, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(block, []byte(needle)); at >= 0 {
			block[at] ^= 1
			if err := os.WriteFile(file, block, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s is in none of %s", needle, blocks)
}

// The server's consumers pass over a damaged commit without a word. A
// subscription does not, also when it selects one category and nothing follows
// in the aggregate that could point to the commit.
func TestSubscriptionPassesOverNoDamage(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	r.tick(t, "a")
	r.tick(t, "a", ticked{N: 987654321})
	r.tick(t, "b")
	r.store.Close()
	damage(t, r.Deployment, 0, "987654321")
	r.store = r.Store(t)
	got := newHandled(t, 0)
	var corrupt *esjs.CorruptError
	if err := r.start(t, r.cfg, got.handle).end(t); !errors.As(err, &corrupt) || corrupt.Position.Sequence() != 2 {
		t.Errorf("ended with %v, want a CorruptError at 0-2", err)
	}
	if got.versions("a") != "1" || got.versions("b") != "" {
		t.Errorf("handled %s of a and %s of b, want what is before the damage", got.versions("a"), got.versions("b"))
	}
}

// What is built of a log that has lost its beginning would be a part that looks like the whole.
func TestALogWithoutItsBeginningIsNotRead(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	interleave(t, store)
	js := jetStream(t, d.Connect(t))
	stream, err := js.Stream(within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	was := stream.CachedInfo().Config
	limited := was
	limited.MaxMsgs, limited.Discard = 10, jetstream.DiscardOld
	for _, cfg := range []jetstream.StreamConfig{limited, was} {
		if _, err := js.UpdateStream(within(t), cfg); err != nil {
			t.Fatal(err)
		}
	}
	read := func(q esjs.Query) error {
		_, err := versions(store.ReadAll(testContext(t), q))
		return err
	}
	for what, err := range map[string]error{
		"the store":    read(esjs.Query{}),
		"a category":   read(esjs.Query{Categories: []string{"account"}}),
		"a subscriber": subscribeTo(t, store, 10),
	} {
		if corrupt := (*esjs.CorruptError)(nil); !errors.As(err, &corrupt) || corrupt.Position.Sequence() > 6 {
			t.Errorf("%s: %v, want a *CorruptError at one of the six that are gone", what, err)
		}
	}
}
