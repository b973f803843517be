//go:build prometheus

package observability

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// The rules are what Prometheus takes, and each alert fires when it should, and not when it should not.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool := built(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"},
		{"check", "config", "prometheus.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	var cases struct {
		Tests []struct {
			Name    string `yaml:"name"`
			Samples []struct {
				Expr string `yaml:"expr"`
				Exp  []any  `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	read(t, "alerts_test.yaml", &cases)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range cases.Tests {
		alert, says, _ := strings.Cut(c.Name, " ")
		fired := 0
		for _, s := range c.Samples {
			if want := `ALERTS{alertname="` + alert + `",alertstate="firing"}`; s.Expr != want {
				t.Errorf("%q asks for %s, and not for %s", c.Name, s.Expr, want)
			}
			fired += len(s.Exp)
		}
		if (fired > 0) != (says == "fires") || len(c.Samples) == 0 {
			t.Errorf("%q expects %d alerts", c.Name, fired)
		}
		if fired > 0 {
			fires[alert] = true
		} else {
			silent[alert] = true
		}
	}
	for _, r := range rules(t) {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: there must be a case in which it fires (%t) and one in which it does not (%t)", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

// What alerts ask for is exposed.
func TestAlertsUseMetricsThatThereAre(t *testing.T) {
	for _, r := range rules(t) {
		known(t, r.Alert, r.Expr)
	}
}

func rules(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("%d alerts were read", len(all))
	}
	return all
}

// known checks that an expression is one, and that the system exposes every metric in it.
func known(t *testing.T, what, expr string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", what, expr, err)
		return
	}
	exposed, used := metrics(t), 0
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		used++
		labelsOf, found := exposed[selector.Name]
		if !found {
			t.Errorf("%s uses %s, which is not on the pages of metrics", what, selector.Name)
		}
		for _, m := range selector.LabelMatchers {
			if found && m.Name != labels.MetricName && !strings.Contains(labelsOf, " "+m.Name+" ") {
				t.Errorf("%s: %s has no label %s", what, selector.Name, m.Name)
			}
			if m.Name != "type" {
				continue
			}
			for name := range strings.SplitSeq(m.Value, "|") {
				if !slices.ContainsFunc(events.Types, func(e events.Type) bool { return e.Name == name }) {
					t.Errorf("%s: there is no type of events %s", what, name)
				}
			}
		}
		return nil
	})
	if used == 0 {
		t.Errorf("%s: %s asks for no metric", what, expr)
	}
}

// metrics are those of the pages that list them, which tests compare with what is exposed, each with its labels in
// spaces; histograms under the names of their series.
func metrics(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"up": " job instance "}
	for page, further := range map[string]string{"operations/metrics.md": "", "esjs/observability.md": "service "} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(line, "|")
			if len(cells) < 5 || !strings.HasPrefix(cells[1], " `") {
				continue
			}
			name, labelsOf := strings.Trim(cells[1], " `"), " instance job "+further+strings.ReplaceAll(strings.TrimSpace(cells[3]), ",", "")+" "
			if strings.TrimSpace(cells[2]) != "histogram" {
				all[name] = labelsOf
				continue
			}
			for _, series := range []string{"_bucket", "_sum", "_count"} {
				all[name+series] = labelsOf + "le "
			}
		}
	}
	if len(all) < 60 {
		t.Fatalf("the pages list %d metrics", len(all))
	}
	return all
}

func read(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// built is one of Prometheus's programs, of the version that is pinned.
func built(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=prometheus.mod", "-tags", "remove_all_sd", "-o", path, "github.com/prometheus/prometheus/cmd/"+name)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return path
}
