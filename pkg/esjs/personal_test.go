package esjs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// joined is an event with personal values of all shapes.
type joined struct {
	Member  string                                     `json:"member"`
	Name    esjs.Personal[string]                      `json:"name"`
	Address esjs.Personal[postal]                      `json:"address,omitzero"`
	Phones  []esjs.Personal[string]                    `json:"phones,omitempty"`
	Notes   map[string]esjs.Personal[[]int]            `json:"notes,omitempty"`
	Parent  *guardian                                  `json:"parent,omitempty"`
	Plan    string                                     `json:"plan"`
	Extra   map[string]any                             `json:"extra,omitempty"`
	Deep    [1]struct{ V esjs.Personal[bool] }         `json:"deep"`
	Nested  map[string][]map[string]esjs.Personal[int] `json:"nested,omitempty"`
}

type postal struct {
	Street string `json:"street"`
	Town   string `json:"town"`
}

type guardian struct {
	Name esjs.Personal[string] `json:"name"`
}

func (joined) EventType() string  { return "Joined" }
func (j joined) PersonID() string { return j.Member }

func joinedCodec(t testing.TB) *esjs.Codec[esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, joined](), esjs.TypeOf[esjs.Event, noted](), esjs.TypeOf[esjs.Event, esjs.PersonErased]())
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// ada has a value of every shape.
func ada(member string) joined {
	return joined{
		Member:  member,
		Name:    esjs.PersonalOf("Ada"),
		Address: esjs.PersonalOf(postal{"Main Street", "London"}),
		Phones:  []esjs.Personal[string]{esjs.PersonalOf("1"), esjs.PersonalOf("")},
		Notes:   map[string]esjs.Personal[[]int]{"a/b": esjs.PersonalOf([]int{1, 2})},
		Parent:  &guardian{Name: esjs.PersonalOf("Anne")},
		Plan:    "gold",
		Deep:    [1]struct{ V esjs.Personal[bool] }{{esjs.PersonalOf(true)}},
		Nested:  map[string][]map[string]esjs.Personal[int]{"x": {{"y": esjs.PersonalOf(7)}}},
	}
}

func TestPersonalValuesDoNotTellThemselves(t *testing.T) {
	p := esjs.PersonalOf("Ada")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, p), fmt.Sprintf(verb, &p), fmt.Sprintf(verb, joined{Name: p})} {
			if strings.Contains(text, "Ada") || strings.Contains(text, "416461") || !strings.Contains(text, "[personal]") {
				t.Errorf("%s writes %s", verb, text)
			}
		}
	}
	if data, err := json.Marshal(joined{Name: p}); err == nil {
		t.Errorf("json writes %s", data)
	}
	data, err := esjs.MarshalInClear(guardian{Name: p})
	if err != nil || string(data) != `{"name":"Ada"}` {
		t.Errorf("MarshalInClear writes %s, %v", data, err)
	}
}

func TestACodecReadsWhatMarshalInClearWrites(t *testing.T) {
	data, err := esjs.MarshalInClear(ada("m-1"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := joinedCodec(t).Decode(esjs.Record{Type: "Joined", Data: data})
	if err != nil || !reflect.DeepEqual(back.Event, esjs.Event(ada("m-1"))) {
		t.Errorf("%s came back as %#v, %v", data, back.Event, err)
	}
}

func TestErasedIsTheEventWithoutItsPersonalValues(t *testing.T) {
	erased, err := joinedCodec(t).Erased(ada("m-1"))
	if err != nil {
		t.Fatal(err)
	}
	e := erased.(joined)
	if e.Member != "m-1" || e.Plan != "gold" {
		t.Errorf("what is not personal became %+v", e)
	}
	checkErased(t, e)
	data, err := esjs.MarshalInClear(e)
	if err != nil || !strings.Contains(string(data), `"name":null`) {
		t.Errorf("an erased event is written as %s, %v", data, err)
	}
}

// checkErased demands that all values of [ada] are erased, and the zero value.
func checkErased(t testing.TB, e joined) {
	t.Helper()
	if !e.Name.Erased() || e.Name.Value() != "" || !e.Address.Erased() || e.Address.Value() != (postal{}) {
		t.Errorf("the fields are %#v", e)
	}
	if len(e.Phones) != 2 || !e.Phones[0].Erased() || !e.Phones[1].Erased() || !e.Notes["a/b"].Erased() || !e.Nested["x"][0]["y"].Erased() || !e.Deep[0].V.Erased() {
		t.Errorf("the elements are %#v", e)
	}
	if e.Parent == nil || !e.Parent.Name.Erased() {
		t.Errorf("what a pointer leads to is %#v", e.Parent)
	}
	if text := fmt.Sprint(e.Name); text != "[erased]" {
		t.Errorf("an erased value is shown as %s", text)
	}
}

type nobodys struct {
	Name esjs.Personal[string] `json:"name"`
}

type unmarked struct {
	Name string `json:"name"`
}

type pointing struct {
	Name esjs.Personal[*string] `json:"name"`
}

type anything struct {
	Name esjs.Personal[any] `json:"name"`
}

type doubled struct {
	Name esjs.Personal[guardian] `json:"name"`
}

type unwritable struct {
	Names []esjs.Personal[chan int] `json:"names"`
}

type keyed struct {
	Names map[esjs.Personal[string]]int `json:"names"`
}

type telling struct {
	Inner teller `json:"inner"`
}

type teller struct{ Name esjs.Personal[string] }

type pointed struct {
	Name *esjs.Personal[string] `json:"name"`
}

type embedding struct {
	esjs.Personal[string]
}

func (t teller) MarshalJSON() ([]byte, error) { return json.Marshal(t.Name.Value()) }
func (*teller) UnmarshalJSON([]byte) error    { return nil }

func (nobodys) EventType() string    { return "Nobodys" }
func (unmarked) EventType() string   { return "Unmarked" }
func (unmarked) PersonID() string    { return "m-1" }
func (pointing) EventType() string   { return "Pointing" }
func (pointing) PersonID() string    { return "m-1" }
func (anything) EventType() string   { return "Anything" }
func (anything) PersonID() string    { return "m-1" }
func (doubled) EventType() string    { return "Doubled" }
func (doubled) PersonID() string     { return "m-1" }
func (unwritable) EventType() string { return "Unwritable" }
func (unwritable) PersonID() string  { return "m-1" }
func (keyed) EventType() string      { return "Keyed" }
func (keyed) PersonID() string       { return "m-1" }
func (telling) EventType() string    { return "Telling" }
func (telling) PersonID() string     { return "m-1" }
func (pointed) EventType() string    { return "Pointed" }
func (pointed) PersonID() string     { return "m-1" }
func (embedding) EventType() string  { return "Embedding" }
func (embedding) PersonID() string   { return "m-1" }

func TestNewCodecRefusesPersonalValuesThatCouldNotBeSealed(t *testing.T) {
	for says, codec := range map[string]func() error{
		"no PersonID":       newCodecOf[nobodys],
		"no personal value": newCodecOf[unmarked],
		"*string":           newCodecOf[pointing],
		"interface":         newCodecOf[anything],
		"within another":    newCodecOf[doubled],
		"chan int":          newCodecOf[unwritable],
		"key of a map":      newCodecOf[keyed],
		"teller":            newCodecOf[telling],
		"string":            newCodecOf[embedding], // it promotes UnmarshalJSON
		"nil when":          newCodecOf[pointed],
	} {
		if err := codec(); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want ErrConfig that names %q", err, says)
		}
	}
}

func newCodecOf[T esjs.Event]() error {
	_, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, T]())
	return err
}
