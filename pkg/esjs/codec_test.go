package esjs_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// shape is a closed set of event types, as a service has one.
type shape interface {
	esjs.Event
	area() float64
}

type square struct {
	Side float64           `json:"side"`
	Tags map[string]string `json:"tags,omitempty"`
}

func (square) EventType() string { return "SquareDrawn" }
func (s square) area() float64   { return s.Side * s.Side }

type circle struct {
	Radius float64 `json:"radius"`
}

func (*circle) EventType() string  { return "CircleDrawn" }
func (*circle) SchemaVersion() int { return 2 }
func (c *circle) area() float64    { return 3 * c.Radius * c.Radius }

// stubborn cannot be read back from what it is written as.
type stubborn struct {
	On bool `json:"on"`
}

func (stubborn) EventType() string            { return "Stubborn" }
func (stubborn) MarshalJSON() ([]byte, error) { return []byte(`"off"`), nil }

func shapes(t *testing.T) *esjs.Codec[shape] {
	t.Helper()
	codec, err := esjs.NewCodec(esjs.TypeOf[shape, square](), esjs.TypeOf[shape, *circle]())
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func TestCodecDecodesValuesAndPointers(t *testing.T) {
	codec := shapes(t)
	got, err := codec.Decode(esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Version: 4, Data: json.RawMessage(`{"side":3,"later":true}`)})
	if s, ok := got.Event.(square); err != nil || !ok || s.Side != 3 || got.Version != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = codec.Decode(esjs.Record{Type: "CircleDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"radius":2}`)})
	if err != nil || got.Event.area() != 12 {
		t.Errorf("got %+v, %v", got, err)
	}
	if !codec.Knows("SquareDrawn") || codec.Knows("square") {
		t.Error("the codec knows the wrong names")
	}
	types := codec.Types()
	if len(types) != 2 || types[0].Name != "CircleDrawn" || types[0].SchemaVersion != 2 || types[1].Name != "SquareDrawn" || types[1].SchemaVersion != 1 {
		t.Errorf("its types are %+v", types)
	}
}

func TestCodecRefusesData(t *testing.T) {
	codec := shapes(t)
	for name, c := range map[string]struct {
		record  esjs.Record
		unknown bool
	}{
		"unknown type":      {esjs.Record{Type: "TriangleDrawn", SchemaVersion: 1, Data: json.RawMessage(`{}`)}, true},
		"newer version":     {esjs.Record{Type: "CircleDrawn", SchemaVersion: 3, Data: json.RawMessage(`{}`)}, true},
		"no data":           {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1}, false},
		"not JSON":          {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{`)}, false},
		"another type":      {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"side":"3"}`)}, false},
		"repeated name":     {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"side":1,"side":2}`)}, false},
		"not UTF-8":         {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage("{\"tags\":{\"a\":\"\xff\"}}")}, false},
		"a lone surrogate":  {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"tags":{"a":"\ud800"}}`)}, false},
		"more after it":     {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{} {}`)}, false},
		"null for a number": {esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`[]`)}, false},
	} {
		c.record.Stream, c.record.Version = esjs.StreamID{Category: "shape", Key: "s-1"}, 9
		_, err := codec.Decode(c.record)
		var decode *esjs.DecodeError
		if !errors.As(err, &decode) {
			t.Errorf("%s: got %v, want a DecodeError", name, err)
			continue
		}
		if decode.Unknown != c.unknown || decode.Stream != c.record.Stream || decode.Version != 9 || decode.Type != c.record.Type {
			t.Errorf("%s: got %+v", name, decode)
		}
	}
}

func TestCodecPassesOverNamesOfAnotherCase(t *testing.T) {
	got, err := shapes(t).Decode(esjs.Record{Type: "SquareDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"Side":3}`)})
	if err != nil || got.Event.area() != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNewCodecFromTakesAListOfAnotherType(t *testing.T) {
	type listed struct {
		Name          string
		SchemaVersion int
		Decode        func(data []byte, unmarshal func([]byte, any) error) (shape, error)
	}
	circles := listed(esjs.TypeOf[shape, *circle]())
	codec, err := esjs.NewCodecFrom([]listed{circles})
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.Decode(esjs.Record{Type: "CircleDrawn", SchemaVersion: 2, Data: json.RawMessage(`{"radius":2}`)})
	if err != nil || got.Event.area() != 12 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := esjs.NewCodecFrom([]listed{circles, circles}); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a name that is listed twice: %v", err)
	}
}

func TestNewCodecRefusesTypes(t *testing.T) {
	good := esjs.TypeOf[shape, square]()
	change := func(f func(*esjs.EventType[shape])) esjs.EventType[shape] { c := good; f(&c); return c }
	for name, c := range map[string]struct {
		types []esjs.EventType[shape]
		says  string
	}{
		"two of one name":   {[]esjs.EventType[shape]{good, good}, "SquareDrawn"},
		"no name":           {[]esjs.EventType[shape]{change(func(e *esjs.EventType[shape]) { e.Name = "" })}, "name"},
		"no decoder":        {[]esjs.EventType[shape]{change(func(e *esjs.EventType[shape]) { e.Decode = nil })}, "Decode"},
		"another name":      {[]esjs.EventType[shape]{change(func(e *esjs.EventType[shape]) { e.Name = "Other" })}, "SquareDrawn"},
		"another version":   {[]esjs.EventType[shape]{change(func(e *esjs.EventType[shape]) { e.SchemaVersion = 2 })}, "schema version"},
		"not of the set":    {[]esjs.EventType[shape]{esjs.TypeOf[shape, noted]()}, "Noted"},
		"negative versions": {[]esjs.EventType[shape]{change(func(e *esjs.EventType[shape]) { e.SchemaVersion = -1 })}, "schema version"},
	} {
		if _, err := esjs.NewCodec(c.types...); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrConfig that names %q", name, err, c.says)
		}
	}
	if _, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, stubborn]()); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("an event that does not come back: %v", err)
	}
}

// noted is not one of the shapes.
type noted struct {
	N int `json:"n"`
}

func (noted) EventType() string { return "Noted" }
