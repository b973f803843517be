package esjs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// EventType tells a [Codec] how to decode one stored type name. A codec is
// built from a list of them; a package of event types can keep such a list
// without importing esjs, because the fields are plain.
type EventType[E Event] struct {
	Name          string
	SchemaVersion int // 0 means 1

	// Decode turns stored data into the event. unmarshal is the codec's JSON
	// decoder: it refuses duplicate names and invalid UTF-8, and passes over
	// unknown names, which a newer writer may have added. A name of another case
	// is another name.
	Decode func(data []byte, unmarshal func([]byte, any) error) (E, error)
}

// TypeOf describes the event type T, for a codec of E, under the name and
// schema version that its methods return. T must be an E.
func TypeOf[E Event, T Event]() EventType[E] {
	var zero T
	// The decoder needs a place in memory, and an interface a copy of it: only the copy
	// is new for each event.
	places := sync.Pool{New: func() any { return new(T) }}
	return EventType[E]{
		Name:          zero.EventType(),
		SchemaVersion: schemaVersion(zero),
		Decode: func(data []byte, unmarshal func([]byte, any) error) (E, error) {
			place := places.Get().(*T)
			defer func() {
				*place = zero
				places.Put(place)
			}()
			if err := unmarshal(data, place); err != nil {
				var none E
				return none, err
			}
			e, ok := any(*place).(E)
			if !ok {
				return e, fmt.Errorf("%T is not a %T", *place, e)
			}
			return e, nil
		},
	}
}

// Codec maps stored type names to Go types. It is immutable and safe for
// concurrent use.
type Codec[E Event] struct {
	types     map[string]EventType[E]
	upcasters map[schema]Upcaster
	personal  bool // a type has personal values
}

// NewCodec builds a codec. It fails with [ErrConfig] when two types have one
// name, when a type has none, when the zero value of a type does not
// survive a round trip, or when a type has [Personal] values that could not be sealed
// or belong to nobody.
func NewCodec[E Event](types ...EventType[E]) (*Codec[E], error) {
	c := &Codec[E]{types: make(map[string]EventType[E], len(types))}
	for _, t := range types {
		if t.SchemaVersion == 0 {
			t.SchemaVersion = 1
		}
		if _, ok := c.types[t.Name]; ok {
			return nil, fmt.Errorf("%w: two event types are named %q", ErrConfig, t.Name)
		}
		personal, err := roundTrip(t)
		if err != nil {
			return nil, fmt.Errorf("%w: event type %q: %w", ErrConfig, t.Name, err)
		}
		c.personal = c.personal || personal
		c.types[t.Name] = t
	}
	return c, nil
}

// EventTypeFields is a type with the fields of [EventType].
type EventTypeFields[E Event] interface {
	~struct {
		Name          string
		SchemaVersion int
		Decode        func([]byte, func([]byte, any) error) (E, error)
	}
}

// NewCodecFrom is [NewCodec] for a list of another type, as a package of event
// types keeps it that does not import esjs.
func NewCodecFrom[E Event, T EventTypeFields[E]](list []T) (*Codec[E], error) {
	types := make([]EventType[E], len(list))
	for i, t := range list {
		types[i] = EventType[E](t)
	}
	return NewCodec(types...)
}

// roundTrip decodes an event without data, encodes it and decodes that again. It
// tells whether the type has personal values.
func roundTrip[E Event](t EventType[E]) (personal bool, err error) {
	if t.Name == "" || t.Decode == nil {
		return false, errors.New("needs a name and a Decode function")
	}
	zero, err := t.Decode([]byte("{}"), unmarshal)
	if err != nil {
		return false, err
	}
	if name := zero.EventType(); name != t.Name {
		return false, fmt.Errorf("decodes to an event that is named %q", name)
	}
	if version := schemaVersion(zero); version != t.SchemaVersion {
		return false, fmt.Errorf("has schema version %d, its events say %d", t.SchemaVersion, version)
	}
	if personal, err = checkPersonal(zero); err != nil {
		return personal, err
	}
	data, err := MarshalInClear(zero)
	if err != nil {
		return personal, err
	}
	_, err = t.Decode(data, unmarshal)
	return personal, err
}

func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// Types returns the types that the codec has, by name.
func (c *Codec[E]) Types() []EventType[E] {
	return slices.SortedFunc(maps.Values(c.types), func(a, b EventType[E]) int { return strings.Compare(a.Name, b.Name) })
}

// Knows tells that the codec has the type name, or an upcaster from it.
func (c *Codec[E]) Knows(name string) bool {
	if _, found := c.types[name]; found {
		return true
	}
	for from := range c.upcasters {
		if from.name == name {
			return true
		}
	}
	return false
}

// Decode decodes a record's data, upcast to the codec's schema version; the
// record stays as it is stored. An unknown type name, a schema version above
// the codec's, or data that does not decode is a *[DecodeError]. Of an event whose
// personal values were opened that tells the field and the type alone: errors are kept
// where no erasure reaches them.
func (c *Codec[E]) Decode(r Record) (Recorded[E], error) {
	if err := r.reading.failed(); err != nil {
		return Recorded[E]{Record: r}, decodeError(r, false, err)
	}
	at, data := schema{r.Type, max(r.SchemaVersion, 1)}, []byte(r.Data)
	if len(c.upcasters) > 0 {
		var err error
		if at, data, err = c.upcast(at, data); err != nil {
			return Recorded[E]{Record: r}, decodeError(r, false, r.reading.withoutValues(err))
		}
	}
	t, ok := c.types[at.name]
	switch {
	case !ok:
		return Recorded[E]{Record: r}, decodeError(r, true, errors.New("the codec has no such type"))
	case at.version > t.SchemaVersion:
		return Recorded[E]{Record: r}, decodeError(r, true,
			fmt.Errorf("schema version %d is newer than the codec's %d", r.SchemaVersion, t.SchemaVersion))
	}
	event, err := t.Decode(data, unmarshal)
	if err != nil {
		return Recorded[E]{Record: r}, decodeError(r, false, r.reading.withoutValues(err))
	}
	return Recorded[E]{Record: r, Event: event}, nil
}

func decodeError(r Record, unknown bool, err error) error {
	return &DecodeError{Stream: r.Stream, Version: r.Version, Type: r.Type, Unknown: unknown, Err: err}
}
