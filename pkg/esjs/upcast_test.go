package esjs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// replaced rewrites a member's name.
func replaced(old, now string) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) {
		if !bytes.Contains(data, []byte(old)) {
			return nil, errors.New("there is no " + old)
		}
		return bytes.Replace(data, []byte(old), []byte(now), 1), nil
	}
}

func TestUpcastersAreAChain(t *testing.T) {
	codec, err := shapes(t).WithUpcasters( // CircleDrawn has version 2
		esjs.Upcaster{Type: "CircleDrawn", Upcast: replaced("diameter", "radius")},
		esjs.Upcaster{Type: "RoundDrawn", To: "CircleDrawn", Upcast: replaced("width", "diameter")},
		esjs.Upcaster{Type: "BoxDrawn", To: "SquareDrawn"},
	)
	if err != nil {
		t.Fatal(err)
	}
	var from []string
	for _, u := range codec.Upcasters() {
		from = append(from, u.Type)
	}
	if !slices.Equal(from, []string{"BoxDrawn", "CircleDrawn", "RoundDrawn"}) {
		t.Errorf("the upcasters start from %q", from)
	}
	for _, c := range []struct {
		record esjs.Record
		area   float64
	}{
		{esjs.Record{Type: "CircleDrawn", SchemaVersion: 2, Data: json.RawMessage(`{"radius":1}`)}, 3},
		{esjs.Record{Type: "CircleDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"diameter":1}`)}, 3},
		{esjs.Record{Type: "RoundDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"width":1}`)}, 3},
		{esjs.Record{Type: "RoundDrawn", Data: json.RawMessage(`{"width":2}`)}, 12},
		{esjs.Record{Type: "BoxDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"side":2}`)}, 4},
	} {
		stored := string(c.record.Data)
		got, err := codec.Decode(c.record)
		if err != nil || got.Event.area() != c.area {
			t.Errorf("%s %s: got %+v, %v", c.record.Type, stored, got.Event, err)
		}
		if got.Type != c.record.Type || got.SchemaVersion != c.record.SchemaVersion || string(got.Data) != stored {
			t.Errorf("%s %s: the record became %+v", c.record.Type, stored, got.Record)
		}
	}
	if !codec.Knows("RoundDrawn") || !codec.Knows("CircleDrawn") || codec.Knows("Drawn") {
		t.Error("the codec knows the wrong names")
	}
	for _, r := range []esjs.Record{
		{Type: "CircleDrawn", SchemaVersion: 1, Data: json.RawMessage(`{"radius":1}`)},
		{Type: "CircleDrawn", SchemaVersion: 3, Data: json.RawMessage(`{"radius":1}`)},
		{Type: "RoundDrawn", SchemaVersion: 3, Data: json.RawMessage(`{"radius":1}`)},
	} {
		var decode *esjs.DecodeError
		if got, err := codec.Decode(r); !errors.As(err, &decode) {
			t.Errorf("%s version %d: got %+v, %v, want a DecodeError", r.Type, r.SchemaVersion, got, err)
		}
	}
}

func TestWithUpcastersRefuses(t *testing.T) {
	up := replaced("a", "b")
	for name, c := range map[string]struct {
		upcasters []esjs.Upcaster
		says      string
	}{
		"two of one schema":     {[]esjs.Upcaster{{Type: "CircleDrawn", Upcast: up}, {Type: "CircleDrawn", SchemaVersion: 1, Upcast: up}}, "two upcasters"},
		"nothing to do":         {[]esjs.Upcaster{{Type: "CircleDrawn"}}, "neither"},
		"an unknown end":        {[]esjs.Upcaster{{Type: "RoundDrawn", To: "OvalDrawn"}}, "OvalDrawn"},
		"beyond the version":    {[]esjs.Upcaster{{Type: "CircleDrawn", SchemaVersion: 2, Upcast: up}}, "version 3"},
		"short of the version":  {[]esjs.Upcaster{{Type: "RoundDrawn", To: "CircleDrawn"}}, "version 1"},
		"renamed in a circle":   {[]esjs.Upcaster{{Type: "A", To: "B"}, {Type: "B", To: "A"}}, "circle"},
		"renamed to themselves": {[]esjs.Upcaster{{Type: "SquareDrawn", To: "SquareDrawn"}}, "circle"},
	} {
		if _, err := shapes(t).WithUpcasters(c.upcasters...); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrConfig that names %q", name, err, c.says)
		}
	}
	codec, err := shapes(t).WithUpcasters(esjs.Upcaster{Type: "BoxDrawn", To: "SquareDrawn"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.WithUpcasters(esjs.Upcaster{Type: "BoxDrawn", To: "SquareDrawn"}); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a second one in a second call: %v", err)
	}
}
