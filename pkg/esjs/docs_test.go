package esjs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const docs = "../../docs/esjs"

// Whoever copies from the documentation gets code that was compiled and run.
func TestEveryGoBlockOfTheDocumentationIsInAnExample(t *testing.T) {
	var examples strings.Builder
	for _, pattern := range []string{"example_*test.go", "*/example_*test.go"} {
		for _, file := range glob(t, pattern) {
			examples.WriteString("\n" + read(t, file))
		}
	}
	blocks := 0
	for _, page := range glob(t, docs+"/*.md") {
		for i, part := range strings.Split(read(t, page), "\n```") {
			block, isGo := strings.CutPrefix(part, "go\n")
			if !isGo || i%2 == 0 || strings.HasPrefix(block, "import (") { // TestTheTutorialIsAProgram compiles these
				continue
			}
			blocks++
			if !occurs(block, examples.String()) {
				t.Errorf("%s: no example has the lines\n%s", filepath.Base(page), block)
			}
		}
	}
	if blocks < 10 {
		t.Errorf("the documentation has %d blocks of Go, so the test does not see them", blocks)
	}
}

// occurs tells that text has the block's lines, at one depth of indentation.
func occurs(block, text string) bool {
	for depth := range 5 {
		lines := strings.Split(block, "\n")
		for i, line := range lines {
			if line != "" {
				lines[i] = strings.Repeat("\t", depth) + line
			}
		}
		if strings.Contains(text, "\n"+strings.Join(lines, "\n")+"\n") {
			return true
		}
	}
	return false
}

func TestLinksOfTheDocumentationLeadSomewhere(t *testing.T) {
	for _, page := range glob(t, docs+"/*.md") {
		for _, part := range strings.Split(read(t, page), "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			target, _, _ = strings.Cut(target, "#")
			if target == "" || strings.HasPrefix(target, "https://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(docs, target)); err != nil {
				t.Errorf("%s links to %s: %v", filepath.Base(page), target, err)
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
