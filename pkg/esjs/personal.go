package esjs

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/seal"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Personal is a value of an event that says something about a person. A store
// with keys (see [KeyConfig]) seals it under the key of the event's person before it
// is stored, and opens it when it is read; [Store.ErasePerson] destroys that key.
//
// An erased value is the zero T, and Erased tells it from a value that is zero. A
// value that cannot be read for any other reason is never taken for an erased
// one: then the event does not decode.
//
// T is anything that JSON can hold, except pointers and interfaces, and holds no
// other Personal. A value that may be absent has omitzero in its json tag. Outside
// of a store a Personal does not tell its value to json, fmt or a log by accident:
// use Value, or [MarshalInClear]. That ends at an unexported field: fmt prints what is
// in one by itself, with %v too, and asks no method. Export the fields that hold one.
type Personal[T any] struct {
	value  T
	erased bool
}

// PersonalEvent is an [Event] with [Personal] values, in its fields or in what
// they hold: they are those of one person. A decision about two persons is two
// events of one commit.
type PersonalEvent interface {
	Event
	// PersonID names the person: 1 to 255 bytes of UTF-8. It is stored in clear in
	// every event and is never erased, so it says nothing by itself: a number or a
	// UUID, not an e-mail address.
	PersonID() string
}

// PersonalOf returns v as a personal value.
func PersonalOf[T any](v T) Personal[T] { return Personal[T]{value: v} }

// Value returns the value, the zero T when it was erased.
func (p Personal[T]) Value() T { return p.value }

// Erased tells that there was a value and that it was erased.
func (p Personal[T]) Erased() bool { return p.erased }

// Format writes what the value is and not the value itself, whatever the verb.
func (p Personal[T]) Format(f fmt.State, _ rune) {
	text := "[personal]"
	if p.erased {
		text = "[erased]"
	}
	_, _ = io.WriteString(f, text)
}

// MarshalJSON fails: a personal value is stored sealed or not at all. For
// those who may see it there is [MarshalInClear].
func (p Personal[T]) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a personal value is sealed by a store with keys, and written in clear by MarshalInClear only")
}

// UnmarshalJSON reads a value in clear; null is an erased one.
func (p *Personal[T]) UnmarshalJSON(data []byte) error {
	*p = Personal[T]{}
	switch {
	case string(data) == "null":
		p.erased = true
		return nil
	case seal.IsSealed(data):
		return errors.New("a personal value is sealed: the store was opened without keys")
	}
	return json.Unmarshal(data, &p.value)
}

// personalValue is a *Personal of any type.
type personalValue interface {
	isErased() bool
	says() bool // it is neither erased nor the zero value
	// inClear returns the value as JSON, and refuses what would look like an erased one.
	inClear() ([]byte, error)
	// check returns why there can be no such values.
	check() error
}

func (p *Personal[T]) isErased() bool { return p.erased }
func (p *Personal[T]) says() bool     { return !reflect.ValueOf(&p.value).Elem().IsZero() }

func (p *Personal[T]) inClear() ([]byte, error) {
	data, err := json.Marshal(p.value, json.Deterministic(true))
	if err == nil && string(data) == "null" {
		return nil, errors.New("a personal value is null, as which erased ones are read: leave it out instead")
	}
	return data, err
}

func (p *Personal[T]) check() error {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || holdsPersonal(t) {
		return fmt.Errorf("a personal value cannot be a %s: no pointer, no interface, and no personal value within another", t)
	}
	var zero Personal[T]
	data, err := zero.inClear()
	if err != nil {
		return err
	}
	return zero.UnmarshalJSON(data)
}

var (
	clearly  = json.WithMarshalers(json.MarshalToFunc(writeInClear))
	asErased = json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, _ personalValue) error {
		return e.WriteToken(jsontext.Null)
	}))
)

func writeInClear(e *jsontext.Encoder, v personalValue) error {
	if v.isErased() {
		return e.WriteToken(jsontext.Null)
	}
	data, err := v.inClear()
	if err != nil {
		return err
	}
	return e.WriteValue(data)
}

