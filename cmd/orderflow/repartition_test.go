package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

type ticked struct {
	N int `json:"n"`
}

func (ticked) EventType() string { return "Ticked" }

func TestRepartitionMovesAStore(t *testing.T) {
	t.Parallel()
	dir, server := t.TempDir(), esjstest.Server(t)
	store := server.Store(t)
	for i := range 20 {
		if _, err := store.Append(t.Context(), esjs.StreamID{Category: "clock", Key: fmt.Sprint(i % 7)}, esjs.Any(), ticked{i}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string, string) {
		return once(t, dir, append([]string{"repartition", "ORDERS", "--partitions", "3", "--events-max-bytes", "16777216", "--nats-url", server.URL()}, args...)...)
	}
	if status, stdout, stderr := run(); status != 0 || !strings.Contains(stdout, "20 commits were copied, 0 were there") || !strings.Contains(stdout, "EVENTS still takes events") {
		t.Fatalf("%d\n%s%s", status, stdout, stderr)
	}
	if status, _, stderr := run("--where", "0-5"); status != exitConfiguration || !strings.Contains(stderr, "not complete") {
		t.Errorf("%d %s", status, stderr)
	}
	status, stdout, stderr := run("--cut-over", "--json")
	var report esjs.RepartitionReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != 0 || !report.CutOver || report.Found != 20 || report.Aggregates != 7 || len(report.Partitions) != 3 {
		t.Fatalf("%d %v\n%s%s", status, err, stdout, stderr)
	}
	if status, stdout, stderr := run("--cut-over"); status != 0 || !strings.Contains(stdout, "7 aggregates with 20 events were compared") || !strings.Contains(stdout, "use ORDERS") {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := run("--where", report.Until.String()); status != 0 || strings.TrimSpace(stdout) != report.At.String() {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	for _, wrong := range [][]string{{"--where", "1-5"}, {"--where", "x"}, {"--replicas", "2"}, {"--partitions", "0"}} {
		if status, _, stderr := run(wrong...); status != service.ExitUsage {
			t.Errorf("%q: %d %s", wrong, status, stderr)
		}
	}
	if status, _, stderr := run("--from", "NONE"); status != exitConfiguration || !strings.Contains(stderr, "there is no stream NONE") {
		t.Errorf("%d %s", status, stderr)
	}
	if status, stdout, stderr := run("--reopen"); status != 0 || stdout != "EVENTS takes events\n" {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	if _, err := store.Append(t.Context(), esjs.StreamID{Category: "clock", Key: "1"}, esjs.Any(), ticked{}); err != nil {
		t.Error(err)
	}
	if status, _, stderr := run("--cut-over"); status != exitConfiguration || !strings.Contains(stderr, "is no copy of EVENTS") {
		t.Errorf("%d %s", status, stderr)
	}
}
