package esjs

// EventType tells a [Codec] how to decode one stored type name. A codec is
// built from a list of them; a package of event types can keep such a list
// without importing esjs, because the fields are plain.
type EventType[E Event] struct {
	Name          string
	SchemaVersion int // 0 means 1

	// Decode turns stored data into the event. unmarshal is the codec's JSON
	// decoder: it refuses unknown fields' duplicates, invalid UTF-8 and keys of
	// another case.
	Decode func(data []byte, unmarshal func([]byte, any) error) (E, error)
}

// TypeOf describes the event type T under the name that its EventType method
// returns, for a codec of E.
func TypeOf[E Event, T Event]() EventType[E] { panic("stub") }

// Codec maps stored type names to Go types. It is immutable and safe for
// concurrent use.
type Codec[E Event] struct{}

// NewCodec builds a codec. It fails with [ErrConfig] when two types have one
// name, or when a type does not survive a round trip of its zero value.
func NewCodec[E Event](types ...EventType[E]) (*Codec[E], error) { panic("stub") }

// Decode decodes a record's data. An unknown type name or data that does not
// decode is a *[DecodeError].
func (c *Codec[E]) Decode(r Record) (Recorded[E], error) { panic("stub") }
