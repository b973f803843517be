//go:build browser

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// widths are those of phones that lie, tablets and small windows, and those at which the
// layout changes.
var widths = []int64{390, 600, 640, 641, 704, 768, 832, 896, 960, 961, 1024, 1088, 1152, 1216, 1280, 1440}

// Every table shows all its columns at every width: where they do not fit beside each
// other, a row is a list, in which each value says what it is.
func TestEveryTableIsReadAtEveryWidth(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("testdata", "tables.js"))
	if err != nil {
		t.Fatal(err)
	}
	tb := open(t)
	tb.expect("404")
	settle(tb)
	type seen struct {
		Tables, Stacked int
		Wrong           []string
	}
	tables, stacked := 0, 0
	for name, p := range pages() {
		tb.visit(p[0])
		tb.see(p[1])
		for _, width := range widths {
			s := screen{name: fmt.Sprint(width), width: width, height: 900, theme: "light"}
			tb.look(s)
			found := evaluate[seen](tb, string(script))
			tables, stacked = tables+found.Tables, stacked+found.Stacked
			for _, wrong := range found.Wrong {
				t.Errorf("%s at %d: %s", name, width, wrong)
			}
			tb.picture(name, s)
		}
	}
	if stacked == 0 || tables < 5*len(widths) || stacked == tables {
		t.Errorf("of %d tables %d were lists", tables, stacked)
	}
}
