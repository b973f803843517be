package main

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/nats-io/nats.go/jetstream"
)

// What has ended by itself since a backup was taken is not missed when it is brought back.
func TestWhatHasExpiredSinceIsNotMissed(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t)
	if err := provision(t.Context(), server.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), payment.BucketReconciliation)
	if err != nil {
		t.Fatal(err)
	}
	const lasts = 20 * time.Second
	if _, err := bucket.Create(t.Context(), "turn", []byte("1"), jetstream.KeyTTL(lasts)); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "last", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	created := time.Now()
	if status, _, stderr := once(t, dir, "backup", "b", "--nats-url", server.URL()); status != service.ExitOK {
		t.Fatalf("backup: %d %s", status, stderr)
	}
	<-time.After(time.Until(created.Add(lasts + time.Second)))
	if status, _, stderr := once(t, dir, "restore", "b", "--nats-url", esjstest.Server(t).URL()); status != service.ExitOK {
		t.Fatalf("restore: %d %s", status, stderr)
	}
}
