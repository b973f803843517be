package service

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json/jsontext"
)

// requireFields reads the next value of a body that has been decoded into a t, and
// refuses the first object in it that lacks a required field.
func requireFields(d *jsontext.Decoder, t reflect.Type) error {
	t = elem(t)
	switch kind := d.PeekKind(); {
	case t != nil && t.Kind() == reflect.Struct && kind == '{':
		return requireIn(d, t)
	case t != nil && t.Kind() == reflect.Slice && kind == '[':
		return each(d, func() error { return requireFields(d, t.Elem()) })
	}
	return d.SkipValue()
}

func requireIn(d *jsontext.Decoder, t reflect.Type) error {
	given := map[string]bool{}
	err := each(d, func() error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		field := name.String()
		given[field] = d.PeekKind() != 'n'
		return requireFields(d, fieldType(t, field))
	})
	if err != nil {
		return err
	}
	for f := range jsonFields(t) {
		tag, required := f.Tag.Lookup("required")
		if name := jsonName(f); required && !given[name] {
			return &esjs.Rejection{
				Code:    "field_required",
				Message: fmt.Sprintf("the field %s is missing; it must be %s %s", fieldName(d.StackPointer().AppendToken(name)), describeType(f.Type), tag),
				Status:  http.StatusUnprocessableEntity,
			}
		}
	}
	return nil
}

// each reads an object or a list, and next what is in it.
func each(d *jsontext.Decoder, next func() error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' && d.PeekKind() != ']' {
		if err := next(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
