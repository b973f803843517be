package k8s

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the PrometheusRule as deploy/observability/alerts.yaml is now")

// The alerts of the Prometheus operator are those that deploy/observability tests.
func TestAlertsAreThoseOfPrometheus(t *testing.T) {
	alerts, err := os.ReadFile(filepath.Join("..", "observability", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString(`# Generated from deploy/observability/alerts.yaml; after a change there:
#   go test ./deploy/k8s -run TestAlerts -rewrite
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: orderflow
  labels: {app.kubernetes.io/name: alerts}
spec:
`)
	for line := range strings.Lines(string(alerts)) {
		if strings.TrimSpace(line) != "" {
			want.WriteString("  ")
		}
		want.WriteString(line)
	}
	path := filepath.Join("components", "monitoring", "alerts.yaml")
	if *rewrite {
		if err := os.WriteFile(path, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want.String() {
		t.Errorf("%s is not what deploy/observability says (%v); go test ./deploy/k8s -run TestAlerts -rewrite writes it", path, err)
	}
}