// MarshalInClear returns v as JSON with [Personal] values as they are, and null
// for erased ones: for tests, and for answers to those who may see them. A codec reads it.
func MarshalInClear(v any) ([]byte, error) {
	return json.Marshal(v, clearly, json.Deterministic(true))
}

// Erased returns the event as it is read after its person was erased, for tests
// of what Apply and projections make of it. An event without personal values
// comes back as it is.
func (c *Codec[E]) Erased(event E) (E, error) {
	data, err := json.Marshal(event, asErased, json.Deterministic(true))
	if err != nil {
		return event, err
	}
	e, err := c.Decode(Record{Type: event.EventType(), SchemaVersion: schemaVersion(event), Data: data})
	return e.Event, err
}

var personalType = reflect.TypeFor[personalValue]()

// personalTypes remembers for event types whether they hold personal values.
var personalTypes sync.Map // reflect.Type to bool

// holdsPersonal tells that values of type t hold personal values, in fields,
// elements and what pointers lead to. What an interface holds is not known: a
// personal value there is never written, because its MarshalJSON fails.
func holdsPersonal(t reflect.Type) bool {
	if known, ok := personalTypes.Load(t); ok {
		return known.(bool)
	}
	found := false
	walkTypes(t, make(map[reflect.Type]bool), func(t reflect.Type) { found = found || isPersonal(t) })
	personalTypes.Store(t, found)
	return found
}

func isPersonal(t reflect.Type) bool { return reflect.PointerTo(t).Implements(personalType) }

// walkTypes visits t and the types that its values hold, except what is inside
// a personal value.
func walkTypes(t reflect.Type, seen map[reflect.Type]bool, visit func(reflect.Type)) {
	if seen[t] {
		return
	}
	seen[t] = true
	visit(t)
	if isPersonal(t) {
		return
	}
	switch t.Kind() {
	case reflect.Map:
		walkTypes(t.Key(), seen, visit)
		walkTypes(t.Elem(), seen, visit)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		walkTypes(t.Elem(), seen, visit)
	case reflect.Struct:
		for i := range t.NumField() {
			walkTypes(t.Field(i).Type, seen, visit)
		}
	}
}

// checkPersonal refuses an event type whose personal values could not be
// stored, or could be stored in clear. It tells whether the type has any.
func checkPersonal(e Event) (personal bool, err error) {
	personal = holdsPersonal(reflect.TypeOf(e))
	walkTypes(reflect.TypeOf(e), make(map[reflect.Type]bool), func(t reflect.Type) {
		err = errors.Join(err, checkPersonalIn(t))
	})
	_, named := e.(PersonalEvent)
	switch {
	case err != nil:
		return personal, err
	case personal && !named:
		return true, errors.New("it has personal values and no PersonID that tells whose they are")
	case named && !personal:
		return false, errors.New("it has a PersonID and no personal value: is one not marked?")
	}
	return personal, nil
}

// checkPersonalIn checks one of the types that an event holds.
func checkPersonalIn(t reflect.Type) error {
	switch {
	case isPersonal(t):
		return reflect.New(t).Interface().(personalValue).check()
	case t.Kind() == reflect.Pointer && isPersonal(t.Elem()):
		return fmt.Errorf("a %s would be nil when it is erased: leave the pointer out, with omitzero where it may be absent", t)
	case t.Kind() == reflect.Map && holdsPersonal(t.Key()):
		return fmt.Errorf("a personal value cannot be a key of a %s", t)
	case t.Kind() != reflect.Pointer && holdsPersonal(t) && writesItself(t):
		return fmt.Errorf("%s holds personal values and writes its JSON itself, so they cannot be sealed", t)
	}
	return nil
}

// writesItself tells that json asks values of the type, or pointers to them, how they are written.
func writesItself(t reflect.Type) bool {
	for _, own := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[encoding.TextMarshaler](),
	} {
		if reflect.PointerTo(t).Implements(own) {
			return true
		}
	}
	return false
}

// personOf returns whose personal values an event holds, if it can hold any.
func personOf(e Event) (person string, personal bool) {
	p, ok := e.(PersonalEvent)
	if !ok || !holdsPersonal(reflect.TypeOf(e)) {
		return "", false
	}
	return p.PersonID(), true
}
