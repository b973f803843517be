package main

import (
	"encoding/json"
	"strings"
	"testing"

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
		if len(got) == 12 && (got[0] == "10" || got[0] == "30") || len(got) == 13 && (got[0] == "10" && got[1] == "20" || got[0] == "30" && got[1] == "60") {
			rows[len(got)]++
		}
	}
	if rows[13] != 2 || rows[12] != 2 {
		t.Errorf("want two rows of 13 figures and two of 12:\n%s", stdout)
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
	} {
		status, _, stderr := once(t, t.TempDir(), c.args...)
		if status == 0 || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: %d %s, want %q", c.args, status, stderr, c.says)
		}
	}
}
