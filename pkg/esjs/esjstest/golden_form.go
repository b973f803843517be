package esjstest

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// form is one stored form of an event.
type form struct {
	name    string
	version int
}

func formOf(e esjs.Event) form {
	if v, ok := e.(esjs.Versioned); ok {
		return form{e.EventType(), v.SchemaVersion()}
	}
	return form{e.EventType(), 1}
}

func compareForms(a, b form) int { return strings.Compare(a.String(), b.String()) }

func (f form) String() string { return fmt.Sprintf("%s.v%d", f.name, f.version) }

// file names the n-th file of a form, from 1 on.
func (f form) file(n int) string {
	if n == 1 {
		return f.String() + ".json"
	}
	return fmt.Sprintf("%s-%d.json", f, n)
}

var fileName = regexp.MustCompile(`^(.+)\.v([1-9][0-9]{0,8})(?:-[0-9]+)?\.json$`)

// parseFile reads what [form.file] wrote.
func parseFile(name string) (f form, ok bool) {
	parts := fileName.FindStringSubmatch(name)
	if parts == nil {
		return form{}, false
	}
	version, err := strconv.Atoi(parts[2])
	return form{parts[1], version}, err == nil
}

// encoded is an event's data as a golden file has it.
func encoded(t testing.TB, e esjs.Event) []byte {
	t.Helper()
	data, err := encode(e, jsontext.WithIndent("  "))
	if err != nil {
		t.Fatalf("encode %s: %v", e.EventType(), err)
	}
	return append(data, '\n')
}

// strictly decodes as a codec does, and refuses members that the type does not have.
func strictly(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}

func compact(value jsontext.Value) string {
	value = value.Clone()
	_ = value.Compact() // what is no JSON is shown as it is
	return string(value)
}

// lost names a value of before that now does not have; "" when it has all of
// them. It may have more members.
func lost(before, now jsontext.Value, at string) string {
	switch before.Kind() {
	case '{':
		var was, is map[string]jsontext.Value
		if json.Unmarshal(before, &was) != nil || json.Unmarshal(now, &is) != nil {
			return cmp.Or(at, "value")
		}
		for _, name := range slices.Sorted(maps.Keys(was)) {
			if found := lost(was[name], is[name], strings.TrimPrefix(at+"."+name, ".")); found != "" {
				return found
			}
		}
		return ""
	case '[':
		var was, is []jsontext.Value
		if json.Unmarshal(before, &was) != nil || json.Unmarshal(now, &is) != nil || len(was) != len(is) {
			return cmp.Or(at, "value")
		}
		for i := range was {
			if found := lost(was[i], is[i], fmt.Sprintf("%s[%d]", at, i)); found != "" {
				return found
			}
		}
		return ""
	}
	if compact(before) == compact(now) {
		return ""
	}
	return cmp.Or(at, "value")
}
