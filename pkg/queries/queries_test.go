package queries

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
)

func TestEveryQuestionSaysWhatItIs(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range All() {
		if seen[d.Subject] || !strings.HasPrefix(d.Subject, "query.") || d.Summary == "" {
			t.Errorf("the question %q (%s) has no subject of its own below query., or no summary", d.Subject, d.Summary)
		}
		seen[d.Subject] = true
		metadata, err := d.Metadata()
		if err != nil {
			t.Error(err)
			continue
		}
		if names := slices.Sorted(maps.Keys(metadata)); !slices.Equal(names, []string{"answer_schema", "request_schema", "summary"}) {
			t.Errorf("%s tells %v of itself", d.Subject, names)
		}
		for _, name := range []string{"request_schema", "answer_schema"} {
			if !strings.Contains(metadata[name], `"type":"object"`) {
				t.Errorf("the %s of %s is not that of an object: %s", name, d.Subject, metadata[name])
			}
		}
	}
}

// A limit of 0 is as none, because a body without the field is the same to who reads it:
// each says so, and what it is then.
func TestEveryLimitSaysWhatZeroIs(t *testing.T) {
	limits := 0
	for _, d := range All() {
		schema, err := Schema(d.Request)
		if err != nil {
			t.Fatal(err)
		}
		limit := schema.Properties["limit"]
		if limit == nil {
			continue
		}
		limits++
		if !strings.Contains(limit.Description, "when it is 0 or not given") {
			t.Errorf("the limit of %s is %q; what is it when it is 0?", d.Subject, limit.Description)
		}
	}
	if limits < 5 {
		t.Errorf("only %d questions have a limit", limits)
	}
}

// Whatever is answered fits its schema: with everything in it, and with as little
// as can be.
func TestValuesFitTheirSchemas(t *testing.T) {
	for _, d := range All() {
		for _, of := range []reflect.Type{d.Request, d.Answer} {
			schema, err := Schema(of)
			if err != nil {
				t.Fatal(err)
			}
			resolved, err := schema.Resolve(nil)
			if err != nil {
				t.Fatalf("%s: %s: %v", d.Subject, of, err)
			}
			full := reflect.New(of).Elem()
			fill(full)
			for _, value := range []reflect.Value{full, emptied(of)} {
				data, err := json.Marshal(value.Interface())
				if err != nil {
					t.Fatal(err)
				}
				var instance any
				if err := json.Unmarshal(data, &instance); err != nil {
					t.Fatal(err)
				}
				if err := resolved.Validate(instance); err != nil {
					t.Errorf("%s: %s does not fit the schema of %s: %v", d.Subject, data, of, err)
				}
			}
			if err := resolved.Validate(map[string]any{"no such field": 1}); err == nil {
				t.Errorf("%s: the schema of %s takes a field that does not exist", d.Subject, of)
			}
		}
	}
}

// fill sets every field to something.
func fill(v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
		return
	case reflect.TypeFor[events.Money]():
		v.Set(reflect.ValueOf(events.MustMoney("24.90", "EUR")))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{"a":1}`))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	}
}

// emptied is the zero value with lists that are there and empty, as answers have them.
func emptied(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	for i := range t.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8 && !strings.Contains(t.Field(i).Tag.Get("json"), "omitzero") {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	return v
}
