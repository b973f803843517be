package esjstest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The words that lines begin with; [AggregateScript.Play] and
// [ProcessScript.Play] say what they mean.
var (
	peoplesWords = []string{"after", "with", "at", "given", "when"}
	testsWords   = []string{"then", "state", "timers"}
)

// script is one text file of scenarios.
type script struct {
	file    string
	preface string // with its empty line; "" when there is none
	stories []*story
	byTitle map[string]*story
}

// story is one scenario.
type story struct {
	title string
	after string
	with  string
	lines []line // given, when and at
	text  string // as the file has it
	now   string // as it is now; text until it was played
}

type line struct{ word, rest string }

func readScript(file string) (*script, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &script{file: file, byTitle: map[string]*story{}}
	for i, paragraph := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		if i == 0 && strings.HasPrefix(paragraph, "#") {
			s.preface = paragraph + "\n\n"
			continue
		}
		st, err := readStory(strings.Trim(paragraph, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if s.byTitle[st.title] != nil {
			return nil, fmt.Errorf("%s: two scenarios are named %q", file, st.title)
		}
		s.byTitle[st.title] = st
		s.stories = append(s.stories, st)
	}
	return s, nil
}

func readStory(paragraph string) (*story, error) {
	all := strings.Split(paragraph, "\n")
	title := all[0]
	st := &story{title: title, text: paragraph, now: paragraph}
	whens := 0
	for _, text := range all[1:] {
		word, rest, _ := strings.Cut(text, " ")
		switch {
		case slices.Contains(testsWords, word):
			continue
		case !slices.Contains(peoplesWords, word) || rest == "":
			return nil, fmt.Errorf("%q: the line %q does not begin with one of %s and go on", title, text, strings.Join(append(peoplesWords, testsWords...), ", "))
		case word == "after":
			st.after = rest
		case word == "with":
			st.with = rest
		case word == "given":
			for _, part := range parts(rest) {
				st.lines = append(st.lines, line{word, part})
			}
		default:
			st.lines = append(st.lines, line{word, rest})
		}
		if word == "when" {
			whens++
		}
	}
	if whens == 0 {
		return nil, fmt.Errorf("%q: it has no line that begins with when", title)
	}
	return st, nil
}

// parts divides what is given in one line; JSON has commas of its own.
func parts(rest string) []string {
	if strings.Contains(rest, "{") {
		return []string{rest}
	}
	return strings.Split(rest, ", ")
}

// play plays every scenario of the files that match pattern as a subtest, and
// compares or rewrites them. outcome plays one and returns what comes of each
// "when", as lines.
func play(t *testing.T, pattern string, outcome func(t *testing.T, s *script, st *story) []string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: there are no scenarios: %v", pattern, err)
	}
	for _, file := range files {
		s, err := readScript(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range s.stories {
			t.Run(st.title, func(t *testing.T) {
				outcomes := outcome(t, s, st)
				if t.Failed() {
					return
				}
				st.now = st.told(outcomes)
				if st.now != st.text && !Rewriting() {
					t.Errorf("%s: it is no longer what the file says (-) but (+); ESJSTEST_REWRITE=1 writes that\n%s", file, diff(st.text, st.now))
				}
			})
		}
		if Rewriting() {
			if err := s.write(); err != nil {
				t.Error(err)
			}
		}
	}
}

// told is the scenario with what came of each "when".
func (st *story) told(outcomes []string) string {
	var out []string
	for text := range strings.SplitSeq(st.text, "\n") {
		word, _, _ := strings.Cut(text, " ")
		if len(out) > 0 && slices.Contains(testsWords, word) {
			continue
		}
		out = append(out, text)
		if len(out) > 1 && word == "when" {
			out = append(out, outcomes[0])
			outcomes = outcomes[1:]
		}
	}
	return strings.Join(out, "\n")
}

func (s *script) write() error {
	all := make([]string, len(s.stories))
	for i, st := range s.stories {
		all[i] = st.now
	}
	return os.WriteFile(s.file, []byte(s.preface+strings.Join(all, "\n\n")+"\n"), 0o644)
}

// chain returns the scenarios that st goes on from, the first one first, and st.
func (s *script) chain(t *testing.T, st *story) []*story {
	t.Helper()
	chain := []*story{st}
	for chain[0].after != "" {
		before := s.byTitle[chain[0].after]
		if before == nil {
			t.Fatalf("%s: there is no scenario %q, after which %q goes on", s.file, chain[0].after, chain[0].title)
		}
		if slices.Contains(chain, before) {
			t.Fatalf("%s: the scenario %q goes on after itself", s.file, before.title)
		}
		if chain[0].with != "" {
			t.Fatalf("%s: %q goes on after another scenario, and has the settings of that one", s.file, chain[0].title)
		}
		chain = append([]*story{before}, chain...)
	}
	return chain
}
