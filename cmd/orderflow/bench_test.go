package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
)

func TestBenchPrintsTheBars(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status, stdout, stderr := once(t, dir, "bench", "--quick", "--only", "append,6", "--dir", dir)
	if status != 0 || stderr != "" {
		t.Fatalf("%d %s", status, stderr)
	}
	lines := strings.Fields(stdout)
	for _, want := range []string{
		"nats-server 2.", "nats.go 1.", " core", "1 append of 1 event / raw publish of the same body default <= 1.05 ",
		"raw publish of the same body always <= 1.05 ", "6 cold load, snapshot current / raw get-last default <= 1.4 ", "It measures nothing.",
	} {
		if !strings.Contains(strings.Join(lines, " "), want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout)
		}
	}
	var report esjsbench.Report
	status, stdout, stderr = once(t, dir, "bench", "--quick", "--only", "allocations", "--json", "--dir", dir)
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != 0 {
		t.Fatalf("%d %v\n%s%s", status, err, stdout, stderr)
	}
	if len(report.Results) != 1 || report.Results[0].Number != 4 || report.Results[0].Median < 1 || report.Results[0].Wanted.Max != 20 || !report.Quick {
		t.Errorf("%+v", report)
	}
}

func TestBenchGrowPrintsEachSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status, stdout, stderr := once(t, dir, "bench", "grow", "--sizes", "10,30", "--commits", "2", "--idle", "0", "--dir", dir)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 0 || stderr != "" || len(lines) < 2 {
		t.Fatalf("%d %s\n%s", status, stderr, stdout)
	}
	rows := map[int]int{} // figures of a row, and how many rows have as many
	for _, line := range lines {
		got := strings.Fields(line)
		if len(got) == 12 && (got[0] == "10" || got[0] == "30") || len(got) == 15 && (got[0] == "10" && got[1] == "20" || got[0] == "30" && got[1] == "60") {
			rows[len(got)]++
		}
	}
	if rows[15] != 2 || rows[12] != 2 {
		t.Errorf("want two rows of 15 figures and two of 12:\n%s", stdout)
	}
	var growth esjsbench.Growth
	status, stdout, stderr = once(t, dir, "bench", "grow", "--sizes", "10", "--idle", "0", "--json", "--dir", dir)
	if err := json.Unmarshal([]byte(stdout), &growth); err != nil || status != 0 || len(growth.Sizes) != 1 || growth.Sizes[0].Events != 10 {
		t.Errorf("%d %v %+v\n%s", status, err, growth, stderr)
	}
}

func TestBenchIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"bench", "--only", "speed"}, `there is no measurement "speed"; there are append, `},
		{[]string{"bench", "--aggregates", "10"}, "1000 aggregates or more"},
		{[]string{"bench", "faster"}, `has no command "faster"; it has grow`},
		{[]string{"bench", "grow", "--sizes", "20,10"}, "ascending sizes"},
		{[]string{"bench", "orders", "--replicas", "2"}, "it must be 1, 3 or both"},
		{[]string{"bench", "orders", "--customers", "0"}, "numbers of 1 or more"},
	} {
		status, _, stderr := once(t, t.TempDir(), c.args...)
		if status == 0 || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: %d %s, want %q", c.args, status, stderr, c.says)
		}
	}
}

func TestBenchOrdersMeasuresOnOneServerAndOnThree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	profiles := filepath.Join(dir, "profiles")
	status, stdout, stderr := once(t, dir, "bench", "orders", "--customers", "1,3", "--rounds", "1", "--time", "1ms", "--json", "--dir", dir, "--profile", profiles)
	var report ordersReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != 0 || len(report.Systems) != 2 {
		t.Fatalf("%d %v %s\n%s", status, err, stderr, stdout)
	}
	for i, replicas := range []int{1, 3} {
		s := report.Systems[i]
		if s.Replicas != replicas || len(s.Levels) != 2 {
			t.Fatalf("system %d is %+v", i, s)
		}
		for j, customers := range []int{1, 3} {
			l := s.Levels[j]
			// Each customer places one order, of five commands.
			if l.Customers != customers || l.Orders != customers || l.Failed != 0 || l.Command.Calls != 5*customers || l.Rate <= 0 {
				t.Errorf("%d servers: %+v", replicas, l)
			}
			if l.Command.P50 <= 0 || l.Whole.P50 < l.Completed.P50 || l.Completed.P50 < l.Command.P50 || l.Servers <= 0 || l.Services <= 0 || l.Customer <= 0 {
				t.Errorf("%d servers: %+v", replicas, l)
			}
			last := l.Steps[len(l.Steps)-1]
			if last.Event != "OrderCompleted" || last.After.Calls != customers || l.Steps[0].Event != "OrderCreated" || l.Steps[0].After.P50 >= 0 {
				t.Errorf("%d servers: the steps are %+v", replicas, l.Steps)
			}
		}
	}
	for _, name := range []string{"default-r1-services", "default-r1-server-0", "default-r3-services", "default-r3-server-2"} {
		if info, err := os.Stat(filepath.Join(profiles, name+".pprof")); err != nil || info.Size() == 0 {
			t.Errorf("no profile %s: %v", name, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "orderflow-bench-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%q is left (%v)", left, err)
	}
}

func TestBenchPartitionsComparesStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status, stdout, stderr := once(t, dir, "bench", "partitions", "--partitions", "1,2", "--writers", "4", "--rounds", "2", "--time", "100ms", "--json", "--dir", dir)
	var compared esjsbench.Partitioned
	if err := json.Unmarshal([]byte(stdout), &compared); err != nil || status != 0 || stderr != "" {
		t.Fatalf("%d %v\n%s%s", status, err, stdout, stderr)
	}
	if len(compared.Stores) != 2 || compared.Sync != esjsbench.SyncAlways || compared.Servers != 3 || compared.Stores[0].Ratio != (esjsbench.Spread{Median: 1, Lowest: 1, Highest: 1}) {
		t.Fatalf("%+v", compared)
	}
	for i, s := range compared.Stores {
		if s.Partitions != i+1 || s.Rate.Lowest <= 0 || s.Ratio.Lowest <= 0 || s.P99.Lowest < s.P50.Lowest || s.Servers.Median <= 0 || s.Client.Median <= 0 || s.Leaders < 1 || s.Leaders > s.Partitions {
			t.Errorf("%+v", s)
		}
	}
	if status, _, stderr := once(t, dir, "bench", "partitions", "--writers", "0"); status != service.ExitUsage {
		t.Errorf("%d %s", status, stderr)
	}
}
