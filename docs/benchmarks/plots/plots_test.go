//go:build plots

package plots

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	data = ".."
	page = "../../benchmarks.md"
)

var drawing = flag.Bool("draw", false, "draw the plots anew")

// What is in the repository is what the recorded data gives.
func TestPlotsAreOfTheRecordedData(t *testing.T) {
	r, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.files()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if *drawing {
			if err := os.WriteFile(filepath.Join(data, name), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(data, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the recorded data gives (%v); make plots draws it", name, err)
		}
		if !strings.Contains(string(text), "](benchmarks/"+name+")") {
			t.Errorf("docs/benchmarks.md does not show %s", name)
		}
	}
	stored, err := filepath.Glob(filepath.Join(data, "*.svg"))
	if err != nil || len(stored) != len(files) {
		t.Errorf("%d plots are stored (%v) and %d are drawn: %q", len(stored), err, len(files), stored)
	}
	for _, table := range r.tables() {
		if !strings.Contains(string(text), table) {
			t.Errorf("docs/benchmarks.md lacks this table, or has another one; make plots prints it:\n%s", table)
		}
	}
}

// The ratio of hot loads has the lowest and the highest of its rounds. What was recorded with one round is shown, too.
func TestARatioHasItsRounds(t *testing.T) {
	for recording, want := range map[string]string{
		`{"sizes":[{"load_hot_ratio":1.266}]}`: "| 1.27 |",
		`{"sizes":[{"load_hot_ratio":1.02,"load_hot_ratio_lowest":0.98,"load_hot_ratio_highest":1.07}]}`: "| 1.02 (0.98 to 1.07) |",
	} {
		var g growth
		if err := json.Unmarshal([]byte(recording), &g); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(g.times(), want) {
			t.Errorf("of %s there is no %q:\n%s", recording, want, g.times())
		}
	}
}

// Each bar is one row, with what was measured on a server that syncs each write in its last column.
func TestBarsAreRows(t *testing.T) {
	const recording = `{"results":[
		{"bar":3,"what":"events a second","sync":"default","wanted":{"min":0.95},"median":1.03,"lowest":0.95,"highest":1.08,"verdict":"held"},
		{"bar":3,"what":"events a second","sync":"always","wanted":{"min":0.9},"median":0.885,"lowest":0.87,"highest":0.9,"verdict":"missed"},
		{"bar":8,"what":"the first load","sync":"default","wanted":{},"unit":"µs","median":19012.4,"lowest":18000,"highest":20000},
		{"bar":13,"what":"memory","sync":"default","wanted":{"max":450},"unit":"B","median":126.4,"lowest":126,"highest":126.6,"verdict":"held"}]}`
	const want = "| bar | what | wanted | `sync` default | `sync: always` |\n| --- | --- | --- | --- | --- |\n" +
		"| 3 | events a second | >= 0.95, >= 0.9 | 1.03 (0.95 to 1.08) | **0.89** (0.87 to 0.90) |\n" +
		"| 8 | the first load |  | 19012 µs (18000 to 20000) |  |\n" +
		"| 13 | memory | <= 450 B | 126 B (126 to 127) |  |\n"
	var b bars
	if err := json.Unmarshal([]byte(recording), &b); err != nil {
		t.Fatal(err)
	}
	if got := b.table(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

// A plot has its axes with units, and every line in its legend.
func TestAPlotHasItsLabels(t *testing.T) {
	c := chart{name: "x", title: "Something", x: "aggregates", y: "bytes/aggregate", at: []float64{1e3, 1e6}, lines: []line{{name: "first line"}, {name: "second line", dashed: true}}, wanted: 450, wantedY: "at most 450 B"}
	for i := range c.lines {
		for _, x := range c.at {
			c.lines[i].points = append(c.lines[i].points, struct{ X, Y float64 }{x, 200 * float64(i+1)})
		}
	}
	first, err := c.draw()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Something", "aggregates", "bytes/aggregate", ">1 k<", ">1 M<", ">100<", ">1 k<", "first line", "second line", "at most 450 B"} {
		if !strings.Contains(string(first), want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
	second, err := c.draw()
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("drawn again it is another one (%v)", err)
	}
}
