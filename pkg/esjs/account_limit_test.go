package esjs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// An account may have less storage than its streams may take together. Then it
// is full before they are.
func TestAFullAccountRefusesAtOnce(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	const storage = 1 << 20
	if err := s.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{
		"": {MaxMemory: -1, MaxStore: storage, MaxStreams: -1, MaxConsumers: -1, MaxAckPending: -1},
	}); err != nil {
		t.Fatal(err)
	}
	dial, cfg := esjs.DialURL(s.ClientURL()), esjs.Config{MaxBytes: storage * 3 / 4}
	if err := esjs.Provision(testContext(t), dial, cfg); err != nil {
		t.Fatal(err)
	}
	store, err := esjs.Open(testContext(t), dial, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	js := jetStream(t, store.Conn())
	if _, err := js.CreateStream(testContext(t), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(testContext(t), "other", make([]byte, storage/2)); err != nil {
		t.Fatal(err)
	}
	large := deposited{Note: strings.Repeat("x", storage/4)}
	revision := esjs.NoStream()
	for range 8 {
		out, err := store.Append(testContext(t), account("a"), revision, large)
		if errors.Is(err, esjs.ErrStoreFull) {
			_, err = store.AppendAll(testContext(t),
				esjs.Write{Stream: account("b"), Events: []esjs.Event{large}}, esjs.Write{Stream: account("c"), Events: []esjs.Event{large}})
			if !errors.Is(err, esjs.ErrStoreFull) {
				t.Errorf("several aggregates: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		revision = esjs.AtRevision(out.Revision)
	}
	t.Error("the account takes more than it may")
}
