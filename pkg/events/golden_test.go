package events_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/b144f99b/orderflow/pkg/events"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of new types; existing ones are never written")

func goldenFile(t events.Type) string {
	return filepath.Join("testdata", fmt.Sprintf("%s.v%d.json", t.Name, t.SchemaVersion))
}

func decode(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}

func encode(t *testing.T, e events.Event) []byte {
	t.Helper()
	data, err := json.Marshal(e, jsontext.Multiline(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatalf("encode %s: %v", e.EventType(), err)
	}
	return append(data, '\n')
}

// What is stored must decode for ever: a golden file holds one event of a type
// and version with every field set, as it was published first.
func TestEveryStoredVersionDecodesForEver(t *testing.T) {
	for _, typ := range events.Types {
		t.Run(typ.Name, func(t *testing.T) {
			file := goldenFile(typ)
			golden, err := os.ReadFile(file)
			if os.IsNotExist(err) && *rewrite {
				golden = encode(t, sample(t, typ))
				err = os.WriteFile(file, golden, 0o644)
			}
			if err != nil {
				t.Fatalf("every event type needs its golden file; go test ./pkg/events -rewrite writes the missing ones: %v", err)
			}
			event, err := typ.Decode(golden, decode)
			if err != nil {
				t.Fatalf("%s was published and no longer decodes: %v", file, err)
			}
			if event.EventType() != typ.Name {
				t.Errorf("decoded a %s as a %s", typ.Name, event.EventType())
			}
			if again := encode(t, event); !bytes.Equal(again, golden) {
				t.Errorf("%s is not what the type encodes to; a changed type is a new schema version\nstored:  %s\nencoded: %s", file, golden, again)
			}
			if field := zeroField(reflect.ValueOf(event), typ.Name); field != "" {
				t.Errorf("%s has no value in %s; a new field is a new schema version", field, file)
			}
		})
	}
}

func TestEveryGoldenFileHasItsType(t *testing.T) {
	known := map[string]bool{}
	for _, typ := range events.Types {
		if known[goldenFile(typ)] {
			t.Errorf("two types are named %s version %d", typ.Name, typ.SchemaVersion)
		}
		known[goldenFile(typ)] = true
	}
	files, err := filepath.Glob("testdata/*.v*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s was published, and no type decodes it any more", f)
		}
	}
}

func TestZeroValuesSurviveARoundTrip(t *testing.T) {
	for _, typ := range events.Types {
		zero, err := typ.Decode([]byte("{}"), decode)
		if err != nil {
			t.Fatalf("%s: %v", typ.Name, err)
		}
		data := encode(t, zero)
		again, err := typ.Decode(data, decode)
		if err != nil {
			t.Fatalf("%s: %v", typ.Name, err)
		}
		if !bytes.Equal(encode(t, again), data) {
			t.Errorf("%s: %s became %s", typ.Name, data, encode(t, again))
		}
	}
}

// sample returns an event with a value in every field.
func sample(t *testing.T, typ events.Type) events.Event {
	t.Helper()
	zero, err := typ.Decode([]byte("{}"), decode)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.New(reflect.TypeOf(zero))
	fill(t, v.Elem(), typ.Name)
	return v.Elem().Interface().(events.Event)
}

func fill(t *testing.T, v reflect.Value, field string) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)))
		return
	case events.Money:
		v.Set(reflect.ValueOf(events.MustMoney("24.90", "EUR")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Tag.Get("json"))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), field)
		}
	case reflect.String:
		name, _, _ := bytes.Cut([]byte(field), []byte(","))
		v.SetString(string(name) + " ü<&")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("%s: a golden file cannot be made for a %s", field, v.Type())
	}
}

// zeroField names a field of v without a value, "" when there is none.
func zeroField(v reflect.Value, path string) string {
	switch v.Interface().(type) {
	case time.Time, events.Money:
	default:
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := zeroField(v.Field(i), path+"."+v.Type().Field(i).Name); f != "" {
					return f
				}
			}
			return ""
		case reflect.Slice:
			for i := range v.Len() {
				if f := zeroField(v.Index(i), path); f != "" {
					return f
				}
			}
			if v.Len() > 0 {
				return ""
			}
		}
	}
	if v.IsZero() {
		return path
	}
	return ""
}
