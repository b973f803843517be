package esjstest

import (
	"maps"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
)

// varied returns for each event others of its type that say something else:
// their texts are changed where the type allows that. Events that say the same
// cannot show that states share memory.
func (c *check[S, E]) varied(events []E) [][]E {
	c.t.Helper()
	all := make([][]E, len(events))
	for i, e := range events {
		for _, suffix := range []string{"'", "''"} {
			if other, changed := c.variant(e, suffix); changed {
				all[i] = append(all[i], other)
			}
		}
	}
	return all
}

func (c *check[S, E]) variant(e E, suffix string) (other E, changed bool) {
	c.t.Helper()
	r := record(c.t, e)
	var data any
	if err := json.Unmarshal(r.Data, &data); err != nil {
		c.t.Fatalf("%s: %v", r.Type, err)
	}
	change(data, suffix, func() bool {
		encoded, err := json.Marshal(data)
		if err != nil {
			return false
		}
		r.Data = encoded
		recorded, err := c.codec.Decode(r)
		if err != nil {
			return false
		}
		other, changed = recorded.Event, true
		return true
	})
	return other, changed
}

// change adds suffix to the texts in a JSON value, one after the other, and takes
// it back where the value is then not valid.
func change(value any, suffix string, valid func() bool) {
	tried := func(member any, set func(any)) {
		text, ok := member.(string)
		if !ok {
			change(member, suffix, valid)
			return
		}
		if set(text + suffix); !valid() {
			set(text)
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			tried(value[name], func(v any) { value[name] = v })
		}
	case []any:
		for i, member := range value {
			tried(member, func(v any) { value[i] = v })
		}
	}
}

// roomy gives the slices in a state that are not empty room for more, as some of
// them have by chance: appending to one that is not cloned then writes into
// what other states see.
func roomy[S any](state S) S {
	makeRoom(reflect.ValueOf(&state).Elem())
	return state
}

func makeRoom(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			makeRoom(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				makeRoom(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			makeRoom(v.Index(i))
		}
		if v.CanSet() && v.Len() > 0 {
			wide := reflect.MakeSlice(v.Type(), v.Len(), v.Len()+4)
			reflect.Copy(wide, v)
			v.Set(wide)
		}
	}
}
