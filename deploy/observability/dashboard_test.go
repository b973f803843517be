//go:build prometheus

package observability

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Datasource struct{ UID string } `json:"datasource"`
	Targets    []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	} `json:"targets"`
}

// The dashboard is one that Grafana takes, as far as that can be known without it: panels that do not overlap, of kinds
// that it has, from the source that is provisioned, and questions that Prometheus understands about metrics that there are.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID           string  `json:"uid"`
		Title         string  `json:"title"`
		SchemaVersion int     `json:"schemaVersion"`
		Panels        []panel `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || board.Title == "" || board.SchemaVersion < 36 || len(board.Panels) < 20 {
		t.Fatalf("the dashboard %q (%q, schema %d) has %d panels", board.Title, board.UID, board.SchemaVersion, len(board.Panels))
	}
	var sources struct {
		Datasources []struct {
			UID  string `yaml:"uid"`
			Type string `yaml:"type"`
		} `yaml:"datasources"`
	}
	read(t, "grafana/datasources/sources.yaml", &sources)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s has the id %d, which another panel has", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is outside the grid: %+v", p.Title, p.GridPos)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if !slices.Contains([]string{"timeseries", "stat"}, p.Type) || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("the panel %d (%q) is of type %q, with %d questions and the description %q", p.ID, p.Title, p.Type, len(p.Targets), p.Description)
		}
		if !slices.ContainsFunc(sources.Datasources, func(s struct {
			UID  string `yaml:"uid"`
			Type string `yaml:"type"`
		}) bool {
			return s.UID == p.Datasource.UID && s.Type == "prometheus"
		}) {
			t.Errorf("%s asks %q, which is not provisioned", p.Title, p.Datasource.UID)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.RefID == "" {
				t.Errorf("%s has two questions %q", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			known(t, fmt.Sprintf("the panel %q", p.Title), target.Expr)
		}
	}
	for _, about := range []string{"saga_instances", "saga_step_seconds", "projection_lag_seconds", "psp_requests_total", "command_seconds", "jetstream_stream_messages", "esjs_appends_total", "OrderSubmitted"} {
		if !strings.Contains(string(text), about) {
			t.Errorf("the dashboard does not show %s", about)
		}
	}
}
