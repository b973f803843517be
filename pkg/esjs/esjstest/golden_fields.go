package esjstest

import (
	"encoding"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// fieldsOf returns the fields of a type that hold values, as "Lines[].SKU".
// A type that holds itself is not entered again.
func fieldsOf(t reflect.Type, at string, inside []reflect.Type) []string {
	if slices.Contains(inside, t) {
		return nil
	}
	inside = append(inside[:len(inside):len(inside)], t)
	switch {
	case isWhole(t):
		return []string{strings.TrimPrefix(at, ".")}
	case t.Kind() == reflect.Pointer:
		return fieldsOf(t.Elem(), at, inside)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array, t.Kind() == reflect.Map:
		return fieldsOf(t.Elem(), at+"[]", inside)
	}
	var fields []string
	for _, f := range storedFields(t) {
		fields = append(fields, fieldsOf(f.Type, at+"."+f.Name, inside)...)
	}
	return fields
}

// addFieldsSet adds those of fieldsOf that have a value in v.
func addFieldsSet(v reflect.Value, at string, set map[string]bool) {
	switch {
	case isWhole(v.Type()):
		if !v.IsZero() {
			set[strings.TrimPrefix(at, ".")] = true
		}
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			addFieldsSet(v.Elem(), at, set)
		}
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		for i := range v.Len() {
			addFieldsSet(v.Index(i), at+"[]", set)
		}
	case v.Kind() == reflect.Map:
		for _, element := range v.Seq2() {
			addFieldsSet(element, at+"[]", set)
		}
	default:
		for _, f := range storedFields(v.Type()) {
			addFieldsSet(v.FieldByIndex(f.Index), at+"."+f.Name, set)
		}
	}
}

// storedFields returns a struct's fields that are stored.
func storedFields(t reflect.Type) (fields []reflect.StructField) {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
			fields = append(fields, f)
		}
	}
	return fields
}

var (
	rawTypes      = []reflect.Type{reflect.TypeFor[stdjson.RawMessage](), reflect.TypeFor[jsontext.Value]()}
	timeType      = reflect.TypeFor[time.Time]()
	encodesItself = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[encoding.TextMarshaler](),
	}
)

// isWhole tells that a type's values are not looked into: they encode
// themselves, or have no parts that could be seen.
func isWhole(t reflect.Type) bool {
	if slices.ContainsFunc(encodesItself, func(m reflect.Type) bool { return t.Implements(m) || reflect.PointerTo(t).Implements(m) }) {
		return t.Kind() != reflect.Pointer
	}
	switch t.Kind() {
	case reflect.Struct:
		return len(storedFields(t)) == 0 && t.NumField() > 0
	case reflect.Slice, reflect.Array:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Pointer, reflect.Map:
		return false
	}
	return true
}

// fill puts something into every field of v. values are what values of their
// types get, at names the field, and inside are the structs that it is part of.
func fill(v reflect.Value, at string, values []any, inside []reflect.Type) error {
	for _, value := range values {
		if t := reflect.TypeOf(value); t == v.Type() || v.Kind() == reflect.Interface && t.Implements(v.Type()) {
			v.Set(reflect.ValueOf(value))
			return nil
		}
	}
	switch {
	case slices.Contains(inside, element(v.Type())): // it holds itself; once is enough
		return nil
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)))
		return nil
	case slices.Contains(rawTypes, v.Type()):
		v.SetBytes([]byte(`{"any":"thing"}`))
		return nil
	}
	if v.Kind() == reflect.Struct {
		inside = append(inside[:len(inside):len(inside)], v.Type())
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(at + ` ü<&`)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(7.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), at, values, inside)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return fillElements(v, at, values, inside)
	case reflect.Array:
		return fillElements(v, at, values, inside)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := fill(key, at+"'s key", values, inside); err != nil {
			return err
		}
		if err := fill(value, at, values, inside); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if isWhole(v.Type()) && len(storedFields(v.Type())) == 0 {
			return unmakeable(v, at)
		}
		for _, f := range storedFields(v.Type()) {
			if err := fill(v.FieldByIndex(f.Index), f.Name, values, inside); err != nil {
				return err
			}
		}
	default:
		return unmakeable(v, at)
	}
	return nil
}

func unmakeable(v reflect.Value, at string) error {
	return fmt.Errorf("%s has the type %s, of which CheckGolden needs a value", at, v.Type())
}

// element is the type of what a type holds, itself for most.
func element(t reflect.Type) reflect.Type {
	for {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return t
		}
	}
}

func fillElements(v reflect.Value, at string, values []any, inside []reflect.Type) error {
	for i := range v.Len() {
		if err := fill(v.Index(i), at, values, inside); err != nil {
			return err
		}
	}
	return nil
}
