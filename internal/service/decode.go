package service

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxBody is how many bytes the body of a command or a query may have.
const MaxBody = 64 << 10

// Decode reads a request's body, one JSON object, into the struct that v points
// to. It is strict: an unknown field, a field given twice, invalid UTF-8 or a
// value of the wrong type is a *[esjs.Rejection] with code "bad_request",
// status 400 and a sentence that names the field and says what is allowed; a
// body over [MaxBody] is one with code "body_too_large", status 413.
//
// Control characters in any of its strings, which people cannot see and PostgreSQL
// cannot all store, are refused with "field_invalid", status 422; in a "reason" and an
// "evidence" line feeds and tabs are text.
//
// A field whose tag is `required:"from 1 to 9999"` must be given, and not as null;
// one that is missing is refused with "field_required", status 422. The tag ends the
// sentence that says what the field must be: "a whole number from 1 to 9999".
func Decode(body []byte, v any) error {
	if err := checkSize(body); err != nil {
		return err
	}
	if err := decode("the body", body, v); err != nil {
		return err
	}
	return checkStrings(body)
}

// DecodeFile is [Decode] for a file of any size, or a part of one, that people write.
// What the struct holds already stays where the file says nothing.
func DecodeFile(data []byte, v any) error { return decode("the file", data, v) }

func decode(what string, data []byte, v any) error {
	switch kind := jsontext.Value(data).Kind(); {
	case len(bytes.TrimSpace(data)) == 0:
		return badRequest(codeBadRequest, "%s is empty; it must be a JSON object%s", what, fieldsOf(reflect.TypeOf(v)))
	case kind != '{' && kind != 0:
		return badRequest(codeBadRequest, "%s must be a JSON object, not %s%s", what, describeKind(kind), fieldsOf(reflect.TypeOf(v)))
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return badRequest(codeBadRequest, "%s", explain(what, err, reflect.TypeOf(v)))
	}
	return requireFields(jsontext.NewDecoder(bytes.NewReader(data)), reflect.TypeOf(v))
}

const codeBadRequest = "bad_request"

func checkSize(body []byte) error {
	if len(body) <= MaxBody {
		return nil
	}
	return &esjs.Rejection{
		Code:    "body_too_large",
		Message: fmt.Sprintf("the body has %d bytes; at most %d are allowed", len(body), MaxBody),
		Status:  http.StatusRequestEntityTooLarge,
	}
}

// explain says in a sentence what is wrong with what was to become a t.
func explain(what string, err error, t reflect.Type) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("the field %s is given twice; give it once", fieldName(syntax.JSONPointer))
		}
		return fmt.Sprintf("%s is not valid JSON: %v at byte %d", what, syntax.Err, syntax.ByteOffset)
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return what + " cannot be read: " + err.Error()
	}
	at := semantic.JSONPointer
	if errors.Is(semantic.Err, json.ErrUnknownName) {
		return fmt.Sprintf("the field %s is not known%s", fieldName(at), fieldsOf(typeAt(t, at.Parent())))
	}
	want := typeAt(t, at)
	if want == nil {
		want = semantic.GoType
	}
	if custom := semantic.Err; custom != nil && !isStandard(custom) {
		return fmt.Sprintf("the field %s is not valid: %v", fieldName(at), custom)
	}
	got := describeKind(semantic.JSONKind)
	if len(semantic.JSONValue) > 0 {
		got = clip(string(semantic.JSONValue))
	}
	if errors.Is(semantic.Err, strconv.ErrRange) {
		return fmt.Sprintf("the field %s must be %s; %s is out of range", fieldName(at), describeType(want), got)
	}
	return fmt.Sprintf("the field %s must be %s, not %s", fieldName(at), describeType(want), got)
}

// isStandard tells the decoder's own reasons (out of range, not a number) from
// those of a type that decodes itself; the latter say better what is allowed.
func isStandard(err error) bool {
	return errors.Is(err, strconv.ErrRange) || errors.Is(err, strconv.ErrSyntax)
}

// fieldName writes a JSON pointer as people do: "lines[2].sku".
func fieldName(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 64); err == nil && b.Len() > 0 {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return clip(strconv.Quote(b.String()))
}

// typeAt finds the Go type that the value at p would have been decoded into,
// nil when there is none.
func typeAt(t reflect.Type, p jsontext.Pointer) reflect.Type {
	for token := range p.Tokens() {
		t = elem(t)
		if t == nil {
			return nil
		}
		switch t.Kind() {
		case reflect.Struct:
			t = fieldType(t, token)
		case reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return nil
		}
	}
	return elem(t)
}

func elem(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func fieldType(t reflect.Type, name string) reflect.Type {
	for f := range jsonFields(t) {
		if jsonName(f) == name {
			return f.Type
		}
	}
	return nil
}

// fieldsOf ends a sentence with the fields that t allows, if it is a struct.
func fieldsOf(t reflect.Type) string {
	t = elem(t)
	if t == nil || t.Kind() != reflect.Struct {
		return ""
	}
	var names []string
	for f := range jsonFields(t) {
		names = append(names, strconv.Quote(jsonName(f)))
	}
	if len(names) == 0 {
		return "; no fields are allowed"
	}
	return "; allowed are " + strings.Join(names, ", ")
}

func jsonFields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.IsExported() && !f.Anonymous && f.Tag.Get("json") != "-" && !yield(f) {
				return
			}
		}
	}
}

func jsonName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name
	}
	return f.Name
}

func describeType(t reflect.Type) string {
	switch t = elem(t); {
	case t == nil:
		return "of another type"
	case slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64}, t.Kind()):
		return "a whole number"
	case t.Kind() >= reflect.Int8 && t.Kind() <= reflect.Int32:
		return fmt.Sprintf("a whole number from %d to %d", -1<<(t.Bits()-1), 1<<(t.Bits()-1)-1)
	case t.Kind() == reflect.Uint8 || t.Kind() == reflect.Uint16 || t.Kind() == reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case t.Kind() == reflect.Uint || t.Kind() == reflect.Uint64:
		return "a whole number, 0 or more"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}

func describeKind(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[', ']':
		return "a list"
	case '{', '}':
		return "an object"
	default:
		return "what was given"
	}
}

// clip keeps what a caller sent from filling an answer or a log line.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
