//go:build compose

package compose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/b144f99b/orderflow/test/shop"
)

// Compose takes the file, with each environment file and with every profile, and warns of nothing.
func TestTheFileIsTakenWithoutAWarning(t *testing.T) {
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, "deploy", "*.env"))
	if err != nil || len(files) < 3 {
		t.Fatalf("environment files: %q, %v", files, err)
	}
	all := []string{"--profile", "cluster", "--profile", "postgres", "--profile", "obs", "--profile", "load", "--profile", "cli"}
	for _, args := range [][]string{nil, all} {
		s := system{dir: root, args: args}
		s.taken(t)
		for _, file := range files {
			s.args = append(slices.Clone(args), "--env-file", filepath.Join("deploy", filepath.Base(file)))
			s.taken(t)
		}
	}
}

func (s *system) taken(t *testing.T) {
	t.Helper()
	if out, err := s.command("config", "--quiet").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("with %q: %v: %s", s.args, err, out)
	}
}

// Prometheus finds every process, and evaluates every rule; in a system that is well no alert fires. So it is again when
// Prometheus has died, and what watches the servers. Grafana and the store of traces are not started, because there are no
// images of them here: traces are sent, and nobody takes them, which nothing waits for.
func TestPrometheusSeesEverything(t *testing.T) {
	s := clonedOnly(t, "orderflow-test-obs", []string{
		"order", "inventory", "payment", "shipping", "saga", "projector", "gateway", "partners", "monitor", "prometheus",
	}, "--env-file", "deploy/obs.env")
	s.Stock(t)
	s.Place(t, "o-1")
	s.Completed(t, "o-1")
	s.seen(t)
	for _, service := range []string{"monitor", "prometheus"} {
		kill(t, s.containers(t)[service])
	}
	s.seen(t)
}

// seen checks what Prometheus knows of a system that is well and in which one order was placed.
func (s *system) seen(t *testing.T) {
	t.Helper()
	alerts, err := os.ReadFile(filepath.Join("..", "..", "deploy", "observability", "alerts.yaml"))
	all := strings.Count(string(alerts), "- alert: ")
	if err != nil || all == 0 {
		t.Fatalf("%d rules, %v", all, err)
	}
	program.Until(t, patience, "Prometheus asks nine processes, and all answer", func() bool {
		var targets struct {
			Active []struct {
				Health string `json:"health"`
			} `json:"activeTargets"`
		}
		s.prometheusSays(t, "targets?state=active", &targets)
		up := 0
		for _, target := range targets.Active {
			if target.Health == "up" {
				up++
			}
		}
		return up == 9 && len(targets.Active) == 9
	})
	program.Until(t, patience, "all rules are evaluated, and no alert fires", func() bool {
		var rules struct {
			Groups []struct {
				Rules []struct {
					Name      string `json:"name"`
					Health    string `json:"health"`
					LastError string `json:"lastError"`
					State     string `json:"state"`
				} `json:"rules"`
			} `json:"groups"`
		}
		s.prometheusSays(t, "rules", &rules)
		healthy := 0
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" || r.State == "firing" {
					t.Fatalf("the rule %s is %s, %s %s", r.Name, r.State, r.Health, r.LastError)
				}
				if r.Health == "ok" {
					healthy++
				}
			}
		}
		return healthy == all
	})
	for expr, want := range map[string]string{
		`sum(up{job="orderflow"})`: "9", "jetstream_servers": "1", `max(saga_attention)`: "0",
		`sum(esjs_events_appended_total{category="order",type="OrderCompleted"})`:                                "1",
		`max(jetstream_stream_last_sequence{stream="EVENTS"}) - max(jetstream_stream_messages{stream="EVENTS"})`: "0",
		`count(count by (version) (projection_lag_seconds{state="live"}))`:                                       "8",
	} {
		program.Until(t, patience, expr, func() bool {
			var answer struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			}
			s.prometheusSays(t, "query?query="+url.QueryEscape(expr), &answer)
			return len(answer.Result) == 1 && answer.Result[0].Value[1] == want
		})
	}
}

// prometheusSays asks its API. It may not be there yet.
func (s *system) prometheusSays(t *testing.T, what string, to any) {
	t.Helper()
	status, body := shop.Ask(http.MethodGet, s.prometheus+"/api/v1/"+what, "")
	if status != http.StatusOK {
		return
	}
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer.Data, to); err != nil {
		t.Fatalf("%s: %v: %s", what, err, body)
	}
}

// The views are in PostgreSQL, whose container may die as any other; the profile "load" places orders meanwhile. In the
// end the view has as many completed orders as the provider has payments.
func TestViewsInPostgreSQLUnderLoad(t *testing.T) {
	s := cloned(t, "orderflow-test-postgres", "--env-file", "deploy/postgres.env", "--profile", "postgres", "--profile", "load")
	completed := func() int {
		out := s.try("exec", "-T", "postgres", "psql", "--username=orderflow", "--tuples-only", "--command=SELECT COUNT(*) FROM orders_v1 WHERE state = 'Completed'")
		n, err := strconv.Atoi(strings.TrimSpace(out))
		if err != nil { // it is away, or the view is not there yet
			return 0
		}
		return n
	}
	program.Until(t, patience, "orders of the load are completed", func() bool { return completed() >= 5 })
	before := completed()
	kill(t, s.containers(t)["postgres"])
	program.Until(t, patience, fmt.Sprintf("more than the %d orders are completed after PostgreSQL died", before), func() bool { return completed() > before+3 })
	s.compose(t, "stop", "load")
	program.Until(t, patience, "each payment that is captured is of a completed order", func() bool {
		declined := func(captured string) bool { return captured == "" }
		return completed() == len(slices.DeleteFunc(s.partners.Captured(t), declined))
	})
	status, body := shop.Ask(http.MethodGet, string(s.Gateway)+"/v1/orders?state=Completed&limit=100", "")
	var page struct {
		Orders []struct{} `json:"orders"`
	}
	if err := json.Unmarshal(body, &page); status != http.StatusOK || err != nil || len(page.Orders) != min(completed(), 100) {
		t.Errorf("the view answers with %d completed orders of %d: %d, %v", len(page.Orders), completed(), status, err)
	}
	s.verified(t, 1)
}
