package esjstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// entered is an event with a personal value.
type entered struct {
	Visitor string                `json:"visitor"`
	Name    esjs.Personal[string] `json:"name"`
}

func (entered) EventType() string  { return "Entered" }
func (e entered) PersonID() string { return e.Visitor }

type greeting struct {
	Initial string                `json:"initial"`
	Name    esjs.Personal[string] `json:"name"`
}

func guestbook(t testing.TB, initial func(string) string) esjs.Aggregate[greeting, string, esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, entered]())
	if err != nil {
		t.Fatal(err)
	}
	return esjs.Aggregate[greeting, string, esjs.Event]{
		Category: "visit", Codec: codec,
		Apply: func(_ greeting, e esjs.Event) greeting {
			name := e.(entered).Name
			return greeting{Initial: initial(name.Value()), Name: name}
		},
		Decide: func(v greeting, name string) ([]esjs.Event, error) {
			if v.Initial != "" {
				return nil, nil
			}
			return []esjs.Event{entered{Visitor: "v-1", Name: esjs.PersonalOf(name)}}, nil
		},
	}
}

func TestPersonalValuesAreCheckedAsTheyAreAndErased(t *testing.T) {
	sample := entered{Visitor: "v-1", Name: esjs.PersonalOf("Ada")}
	careful := guestbook(t, func(name string) string { return (name + "?")[:1] })
	CheckAggregate(t, careful, Samples[string, esjs.Event]{Events: []esjs.Event{sample}, Commands: []string{"Ada"}})
	Given(t, careful).When("Ada").Then(sample)
	careless := guestbook(t, func(name string) string { return name[:1] })
	wantSaid(t, says(t, func(t testing.TB) { CheckApply(t, careless, esjs.Event(sample)) }), "panicked")
}

func TestGoldenFilesHavePersonalValuesInClear(t *testing.T) {
	dir := t.TempDir()
	codec := guestbook(t, strings.ToLower).Codec
	t.Setenv("ESJSTEST_REWRITE", "1")
	CheckGolden(t, codec, dir, esjs.PersonalOf("Ada"))
	t.Setenv("ESJSTEST_REWRITE", "")
	CheckGolden(t, codec, dir, esjs.PersonalOf("Ada"))
	data, err := os.ReadFile(filepath.Join(dir, "Entered.v1.json"))
	if err != nil || !strings.Contains(string(data), `"name": "Ada"`) {
		t.Errorf("the file is %s, %v", data, err)
	}
}
