package esjs

import (
	"crypto/sha1"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// namespace is the fixed UUIDv5 namespace of event ids. It never changes:
// retries of a command recognise their events by it.
var namespace = uuid.MustParse("8b3c4a5e-6f0d-5c1b-9a72-2f1d3e4c5b6a")

// outgoing is one commit, encoded against the revision that it follows.
type outgoing struct {
	stream  StreamID
	subject string
	base    Revision
	time    time.Time
	events  []wire.Event
	body    []byte
}

// encode builds the commit that follows base.
func (s *Store) encode(w Write, base Revision) (*outgoing, error) {
	if err := checkWrite(w); err != nil {
		return nil, err
	}
	at := w.Time
	if at.IsZero() {
		at = time.Now()
	}
	at = at.UTC().Round(0)
	if at.Before(base.time) {
		at = base.time
	}
	c := &outgoing{
		stream:  w.Stream,
		subject: wire.Subject(s.cfg.Prefix, w.Stream.Category, w.Stream.Key),
		base:    base,
		time:    at,
		events:  make([]wire.Event, len(w.Events)),
	}
	size := 0
	for i, e := range w.Events {
		data, err := json.Marshal(e, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("%w: event %s of %s does not encode: %w", ErrInvalid, e.EventType(), w.Stream, err)
		}
		c.events[i] = c.envelope(w, i, e, data)
		size += len(data) + 512
	}
	body, err := wire.AppendCommit(make([]byte, 0, size+len(base.window)*4), base.window[:min(len(base.window), wire.WindowSize)], c.events)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, w.Stream, err)
	}
	c.body = body
	// The server counts headers too; the client refuses what is exactly above.
	if limit := s.appends.nc.MaxPayload(); int64(len(c.body)+headerRoom) > limit {
		return nil, fmt.Errorf("%w: %s: %d bytes, at most %d fit: split the decision", ErrTooLarge, w.Stream, len(c.body), limit-headerRoom)
	}
	return c, nil
}

// headerRoom bounds the headers of one commit, those of a batch included.
const headerRoom = 256

func (c *outgoing) envelope(w Write, i int, e Event, data []byte) wire.Event {
	m := w.Metadata
	event := wire.Event{
		ID:            eventID(w.Stream, m.CommandID, i),
		Type:          e.EventType(),
		Source:        "/" + w.Stream.Category,
		Subject:       w.Stream.Key,
		Time:          c.time,
		Sequence:      c.base.version + uint64(i) + 1,
		SchemaVersion: schemaVersion(e),
		CorrelationID: m.CorrelationID,
		CausationID:   m.CausationID,
		CommandID:     m.CommandID,
		Actor:         m.Actor,
		TraceParent:   m.TraceParent,
		Extensions:    m.Extensions,
		Data:          data,
	}
	if i == 0 {
		event.CommandHash = m.CommandHash
		if m.Input.Source != "" {
			event.InputID, event.InputSource, event.InputPosition = m.Input.ID, m.Input.Source, m.Input.place()
		}
	}
	return event
}

// eventID is the same for every attempt of one command, so that a retry is
// recognised; without a command id it is new.
func eventID(id StreamID, commandID string, index int) string {
	if commandID == "" {
		return uuid.Must(uuid.NewV7()).String() // fails only without a random source
	}
	h := sha1.New()
	h.Write(namespace[:])
	name := make([]byte, 0, len(id.Category)+len(id.Key)+len(commandID)+8)
	name = append(append(name, id.Category...), 0)
	name = append(append(name, id.Key...), 0)
	name = append(append(name, commandID...), 0)
	name = strconv.AppendInt(name, int64(index), 10)
	h.Write(name)
	var sum [sha1.Size]byte
	h.Sum(sum[:0])
	var u uuid.UUID
	copy(u[:], sum[:])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

func schemaVersion(e Event) int {
	if v, ok := e.(Versioned); ok {
		return v.SchemaVersion()
	}
	return 1
}

func (c *outgoing) eventIDs() []string {
	ids := make([]string, len(c.events))
	for i := range c.events {
		ids[i] = c.events[i].ID
	}
	return ids
}

// revisionAt is the aggregate's revision when the commit got this sequence.
func (c *outgoing) revisionAt(sequence uint64) Revision {
	window := make([]uint64, 0, min(len(c.base.window)+1, wire.WindowSize))
	window = append(window, sequence)
	window = append(window, c.base.window[:min(len(c.base.window), wire.WindowSize-1)]...)
	return Revision{
		version:  c.base.version + uint64(len(c.events)),
		sequence: sequence,
		time:     c.time,
		window:   window,
	}
}

// checkStream refuses names that subjects cannot carry.
func checkStream(id StreamID) error {
	if err := wire.CheckCategory(id.Category); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := wire.CheckKey(id.Key); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func checkWrite(w Write) error {
	if len(w.Events) == 0 {
		return fmt.Errorf("%w: a commit of %s without events", ErrInvalid, w.Stream)
	}
	for i, e := range w.Events {
		if e == nil || isNilPointer(e) {
			return fmt.Errorf("%w: event %d of %s is nil", ErrInvalid, i, w.Stream)
		}
		if e.EventType() == "" {
			return fmt.Errorf("%w: event %d of %s (%T) has no type name", ErrInvalid, i, w.Stream, e)
		}
	}
	for name := range w.Metadata.Extensions {
		if err := wire.CheckExtension(name); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}

func isNilPointer(e Event) bool {
	v := reflect.ValueOf(e)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
