package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// bind reads a request's path and query into the struct that v points to: a
// field's JSON name is the parameter's, in the path where the path has one of that
// name and else in the query. What the struct does not have, or is given twice, is
// refused with "bad_request".
func bind(r *http.Request, v any) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem(http.StatusBadRequest, "bad_request", "the query cannot be read: %v", err)
	}
	var known []string
	target := reflect.ValueOf(v).Elem()
	for f := range parameters(target.Type(), r.Pattern) {
		into := target.FieldByIndex(f.field.Index)
		if f.inPath {
			if !utf8.ValidString(r.PathValue(f.name)) {
				return problem(http.StatusBadRequest, "bad_key", "an id is 1 to 255 bytes of UTF-8; this one is not UTF-8")
			}
			if err := f.set(into, r.PathValue(f.name)); err != nil {
				return err
			}
			continue
		}
		known = append(known, f.name)
		given := values[f.name]
		switch {
		case len(given) > 1:
			return problem(http.StatusBadRequest, "bad_request", "the parameter %q is given %d times; give it once", f.name, len(given))
		case len(given) == 0:
			if f.required {
				return problem(http.StatusBadRequest, "parameter_required", "the parameter %q is missing", f.name)
			}
		default:
			if err := f.set(into, given[0]); err != nil {
				return err
			}
		}
	}
	for name := range values {
		if !slices.Contains(known, name) {
			return problem(http.StatusBadRequest, "bad_request", "the parameter %.60q is not known; %s", name, thereAre(known))
		}
	}
	return nil
}

func thereAre(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	return "there are " + strings.Join(names, ", ")
}

// parameter is one field of a request's struct.
type parameter struct {
	name     string
	field    reflect.StructField
	inPath   bool
	required bool
	describe string
}

// parameters lists the parameters of a struct for a path such as "/v1/orders/{order_id}".
func parameters(t reflect.Type, path string) func(yield func(parameter) bool) {
	return func(yield func(parameter) bool) {
		for _, f := range reflect.VisibleFields(t) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "" || name == "-" {
				continue
			}
			p := parameter{name: name, field: f, describe: f.Tag.Get("jsonschema")}
			p.inPath = strings.Contains(path, "{"+name+"}")
			p.required = p.inPath || !strings.Contains(options, "omit")
			if !yield(p) {
				return
			}
		}
	}
}

// set reads text into a field.
func (p parameter) set(into reflect.Value, text string) error {
	must := func(what string) error {
		return problem(http.StatusBadRequest, "bad_request", "the parameter %q is %.60q; it must be %s", p.name, text, what)
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	if into.Type() == reflect.TypeFor[time.Time]() {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return must("a time such as 2026-11-23T04:02:50Z")
		}
		into.Set(reflect.ValueOf(t))
		return nil
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return must("true or false")
		}
		into.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, into.Type().Bits())
		if err != nil {
			return must("a whole number")
		}
		into.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return must("a whole number, 0 or more")
		}
		into.SetUint(n)
	case reflect.Slice:
		words := strings.Split(text, ",")
		list := reflect.MakeSlice(into.Type(), len(words), len(words))
		for i, word := range words {
			if err := p.set(list.Index(i), word); err != nil {
				return err
			}
		}
		into.Set(list)
	default:
		return fmt.Errorf("the parameter %q is of a type that nobody can send: %s", p.name, into.Type())
	}
	return nil
}
