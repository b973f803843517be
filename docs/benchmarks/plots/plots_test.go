//go:build plots

package plots

import (
	"bytes"
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
