package esjstest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// The event Sold, as it is first and as it may become.
type (
	sold struct {
		Price int    `json:"price"`
		Seat  string `json:"seat"`
	}
	soldByAgent struct {
		Price int    `json:"price"`
		Seat  string `json:"seat"`
		Agent string `json:"agent,omitzero"`
	}
	soldAnywhere struct {
		Price int `json:"price"`
	}
	soldAtPlace struct {
		Price int    `json:"price"`
		Place string `json:"place"`
	}
	soldForText struct {
		Price string `json:"price"`
		Seat  string `json:"seat"`
	}
	soldForLess struct {
		Price rounded `json:"price"`
		Seat  string  `json:"seat"`
	}
	soldInCents struct {
		Cents int    `json:"cents"`
		Seat  string `json:"seat"`
	}
	soldForAnything struct {
		Price doubled `json:"price"`
	}
	soldForCoins struct {
		Coins coin `json:"coins"`
	}
)

func (sold) EventType() string            { return "Sold" }
func (soldByAgent) EventType() string     { return "Sold" }
func (soldAnywhere) EventType() string    { return "Sold" }
func (soldAtPlace) EventType() string     { return "Sold" }
func (soldForText) EventType() string     { return "Sold" }
func (soldForLess) EventType() string     { return "Sold" }
func (soldInCents) EventType() string     { return "Sold" }
func (soldInCents) SchemaVersion() int    { return 2 }
func (soldForCoins) EventType() string    { return "Sold" }
func (soldForAnything) EventType() string { return "Sold" }

// rounded forgets the last digit.
type rounded int

func (r rounded) MarshalJSON() ([]byte, error) { return json.Marshal(int(r) / 10 * 10) }

// doubled grows each time.
type doubled int

func (d doubled) MarshalJSON() ([]byte, error) { return json.Marshal(2*int(d) + 1) }

// coin is one of a few texts.
type coin struct{ name string }

func (c coin) MarshalText() ([]byte, error) { return []byte(c.name), nil }
func (c *coin) UnmarshalText(b []byte) error {
	if c.name = string(b); c.name != "euro" && c.name != "" {
		return errors.New("there are euros only")
	}
	return nil
}

