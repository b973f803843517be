package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErasureReport is what [VerifyErased] found.
type ErasureReport struct {
	Person string
	Erased time.Time // when the key was replaced by the note; zero when it was not
	OldKey bool      // the bucket still has a key that the note replaced
	Told   bool      // the store has the person's [PersonErased]
	Read   int       // events of the store, of all persons and of nobody
	Events int       // of them: those that hold the person's sealed values
	Values int       // sealed values in those, all of which are erased
	// Readable are the places where values of the person can be read, the first
	// 100 of them. Sealed ones can while the person is not erased; values in clear
	// were stored before their field became a [Personal].
	Readable []ReadableValue
}

// ReadableValue is a place where a personal value can be read.
type ReadableValue struct {
	Stream  StreamID
	Version uint64
	Type    string
	Path    string // JSON pointer in the event; empty where the codec does not know the event
}

const maxReadable = 100

// Complete tells that the person was erased and that nothing of them can be read.
func (r ErasureReport) Complete() bool {
	return !r.Erased.IsZero() && !r.OldKey && r.Told && len(r.Readable) == 0
}

// VerifyErased reads the whole store and the bucket of keys, and reports what can
// be read of a person. It finds the person's sealed values whatever their type is. Values in
// clear are found in the types that the codec knows, where the event is a
// [PersonalEvent] of the person; the zero value of a type counts as none. What programs have derived
// (rows of projections, logs, backups of the bucket) it cannot see.
//
// An incomplete erasure is no error. Errors: [ErrConfig] for a store without keys,
// [ErrInvalid], and those of [Store.ReadAll].
func VerifyErased[E Event](ctx context.Context, store *Store, codec *Codec[E], person string) (ErasureReport, error) {
	report := ErasureReport{Person: person}
	if store.keys == nil {
		return report, fmt.Errorf("%w: the store was opened without keys", ErrConfig)
	}
	if err := wire.CheckKey(person); err != nil {
		return report, fmt.Errorf("%w: the person: %w", ErrInvalid, err)
	}
	entry, revision, err := store.keys.read(ctx, person, 0)
	if err != nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrBrokenSeal) {
		return report, err
	}
	report.Erased = entry.Erased
	old, err := store.keys.bucket.older(ctx, personEntry(person), revision)
	if err != nil {
		return report, err
	}
	report.OldKey = old != 0
	store.keys.forget(person) // what counts is what the leader has
	for r, err := range store.ReadAll(ctx, Query{sealed: true}) {
		if err != nil {
			return report, err
		}
		report.Read++
		if err := verifyRecord(ctx, store, codec, r, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

func verifyRecord[E Event](ctx context.Context, store *Store, codec *Codec[E], r Record, report *ErasureReport) error {
	switch r.Person {
	case report.Person:
		if err := store.keys.reveal(ctx, &r); err != nil {
			return err
		}
		report.Events++
		if r.reading != nil {
			report.Values += r.reading.erased
		}
	case "":
		if r.Stream == (StreamID{Category: erasureCategory, Key: report.Person}) {
			report.Told = true
		}
	default: // another person's
		return nil
	}
	before := len(report.Readable)
	if recorded, err := codec.Decode(r); err == nil {
		if e, ok := any(recorded.Event).(PersonalEvent); ok && (r.reading.wasOpened() || e.PersonID() == report.Person) {
			if err := report.visit(r, e); err != nil {
				return err
			}
		}
	}
	if r.reading.wasOpened() && len(report.Readable) == before {
		report.add(r, "")
	}
	return nil
}

// visit adds the personal values of an event that are not erased.
func (r *ErasureReport) visit(at Record, e Event) error {
	_, err := json.Marshal(e, json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, v personalValue) error {
		if v.says() {
			r.add(at, nextPath(enc))
		}
		return enc.WriteToken(jsontext.Null)
	})))
	return err
}

func (r *ErasureReport) add(at Record, path string) {
	if len(r.Readable) < maxReadable {
		r.Readable = append(r.Readable, ReadableValue{Stream: at.Stream, Version: at.Version, Type: at.Type, Path: path})
	}
}
