package servicetest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Told fails the test for each name (of a verb, or of the type of an event) that is
// in no "when" of the scenarios in the files that match a pattern. A name in a file may
// go on after a "-": "add-item-beans" is an "add-item".
func Told(t testing.TB, pattern string, names ...string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 || len(names) == 0 {
		t.Fatalf("%s: %d files, and %d names to look for: %v", pattern, len(files), len(names), err)
	}
	var scenarios []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scenarios = append(append(scenarios, data...), '\n')
	}
	for _, name := range names {
		when := regexp.MustCompile(`(?m)^when ` + regexp.QuoteMeta(name) + `(-| |$)`)
		if !when.Match(scenarios) {
			t.Errorf("%s: no scenario says what happens when %s", pattern, name)
		}
	}
}
