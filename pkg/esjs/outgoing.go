package esjs

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// namespace is the fixed UUIDv5 namespace of event ids. It never changes:
// retries of a command recognise their events by it.
var namespace = uuid.MustParse("8b3c4a5e-6f0d-5c1b-9a72-2f1d3e4c5b6a")

// outgoing is one commit, encoded against the revision that it follows. It is
// taken from a pool and released when its outcome is known: the client copies
// what it publishes, so nothing of it is held by a connection.
type outgoing struct {
	stream  StreamID
	subject string
	// partition is where it will be stored.
	partition uint32
	base      Revision
	time      time.Time
	events    []wire.Event
	data      bytes.Buffer // the events' data, one after the other
	body      []byte
	msg       nats.Msg
	expect    [1]string
	guards    *guarding // of a guard's commit: what it expects instead of its own base
}

var outgoings = sync.Pool{New: func() any {
	return &outgoing{msg: nats.Msg{Header: make(nats.Header, 8)}}
}}

// maxPooled keeps rare large commits from staying in memory.
const maxPooled = 64 << 10

func (c *outgoing) release() {
	if cap(c.body) > maxPooled || c.data.Cap() > maxPooled {
		return
	}
	clear(c.events)
	c.base, c.guards = Revision{}, nil
	outgoings.Put(c)
}

// encode builds the commit that follows base; release it.
func (s *Store) encode(ctx context.Context, w Write, base Revision) (*outgoing, error) {
	if err := checkWrite(w); err != nil {
		return nil, err
	}
	c := outgoings.Get().(*outgoing)
	c.stream, c.base = w.Stream, base
	c.subject, c.partition = s.subjectOf(w.Stream), s.partition
	c.time = eventTime(w.Time, base)
	if err := s.encodeEvents(ctx, c, w); err != nil {
		c.release()
		return nil, err
	}
	// The server counts headers too; the client refuses what is exactly above.
	if limit := s.appends.nc.MaxPayload(); int64(len(c.body)+headerRoom) > limit {
		size := len(c.body)
		c.release()
		return nil, fmt.Errorf("%w: %s: %d bytes, at most %d fit: split the decision", ErrTooLarge, w.Stream, size, limit-headerRoom)
	}
	return c, nil
}

// eventTime is at, or now, in the precision that is stored, and never below the
// aggregate's previous time.
func eventTime(at time.Time, base Revision) time.Time {
	if at.IsZero() {
		at = time.Now()
	}
	at = at.UTC().Round(0)
	if at.Before(base.time) {
		return base.time
	}
	return at
}

func (s *Store) encodeEvents(ctx context.Context, c *outgoing, w Write) error {
	c.data.Reset()
	c.events = slices.Grow(c.events[:0], len(w.Events))
	for i, e := range w.Events {
		c.events = append(c.events, c.envelope(&w, i, e))
		if err := s.encodeData(ctx, c, &c.events[i], e); err != nil {
			return err
		}
		c.events[i].SchemaVersion = schemaVersion(e)
		c.events[i].Data = c.data.Bytes()[:c.data.Len():c.data.Len()] // its end; its start is known below
	}
	start := 0
	for i := range c.events { // the buffer has its final place only now
		end := len(c.events[i].Data)
		c.events[i].Data = c.data.Bytes()[start:end]
		start = end
	}
	body, err := wire.AppendCommit(c.body[:0], c.base.window[:min(len(c.base.window), wire.WindowSize)], c.events)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, w.Stream, err)
	}
	c.body = body
	return nil
}

// headerRoom bounds the headers of one commit, those of a batch included.
const headerRoom = 256

func (c *outgoing) envelope(w *Write, i int, e Event) wire.Event {
	m := &w.Metadata
	event := wire.Event{
		ID:            eventID(w.Stream, m.CommandID, i),
		Type:          e.EventType(),
		Source:        "/" + w.Stream.Category,
		Subject:       w.Stream.Key,
		Time:          c.time,
		Sequence:      c.base.version + uint64(i) + 1,
		CorrelationID: m.CorrelationID,
		CausationID:   m.CausationID,
		CommandID:     m.CommandID,
		Actor:         m.Actor,
		TraceParent:   m.TraceParent,
		Extensions:    m.Extensions,
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
		return uuid.Must(uuid.NewV7FromReader(random{})).String() // the reader never fails
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

// random reads from the runtime's generator: ids must be unique and not secret,
// and the operating system's generator costs a system call for each event.
type random struct{}

func (random) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rand.Uint64())
		copy(b[i:], word[:])
	}
	return len(b), nil
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
		version:   c.base.version + uint64(len(c.events)),
		partition: c.partition,
		sequence:  sequence,
		time:      c.time,
		window:    window,
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
		if name == personAttribute {
			return fmt.Errorf("%w: the extension name %q is the store's own", ErrInvalid, name)
		}
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
