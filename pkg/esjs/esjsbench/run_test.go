package esjsbench

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// withoutPostgres are the measurements that need Go alone.
func withoutPostgres() (names []string) {
	for _, m := range measurements() {
		if !m.postgres {
			names = append(names, m.name)
		}
	}
	return names
}

// Every bar finds its figure in what its measurement measures.
func TestEveryBarIsMeasured(t *testing.T) {
	t.Parallel()
	var steps []Step
	report, err := Run(t.Context(), Config{
		Server: serverCommand(), Dir: t.TempDir(), Quick: true, Only: withoutPostgres(),
		Progress: func(s Step) { steps = append(steps, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		what string
		sync Sync
	}
	measured := map[key]Result{}
	for _, r := range report.Results {
		measured[key{r.What, r.Sync}] = r
		if r.Verdict != "" {
			t.Errorf("a quick run judges %q as %s", r.What, r.Verdict)
		}
		// Memory of a small store is less than what a collection leaves or takes.
		if r.Median <= 0 && r.figure != "B/aggregate-in-memory" || r.Lowest > r.Median || r.Highest < r.Median {
			t.Errorf("%q was measured as %+v", r.What, r.Spread)
		}
	}
	want := 0
	for _, b := range Bars() {
		if !slices.Contains(withoutPostgres(), b.measurement) {
			continue
		}
		want++
		if _, found := measured[key{b.What, b.Sync}]; !found {
			t.Errorf("bar %d with sync %s was not measured: %s", b.Number, b.Sync, b.What)
		}
	}
	if len(report.Results) != want || len(report.Figures) <= want {
		t.Errorf("%d results and %d figures, want %d and more", len(report.Results), len(report.Figures), want)
	}
	if !slices.IsSortedFunc(report.Results, func(a, b Result) int { return a.Number - b.Number }) {
		t.Error("the results are not in the order of their bars")
	}
	if m := report.Machine; m.Cores < 1 || m.Go == "" || m.Server == "" || m.Client == "" || report.Seconds <= 0 {
		t.Errorf("the report does not say where it is of: %+v", report)
	}
	if last := steps[len(steps)-1]; last.Done != last.Total-1 || !strings.HasPrefix(last.Name, "takeover") {
		t.Errorf("the last step is %+v", last)
	}
}

func TestAStoreGrows(t *testing.T) {
	t.Parallel()
	steps := 0
	growth, err := Grow(t.Context(), GrowConfig{
		Server: serverCommand(), Dir: t.TempDir(), Sizes: []int{10, 200}, Commits: 3, Events: 2, UUIDs: true, Idle: -1,
		Progress: func(s Step) {
			if s.Done != steps || s.Total != 2*stepsOfSize {
				t.Errorf("step %d is %+v", steps, s)
			}
			steps++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(growth.Sizes) != 2 || steps != 2*stepsOfSize {
		t.Fatalf("after %d steps: %+v", steps, growth)
	}
	for i, want := range []int{10, 200} {
		s := growth.Sizes[i]
		if s.Aggregates != want || s.Events != want*6 {
			t.Errorf("size %d is %+v", i, s)
		}
		for name, l := range map[string]Latency{"append": s.Append, "small append": s.AppendSmall, "hot load": s.Hot, "small hot load": s.HotSmall, "cold load": s.Cold} {
			if l.P50 <= 0 || l.P99 < l.P50 || l.Calls < 1 {
				t.Errorf("size %d: %s is %+v", i, name, l)
			}
		}
		if s.HotLowest <= 0 || s.HotRatio < s.HotLowest || s.HotRatio > s.HotHighest || s.Hot.Calls != hotRounds*want || s.HotSmall.Calls != s.Hot.Calls {
			t.Errorf("size %d: %d and %d hot loads, with a ratio of %v (%v to %v)", i, s.Hot.Calls, s.HotSmall.Calls, s.HotRatio, s.HotLowest, s.HotHighest)
		}
		for name, v := range map[string]float64{
			"fill": s.Fill, "append ratio": s.AppendRatio, "load ratio": s.HotRatio, "replay": s.Replay,
			"disk of an event": s.DiskPerEvent, "disk": s.DiskPerAggregate, "client's heap": float64(s.ClientHeap),
			"restart": s.Stop.Ready, "restart, append": s.Stop.Appended - s.Stop.Ready,
			"recovery": s.Kill.Ready, "recovery, append": s.Kill.Appended - s.Kill.Ready,
		} {
			if v <= 0 {
				t.Errorf("size %d: %s is %v", i, name, v)
			}
		}
	}
}

func TestARunIsRefused(t *testing.T) {
	server := serverCommand()
	for name, cfg := range map[string]Config{
		"without a server": {Only: []string{"append"}},
		"no such name":     {Server: server, Only: []string{"append", "speed"}},
		"no such bar":      {Server: server, Only: []string{"16"}},
		"no rounds":        {Server: server, Rounds: -1},
		"too small":        {Server: server, Aggregates: 10},
	} {
		if _, err := Run(t.Context(), cfg); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	for name, sizes := range map[string][]int{"descending": {20, 10}, "none": {0, 10}} {
		if _, err := Grow(t.Context(), GrowConfig{Server: server, Sizes: sizes}); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s sizes: %v, want ErrConfig", name, err)
		}
	}
}

func TestOnlyTakesNamesAndNumbers(t *testing.T) {
	selected, err := Config{Only: []string{"13", "append", "1"}}.selected()
	if err != nil || len(selected) != 2 || selected[0].name != "append" || selected[1].name != "growth" {
		t.Errorf("selected %+v, %v", selected, err)
	}
}

func TestVerdicts(t *testing.T) {
	most := Bar{Wanted: atMost(1.1)}
	least := Bar{Wanted: atLeast(0.7)}
	large := Bar{Wanted: atMost(450), large: true}
	full := Report{Aggregates: largeStore}
	for name, c := range map[string]struct {
		report Report
		bar    Bar
		value  float64
		want   Verdict
	}{
		"at most, met exactly":  {full, most, 1.1, Held},
		"at most, missed":       {full, most, 1.11, Missed},
		"at least, met exactly": {full, least, 0.7, Held},
		"at least, missed":      {full, least, 0.69, Missed},
		"only reported":         {full, Bar{}, 1000, ""},
		"large":                 {full, large, 500, Missed},
		"not large enough":      {Report{Aggregates: 5000}, large, 500, ""},
		"quick":                 {Report{Aggregates: largeStore, Quick: true}, most, 2, ""},
	} {
		if got := c.report.verdict(c.bar, c.value); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRoundsBecomeASpread(t *testing.T) {
	r := Report{Aggregates: largeStore}
	m := measurement{name: "append"}
	r.add(m, SyncDefault, [][]figure{{{"append-1/raw-1", 1.2}}, {{"append-1/raw-1", 1.0}}, {{"append-1/raw-1", 1.1}}})
	want := Spread{Median: 1.1, Lowest: 1.0, Highest: 1.2}
	if len(r.Results) != 1 || r.Results[0].Spread != want || r.Results[0].Verdict != Missed || r.Missed() != 1 || r.Figures[0].Spread != want {
		t.Errorf("%+v", r)
	}
}
