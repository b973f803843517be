package esjstest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// CheckGolden proves that everything that was ever published is still read. dir
// holds a file for every form in which events were ever stored, named for type
// and schema version, with the data of one event: TicketSold.v2.json.
//
//   - Every type of the codec has a file of its version, and so has every form that
//     an upcaster starts from.
//   - Every file decodes, whatever became of its type; and so does an event without values.
//   - A file of a type's own version is read to its last member, and what was read is
//     written with the same names and values.
//   - A file of an older form is read as a file in dir/read says, which is named for
//     both: TicketSold.v1.as.TicketSold.v2.json.
//   - Every field of a type has a value in a file of its version. A field that came
//     without a new version needs one file more: TicketSold.v2-2.json.
//
// What is published is never changed: when the test runs to rewrite (see [Rewriting]) missing files are
// written, of events that have something in every field, and no other file is. The
// file of an older form that has none is written by hand.
//
// values are what fields of their types get. There is one for each type of field that
// cannot be made up: an interface, a struct without exported fields, a text that
// must be a certain one.
func CheckGolden[E esjs.Event](t testing.TB, codec *esjs.Codec[E], dir string, values ...any) {
	t.Helper()
	g := golden[E]{t: t, codec: codec, dir: dir, values: values, types: map[form]esjs.EventType[E]{}, seen: map[form]map[string]bool{}}
	for _, typ := range codec.Types() {
		g.types[form{typ.Name, typ.SchemaVersion}] = typ
	}
	for _, file := range g.files(dir) {
		g.checkStored(file)
	}
	for _, of := range slices.SortedFunc(maps.Keys(g.types), compareForms) {
		g.checkComplete(of)
	}
	for _, u := range codec.Upcasters() {
		if of := (form{u.Type, max(u.SchemaVersion, 1)}); g.seen[of] == nil {
			t.Errorf("%s is missing: an upcaster needs what was stored in the form that it starts from", g.path(of.file(1)))
		}
	}
	for _, file := range g.files(filepath.Join(dir, "read")) {
		if !slices.Contains(g.read, file) {
			t.Errorf("%s: nothing is read as that any more; delete it", g.path("read", file))
		}
	}
}

// golden is one check.
type golden[E esjs.Event] struct {
	t      testing.TB
	codec  *esjs.Codec[E]
	dir    string
	values []any
	types  map[form]esjs.EventType[E]
	seen   map[form]map[string]bool // the fields that have a value in a form's files
	read   []string                 // files below dir/read that are used
}

func (g *golden[E]) path(file ...string) string {
	return filepath.Join(append([]string{g.dir}, file...)...)
}

// files returns the names of the files in a directory, which need not exist.
func (g *golden[E]) files(dir string) (names []string) {
	g.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkStored checks one file.
func (g *golden[E]) checkStored(file string) {
	g.t.Helper()
	path := g.path(file)
	of, ok := parseFile(file)
	if !ok {
		g.t.Errorf("%s: a golden file is named TYPE.vVERSION.json", path)
		return
	}
	if g.seen[of] == nil {
		g.seen[of] = map[string]bool{}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	recorded, err := g.codec.Decode(esjs.Record{Type: of.name, SchemaVersion: of.version, Data: data})
	if err != nil {
		g.t.Errorf("%s was published and no longer decodes: %v", path, err)
		return
	}
	typ, current := g.types[of]
	if !current {
		g.checkReading(strings.TrimSuffix(file, ".json"), recorded.Event)
		return
	}
	if _, err := typ.Decode(data, strictly); err != nil {
		g.t.Errorf("%s was published, and is not read to its last member; keep the field, or raise the schema version: %v", path, err)
		return
	}
	if now := encoded(g.t, recorded.Event); lost(data, now, "") != "" {
		g.t.Errorf("%s was published with another %s than it is stored with now; what changes is a new schema version\npublished: %s\nnow:       %s",
			path, lost(data, now, ""), compact(data), compact(now))
	}
	addFieldsSet(reflect.ValueOf(recorded.Event), "", g.seen[of])
}

// checkReading checks what a file of an older form is read as.
func (g *golden[E]) checkReading(stored string, event E) {
	g.t.Helper()
	name := fmt.Sprintf("%s.as.%s.json", stored, formOf(event))
	g.read = append(g.read, name)
	path := g.path("read", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && Rewriting() {
		g.write(path, event)
		return
	}
	if err != nil {
		g.t.Errorf("what %s.json is read as is not known; write it, and look at it: %v", stored, err)
		return
	}
	if now := encoded(g.t, event); lost(want, now, "") != "" {
		g.t.Errorf("%s.json was read with another %s than it is now\nthen: %s\nnow:  %s", stored, lost(want, now, ""), compact(want), compact(now))
	}
}

// checkComplete checks that a type has a file, that every field has a value in
// one, and that no value is needed.
func (g *golden[E]) checkComplete(of form) {
	g.t.Helper()
	recorded, err := g.codec.Decode(esjs.Record{Type: of.name, SchemaVersion: of.version, Data: []byte("{}")})
	if err != nil {
		g.t.Fatal(err)
	}
	zero := encoded(g.t, recorded.Event)
	if back, err := g.types[of].Decode(zero, strictly); err != nil || compact(encoded(g.t, back)) != compact(zero) {
		g.t.Errorf("a %s without values, %s, does not come back: %+v, %v", of, compact(zero), back, err)
	}
	var without []string
	for _, field := range fieldsOf(reflect.TypeOf(recorded.Event), "", nil) {
		if !g.seen[of][field] {
			without = append(without, field)
		}
	}
	switch {
	case g.seen[of] != nil && len(without) == 0:
	case Rewriting():
		g.writeNext(of, recorded.Event)
	case g.seen[of] == nil:
		g.t.Errorf("%s is missing: every type needs a golden file; write it", g.path(of.file(1)))
	default:
		g.t.Errorf("%s: %s has no value in any golden file; write one more", of, strings.Join(without, ", "))
	}
}

// writeNext writes one more file of a type.
func (g *golden[E]) writeNext(of form, zero E) {
	g.t.Helper()
	v := reflect.New(reflect.TypeOf(zero)).Elem()
	if err := fill(v, of.name, g.values, nil); err != nil {
		g.t.Errorf("a %s cannot be made up: %v", of, err)
		return
	}
	event := v.Interface().(E)
	data, err := encode(event)
	if err != nil {
		g.t.Errorf("a %s that was made up does not encode: %v", of, err)
		return
	}
	back, err := g.types[of].Decode(data, strictly)
	if err != nil {
		g.t.Errorf("a %s that was made up does not come back, perhaps because CheckGolden needs a value of some type: %v", of, err)
		return
	}
	if !reflect.DeepEqual(back, event) {
		g.t.Errorf("a %s does not come back as it was\nwas:    %+v\nstored: %s\nread:   %+v", of, event, data, back)
		return
	}
	n := 1
	for slices.Contains(g.files(g.dir), of.file(n)) {
		n++
	}
	g.write(g.path(of.file(n)), event)
}

func (g *golden[E]) write(path string, event E) {
	g.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, encoded(g.t, event), 0o644)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}
