package esjs

import (
	"fmt"
	"strings"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// decoders keep the memory that decoding needs.
var decoders = sync.Pool{New: func() any { return new(wire.Decoder) }}

// decodeCommit reads a stored message. A body that is not a commit, that
// belongs to another aggregate, or whose own versions have a gap, is a
// *[CorruptError].
func decodeCommit(id StreamID, at Position, body []byte) (Commit, error) {
	corrupt := func(format string, args ...any) (Commit, error) {
		return Commit{}, &CorruptError{Stream: id, Position: at, Reason: fmt.Sprintf(format, args...)}
	}
	decoder := decoders.Get().(*wire.Decoder)
	defer decoders.Put(decoder)
	events, window, err := decoder.Decode(body)
	if err != nil {
		return corrupt("the commit does not decode: %v", err)
	}
	first := &events[0]
	if category, found := strings.CutPrefix(first.Source, "/"); !found || category != id.Category || first.Subject != id.Key {
		return corrupt("the commit belongs to %s/%s", first.Source, first.Subject)
	}
	if len(window) > 0 && window[0] >= at.sequence {
		return corrupt("the commit points ahead to %d", window[0])
	}
	if (len(window) == 0) != (first.Sequence == 1) {
		return corrupt("version %d with %d pointers", first.Sequence, len(window))
	}
	records := make([]Record, len(events))
	for i := range events {
		if err := fillRecord(&records[i], &events[i], id, at); err != nil {
			return corrupt("%v", err)
		}
	}
	last := &records[len(records)-1]
	// The last pointer leaves a full window, as it does for a writer.
	next := make([]uint64, 0, len(window)+1)
	next = append(append(next, at.sequence), window...)
	return Commit{
		Stream:   id,
		Position: at,
		Records:  records,
		revision: Revision{version: last.Version, partition: at.partition, sequence: at.sequence, time: last.Time, window: next},
	}, nil
}

func fillRecord(r *Record, e *wire.Event, id StreamID, at Position) error {
	*r = Record{
		ID:            e.ID,
		Type:          e.Type,
		SchemaVersion: max(e.SchemaVersion, 1),
		Stream:        id,
		Version:       e.Sequence,
		Time:          e.Time,
		Data:          e.Data,
		Position:      at,
		Metadata: Metadata{
			CorrelationID: e.CorrelationID,
			CausationID:   e.CausationID,
			CommandID:     e.CommandID,
			Actor:         e.Actor,
			TraceParent:   e.TraceParent,
			CommandHash:   e.CommandHash,
			Input:         InputRef{ID: e.InputID, Source: e.InputSource},
			Extensions:    e.Extensions,
		},
	}
	if len(e.Extensions) > 0 {
		r.takePerson()
	}
	if e.InputPosition == "" {
		return nil
	}
	return r.Metadata.Input.parsePlace(e.InputPosition)
}

// decodeMessage reads a stored message whose aggregate is named by its subject.
func (s *Store) decodeMessage(subject string, sequence uint64, body []byte) (Commit, error) {
	category, key, err := wire.ParseSubject(s.cfg.Prefix, subject)
	if err != nil {
		return Commit{}, &CorruptError{Stream: StreamID{Key: subject}, Position: s.at(sequence), Reason: err.Error()}
	}
	return decodeCommit(StreamID{Category: category, Key: key}, s.at(sequence), body)
}
