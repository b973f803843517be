package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the real output of README's commands into README")

// README's blocks that are marked "console" are a session: its commands are run
// in their order, against a fresh system, and must print what README says. A
// command without output in README must only succeed. What differs from run to
// run (ids, times, sequences, order) is not compared, and "…" stands for more. Commands that show something are repeated until they show it, because
// fulfilment takes a moment.
func TestREADMEIsTrue(t *testing.T) {
	path := filepath.Join(root(), "README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := up(t, "--ephemeral")
	lines := strings.Split(string(text), "\n")
	var out []string
	ran := 0
	for i := 0; i < len(lines); {
		out = append(out, lines[i])
		i++
		if lines[i-1] != "```console" {
			continue
		}
		for lines[i] != "```" {
			command, found := strings.CutPrefix(lines[i], "$ ")
			if !found {
				t.Fatalf("line %d of README is in a session and no command: %s", i+1, lines[i])
			}
			at := i + 1
			for i++; lines[i] != "```" && !strings.HasPrefix(lines[i], "$ "); i++ {
			}
			ran++
			out = append(out, lines[at-1])
			out = append(out, s.says(t, command, lines[at:i])...)
		}
	}
	if ran < 20 {
		t.Errorf("README has only %d commands in sessions", ran)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(strings.Join(out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.interrupt(t)
}

// says runs a command and returns what README should say of it.
func (s *system) says(t *testing.T, command string, want []string) []string {
	t.Helper()
	address := strings.TrimPrefix(s.http, "http://")
	line := strings.ReplaceAll(command, "127.0.0.1:8080", address)
	deadline := time.Now().Add(patience)
	if *rewrite {
		deadline = time.Now().Add(2 * time.Second)
	}
	for {
		r := s.tool(t, "/bin/sh", "-c", line)
		if r.status != 0 || strings.Contains(r.stderr, "Nats-Service-Error") {
			t.Fatalf("$ %s\n%d %s%s", command, r.status, r.stdout, r.stderr)
		}
		if len(want) == 0 {
			return nil
		}
		got := strings.Split(strings.TrimRight(strings.ReplaceAll(r.stdout, address, "127.0.0.1:8080"), "\n"), "\n")
		if same(want, got) {
			return want
		}
		if time.Now().Before(deadline) {
			<-time.After(20 * time.Millisecond) // it is asked again
			continue
		}
		if !*rewrite {
			t.Errorf("$ %s\nprints\n%s\nand README says\n%s", command, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for i, line := range got {
			got[i] = strings.TrimRight(line, " ")
		}
		return got
	}
}

// same compares lines, without what differs from run to run and in any order:
// what happens at the same time is shown in the order in which it came.
func same(want, got []string) bool {
	left := map[string]int{}
	for _, line := range got {
		left[lasting(line)]++
	}
	others := len(got)
	for _, line := range want {
		if line == "…" {
			others = 0
			continue
		}
		if left[lasting(line)]--; left[lasting(line)] < 0 {
			return false
		}
	}
	return others == 0 || others == len(want)
}

func lasting(line string) string {
	for _, v := range varying() {
		line = v.what.ReplaceAllString(line, v.with)
	}
	return strings.TrimSpace(line)
}

type variation struct {
	what *regexp.Regexp
	with string
}

// varying lists what differs from run to run, in the order in which it is replaced.
func varying() []variation {
	return []variation{
		{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
		{regexp.MustCompile(`\bPP[0-9A-F]+\b`), "<tracking>"},
		{regexp.MustCompile(`"esjsprev":"[^"]*"`), `"esjsprev":"<window>"`},
		{regexp.MustCompile(`"commandhash":"[^"]*"`), `"commandhash":"<hash>"`},
		{regexp.MustCompile(`\b[A-Za-z0-9]{22}\b`), "<nuid>"},
		{regexp.MustCompile(`│ (\d\.\d\.\d  | {7}) │`), "│ <version> │"}, // of services, told of the first that answers
		{regexp.MustCompile(`\d+(\.\d+)?(ns|µs|ms|s|m)\b`), "<duration>"},
		{regexp.MustCompile(`\d+(\.\d+)? (B|KiB|MiB|kB|KB|MB)\b`), "<bytes>"},
		{regexp.MustCompile(`\d+`), "#"},
		{regexp.MustCompile(`[─╭╮╰╯├┤│\s]+`), " "},
	}
}

func TestVaryingPartsAreNotCompared(t *testing.T) {
	if !same([]string{"a 1 2026-11-23T03:54:25Z", "…", "end"}, []string{"a  22 2027-01-01T00:00:00Z", "x", "y", "end"}) {
		t.Error("numbers, times and … are compared")
	}
	if !same([]string{"a", "b"}, []string{"b", "a"}) {
		t.Error("the order is compared")
	}
	if same([]string{"a", "…", "end"}, []string{"b", "end"}) || same([]string{"a"}, []string{"a", "b"}) || same([]string{"a", "b"}, []string{"a"}) || same([]string{"a", "a"}, []string{"a", "b"}) {
		t.Error("words and lines are not compared")
	}
}
