package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// What the servers say of their streams tells when the last backup was completed, and that none was.
func TestTheServersTellOfTheLastBackup(t *testing.T) {
	dir := t.TempDir()
	server := esjstest.Server(t)
	if err := provision(t.Context(), server.Dial(), esjs.Config{Replicas: 1, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	told := func() float64 {
		t.Helper()
		info, err := server.Servers()[0].Jsz(&jetstreamOptions)
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collected(jetstreamFigures([]serverReport{{name: "n1", info: info}})))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "backup_completed_timestamp_seconds" && len(f.GetMetric()) == 1 {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("nothing is told")
		return 0
	}
	if at := told(); at != 0 {
		t.Errorf("there was a backup at %v", at)
	}
	before := float64(time.Now().Add(-time.Second).Unix())
	if status, _, stderr := once(t, dir, "backup", "b", "--nats-url", server.URL()); status != service.ExitOK {
		t.Fatalf("backup: %d %s", status, stderr)
	}
	at := told()
	if now := float64(time.Now().Add(time.Second).Unix()); at < before || at > now {
		t.Errorf("the backup was at %v; it was between %v and %v", at, before, now)
	}
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), bucketBackups)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), lastBackup)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	var note backupNote
	if err := json.Unmarshal(entry.Value(), &note); err != nil || note.Bytes != file.Size() || note.CompletedAt.Before(note.TakenAt) || note.TakenAt.IsZero() {
		t.Errorf("noted is %s (%v), and the file has %d bytes", entry.Value(), err, file.Size())
	}

	// One that fails is not noted.
	if status, _, _ := once(t, dir, "backup", "b", "--nats-url", server.URL()); status == service.ExitOK {
		t.Fatal("a file that is there was overwritten")
	}
	if again := told(); again != at {
		t.Errorf("a backup that failed is noted, at %v", again)
	}
}
