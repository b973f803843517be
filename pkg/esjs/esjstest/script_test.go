package esjstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

func TestAggregateScript(t *testing.T) {
	script := doorScript(t)
	script.Play(t, "testdata/door.txt")
}

func doorScript(t *testing.T) *AggregateScript[door, open, esjs.Event] {
	t.Helper()
	script := NewAggregateScript(doors(t))
	script.Commands = map[string]open{"open": {}, "open-hall": {Name: "hall"}}
	script.State = func(d door) string {
		if d.Open {
			return "open as " + d.Name
		}
		return "shut"
	}
	return script
}

func TestProcessScript(t *testing.T) {
	script := NewProcessScript(watch(t))
	script.Commands = map[string]any{"relieve": relieve{}}
	script.Words = map[string]func(watchState) (esjs.StreamID, esjs.Event){
		"shut": func(watchState) (esjs.StreamID, esjs.Event) { return hall, closed{} },
	}
	script.With = func(t testing.TB, settings string) esjs.Process[watchState, esjs.Event, esjs.Event] {
		p := watch(t)
		if settings != "nobody there" {
			t.Fatalf("unknown settings %q", settings)
		}
		p.React = func(watchState, esjs.Input[esjs.Event]) ([]esjs.Event, error) { return nil, nil }
		return p
	}
	played := script.Play(t, "testdata/watch.txt")
	last := played[len(played)-1]
	if last.Title != "nobody is there" || last.With != "nobody there" || len(last.Events) != 0 || last.Input.Event == nil || last.Input.Event.Type != "Opened" {
		t.Errorf("the last scenario was %+v", last)
	}
	if story := played[1]; story.Before.N != 2 || story.After.N != 3 || len(story.History) != 3 || len(story.Events) != 1 {
		t.Errorf("the second scenario was %+v", story)
	}
}

const rewritten = `# Kept as it is.
# Both lines.

a door is opened
when open {"Name":"a"}
then Opened {"name":"a"}
state open as a

it stays open
after a door is opened
given open-hall
when open {"name":"b"}
then nothing
state open as a
`

// What the test writes is what it then accepts; what people wrote stays.
func TestScriptsAreRewritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "door.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var without []string
	for line := range strings.SplitSeq(rewritten, "\n") {
		if word, _, _ := strings.Cut(line, " "); word != "then" && word != "state" {
			without = append(without, line)
		}
	}
	write(strings.Replace(strings.Join(without, "\n"), `when open {"name":"b"}`, "when open {\"name\":\"b\"}\nthen Opened {}", 1))
	t.Setenv("ESJSTEST_REWRITE", "1")
	if !Rewriting() {
		t.Fatal("the files are not written")
	}
	doorScript(t).Play(t, file)
	if data, err := os.ReadFile(file); err != nil || string(data) != rewritten {
		t.Errorf("written was, %v,\n%s", err, data)
	}
	t.Setenv("ESJSTEST_REWRITE", "")
	doorScript(t).Play(t, file)
}

func TestScriptsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"a door":           "no line that begins with when",
		"a door\nwen open": "does not begin with one of",
		"a door\nwhen":     "does not begin with one of",
		"a\nwhen open\n\nb\nwhen open\n\na\nwhen open": "two scenarios are named",
	} {
		file := filepath.Join(t.TempDir(), "door.txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readScript(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A scenario that is no longer what its file says is shown with the difference.
func TestScriptsSayWhatDiffers(t *testing.T) {
	st, err := readStory("a door\nwhen open\nthen Opened {}\nstate shut\nwhen open\nthen nothing")
	if err != nil {
		t.Fatal(err)
	}
	got := diff(st.text, st.told([]string{"then nothing\nstate shut", "then nothing"}))
	if want := "  a door\n  when open\n- then Opened {}\n+ then nothing\n  state shut\n  when open\n  then nothing"; got != want {
		t.Errorf("it says\n%s", got)
	}
	if st := (&story{text: "when it rains\nwhen open"}).told([]string{"then nothing"}); st != "when it rains\nwhen open\nthen nothing" {
		t.Errorf("a title that begins with a word of the file: %q", st)
	}
}
