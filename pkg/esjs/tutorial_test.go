package esjs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Who follows the tutorial to the letter, in an empty directory, gets a program and a test that do
// what it says.
func TestTheTutorialIsAProgram(t *testing.T) {
	t.Parallel()
	tutorial := read(t, docs+"/tutorial.md")
	dir := t.TempDir()
	program, test := []string{"package main"}, []string{"package main"}
	for _, block := range blocksOf(tutorial, "go") {
		switch {
		case strings.HasPrefix(block, "func Test"), strings.Contains(block, `"testing"`):
			test = append(test, block)
		case strings.HasPrefix(block, "server, stop, err"): // "This is the body of main"
			end := "if err := showBalances(ctx, store); err != nil {\n\tfmt.Println(err)\n}" // "at the end of main, as useCard is called"
			program = append(program, "func main() {\n"+block+end+"\n}")
		default:
			program = append(program, block)
		}
	}
	write(t, filepath.Join(dir, "card.go"), strings.Join(program, "\n\n"))
	write(t, filepath.Join(dir, "card_test.go"), strings.Join(test, "\n\n"))
	takeDependencies(t, dir)

	printed := ""
	for _, block := range blocksOf(tutorial, "text") {
		printed += strings.TrimPrefix(block, "$ go mod tidy && go run .\n")
	}
	if got := inDirectory(t, dir, "go", "run", "."); got != printed {
		t.Errorf("the program prints\n%s\nthe tutorial says\n%s", got, printed)
	}
	if got := inDirectory(t, dir, "go", "test", "."); !strings.HasPrefix(got, "ok ") {
		t.Errorf("the test says %s", got)
	}
}

// What README shows of the library is the tutorial's, which is run.
func TestREADMEShowsTheTutorialsCode(t *testing.T) {
	t.Parallel()
	tutorial := read(t, docs+"/tutorial.md")
	blocks := blocksOf(read(t, "../../README.md"), "go")
	if len(blocks) == 0 {
		t.Error("README shows no code")
	}
	for _, block := range blocks {
		if !strings.Contains(tutorial, block) {
			t.Errorf("this is not in the tutorial:\n%s", block)
		}
	}
}

// blocksOf returns the fenced blocks of a language.
func blocksOf(page, language string) (blocks []string) {
	for _, found := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)```").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, found[1])
	}
	return blocks
}

// takeDependencies does what "go mod tidy" does, without a network: the repository's own
// versions are used.
func takeDependencies(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/b144f99b/orderflow"
	mod := strings.Replace(read(t, root+"/go.mod"), "module "+module, "module giftcards", 1)
	write(t, filepath.Join(dir, "go.mod"), mod+"\nrequire "+module+" v0.0.0\nreplace "+module+" => "+root+"\n")
	write(t, filepath.Join(dir, "go.sum"), read(t, root+"/go.sum"))
}

func inDirectory(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=mod", "GOWORK=off") // built as the rest is, of which most is built by now
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