func inCents(t *testing.T, price, cents string) *esjs.Codec[esjs.Event] {
	t.Helper()
	codec, err := codecOf(t, esjs.TypeOf[esjs.Event, soldInCents]()).WithUpcasters(esjs.Upcaster{
		Type: "Sold",
		Upcast: func(data []byte) ([]byte, error) {
			return []byte(strings.NewReplacer(`"price"`, `"cents"`, price, cents).Replace(string(data))), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// rewriting writes what is missing.
func rewriting(t *testing.T, codec *esjs.Codec[esjs.Event], dir string, values ...any) {
	t.Helper()
	t.Setenv("ESJSTEST_REWRITE", "1")
	CheckGolden(t, codec, dir, values...)
	t.Setenv("ESJSTEST_REWRITE", "")
}

// demand demands that a check says one thing about each of want, and nothing else.
func demand(t *testing.T, codec *esjs.Codec[esjs.Event], dir string, want ...string) {
	t.Helper()
	w := &witness{TB: t}
	CheckGolden(w, codec, dir)
	if len(w.said) != len(want) {
		t.Errorf("it says %q, want %q", w.said, want)
		return
	}
	for i := range want {
		if !strings.Contains(w.said[i], want[i]) {
			t.Errorf("it says %q, want %q", w.said[i], want[i])
		}
	}
}

func filesIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGoldenFilesAreWrittenOnce(t *testing.T) {
	first, dir := codecOf(t, esjs.TypeOf[esjs.Event, sold]()), t.TempDir()
	demand(t, first, dir, "Sold.v1.json is missing")
	rewriting(t, first, dir)
	demand(t, first, dir)

	// A field more needs a file more, and the published one stays.
	more := codecOf(t, esjs.TypeOf[esjs.Event, soldByAgent]())
	demand(t, more, dir, "Agent has no value")
	before, err := os.ReadFile(dir + "/Sold.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	rewriting(t, more, dir)
	demand(t, more, dir)
	if after, err := os.ReadFile(dir + "/Sold.v1.json"); err != nil || string(after) != string(before) {
		t.Errorf("what was published is now %s, %v", after, err)
	}
	if got := filesIn(t, dir); !slices.Equal(got, []string{"Sold.v1-2.json", "Sold.v1.json"}) {
		t.Errorf("the files are %q", got)
	}
	// A program that does not know the field loses it.
	demand(t, first, dir, "not read to its last member")
}

func TestGoldenFindsChangedTypes(t *testing.T) {
	dir := t.TempDir()
	rewriting(t, codecOf(t, esjs.TypeOf[esjs.Event, sold]()), dir)
	for _, c := range []struct {
		now  esjs.EventType[esjs.Event]
		says []string
	}{
		{esjs.TypeOf[esjs.Event, soldAnywhere](), []string{"not read to its last member", "Price has no value"}},
		{esjs.TypeOf[esjs.Event, soldAtPlace](), []string{"not read to its last member", "Price, Place has no value"}},
		{esjs.TypeOf[esjs.Event, soldForText](), []string{"no longer decodes", "Price, Seat has no value"}},
		{esjs.TypeOf[esjs.Event, soldForLess](), []string{"another price"}},
		{esjs.TypeOf[esjs.Event, closed](), []string{"no longer decodes", "Closed.v1.json is missing"}},
		{esjs.TypeOf[esjs.Event, soldInCents](), []string{"what Sold.v1.json is read as is not known", "Sold.v2.json is missing"}},
	} {
		demand(t, codecOf(t, c.now), dir, c.says...)
	}
	if err := os.WriteFile(dir+"/sold.json", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	demand(t, codecOf(t, esjs.TypeOf[esjs.Event, sold]()), dir, "is named TYPE.vVERSION.json")
}

func TestGoldenFindsChangedUpcasters(t *testing.T) {
	dir := t.TempDir()
	rewriting(t, codecOf(t, esjs.TypeOf[esjs.Event, sold]()), dir)
	second := inCents(t, "7", "700")
	rewriting(t, second, dir)
	demand(t, second, dir)
	if got, want := filesIn(t, dir), []string{"Sold.v1.json", "Sold.v2.json", "read/Sold.v1.as.Sold.v2.json"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	demand(t, inCents(t, "7", "70"), dir, "read with another cents")

	if err := os.Rename(dir+"/Sold.v1.json", dir+"/Sold.v2-2.json"); err != nil {
		t.Fatal(err)
	}
	demand(t, second, dir, "Sold.v2-2.json was published, and is not read", "Sold.v1.json is missing: an upcaster", "as that any more; delete it")
}

// everything has a field of every kind.
type everything struct {
	Text    string                    `json:"text"`
	Yes     bool                      `json:"yes"`
	Small   int8                      `json:"small"`
	Natural uint64                    `json:"natural"`
	Ratio   float64                   `json:"ratio"`
	At      time.Time                 `json:"at"`
	Bytes   []byte                    `json:"bytes"`
	Raw     json.RawMessage           `json:"raw"`
	Maybe   *int                      `json:"maybe"`
	Array   [2]string                 `json:"array"`
	Parts   []part                    `json:"parts"`
	Named   map[string]map[int]string `json:"named"`
	Hidden  string                    `json:"-"`
}

type part struct {
	Name  string  `json:"name"`
	Parts []*part `json:"parts,omitempty"`
}

func (*everything) EventType() string { return "Everything" }

func TestGoldenEventsHaveSomethingInEveryField(t *testing.T) {
	dir := t.TempDir()
	codec := codecOf(t, esjs.TypeOf[esjs.Event, *everything]())
	rewriting(t, codec, dir)
	demand(t, codec, dir)
	got, err := os.ReadFile(dir + "/Everything.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "text": "Text ü<&",
  "yes": true,
  "small": 7,
  "natural": 7,
  "ratio": 7.5,
  "at": "2026-01-02T03:04:05.678901234Z",
  "bytes": "Bwc=",
  "raw": {
    "any": "thing"
  },
  "maybe": 7,
  "array": [
    "Array ü<&",
    "Array ü<&"
  ],
  "parts": [
    {
      "name": "Name ü<&"
    },
    {
      "name": "Name ü<&"
    }
  ],
  "named": {
    "Named's key ü<&": {
      "7": "Named ü<&"
    }
  }
}
`
	if string(got) != want {
		t.Errorf("it writes\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(dir+"/Everything.v1.json", []byte(strings.Replace(want, `"Named ü<&"`, `""`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	demand(t, codec, dir, "Named[][] has no value")
}

func TestGoldenRefusesTypesThatDoNotComeBack(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ESJSTEST_REWRITE", "1")
	demand(t, codecOf(t, esjs.TypeOf[esjs.Event, soldForLess]()), dir, "does not come back as it was")
	demand(t, codecOf(t, esjs.TypeOf[esjs.Event, soldForAnything]()), dir, `{"price":1}, does not come back`, "does not come back as it was")
}

func TestGoldenAsksForWhatCannotBeMadeUp(t *testing.T) {
	dir := t.TempDir()
	codec := codecOf(t, esjs.TypeOf[esjs.Event, soldForCoins]())
	t.Setenv("ESJSTEST_REWRITE", "1")
	demand(t, codec, dir, "Coins has the type esjstest.coin, of which CheckGolden needs a value")
	CheckGolden(t, codec, dir, coin{"euro"})
	if got := filesIn(t, dir); !slices.Equal(got, []string{"Sold.v1.json"}) {
		t.Errorf("the files are %q", got)
	}
}
