package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/seal"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// personAttribute is the CloudEvents extension that names the person of an
// event with personal values. It is the store's own.
const personAttribute = "esjsperson"

// takePerson moves the person from the extensions, which events may share.
func (r *Record) takePerson() {
	person, found := r.Metadata.Extensions[personAttribute]
	if !found {
		return
	}
	r.Person = person
	others := maps.Clone(r.Metadata.Extensions)
	delete(others, personAttribute)
	if len(others) == 0 {
		others = nil
	}
	r.Metadata.Extensions = others
}

// encodeData appends an event's data to the commit's, personal values sealed.
func (s *Store) encodeData(ctx context.Context, c *outgoing, envelope *wire.Event, e Event) error {
	person, personal := personOf(e)
	if !personal {
		return c.encodes(e, json.MarshalWrite(&c.data, e, json.Deterministic(true)))
	}
	if s.keys == nil {
		return c.encodes(e, errors.New("it has personal values, and the store was opened without keys"))
	}
	key, err := s.keys.toSeal(ctx, person)
	if err != nil {
		return err
	}
	place := seal.Place{
		Person: person, Category: c.stream.Category, Key: c.stream.Key, Event: envelope.ID, Type: envelope.Type,
	}
	start, sealed := c.data.Len(), 0
	err = json.MarshalWrite(&c.data, e, json.Deterministic(true), json.WithMarshalers(
		json.MarshalToFunc(func(enc *jsontext.Encoder, v personalValue) error {
			value, err := v.inClear()
			if err != nil {
				return err
			}
			if v.isErased() {
				return errors.New("an erased value cannot be stored again")
			}
			place.Path = nextPath(enc)
			sealed++
			return enc.WriteValue(key.AppendSealed(nil, value, place))
		})))
	if err == nil {
		err = checkSealed(c.data.Bytes()[start:], sealed)
	}
	if err != nil {
		return c.encodes(e, err)
	}
	envelope.Extensions = maps.Clone(envelope.Extensions)
	if envelope.Extensions == nil {
		envelope.Extensions = make(map[string]string, 1)
	}
	envelope.Extensions[personAttribute] = person
	return nil
}

// encodes says which event err is about.
func (c *outgoing) encodes(e Event, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: event %s of %s does not encode: %w", ErrInvalid, e.EventType(), c.stream, err)
}

// checkSealed refuses data in which something else looks like a sealed value.
func checkSealed(data []byte, want int) error {
	_, have, err := seal.Replace(data, func(_ string, text []byte) ([]byte, error) { return text, nil })
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("%d values look like sealed ones, and %d are", have, want)
	}
	return nil
}

// nextPath is the JSON pointer of the value that is written next.
func nextPath(enc *jsontext.Encoder) string {
	path := string(enc.StackPointer())
	kind, length := enc.StackIndex(enc.StackDepth())
	if kind != '[' {
		return path // of the member whose name was just written
	}
	if length > 0 { // of the element before it
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return path + "/" + strconv.FormatInt(length, 10)
}

// reveal opens the personal values of the records of the given types, all when
// there are none. A record whose values cannot be opened although they are not
// erased stays sealed, and does not decode. Without keys all stay sealed.
//
// It waits for the bucket of keys until ctx ends. Errors: ctx's, [ErrMasterKey], and
// what the server refuses.
func (s *Store) reveal(ctx context.Context, records []Record, types []string) error {
	for i := range records {
		if err := s.revealRecord(ctx, &records[i], types); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) revealRecord(ctx context.Context, r *Record, types []string) error {
	switch {
	case s.keys == nil:
	case r.Stream.Category == erasureCategory:
		// What is read after this was written when the person was erased, whatever a leader
		// still has that was cut off before.
		s.keys.noteErased(r.Stream.Key)
	case r.Person == "", len(types) > 0 && !slices.Contains(types, r.Type):
	default:
		return s.keys.reveal(ctx, r)
	}
	return nil
}

func (s *Store) revealCommits(ctx context.Context, commits []Commit) error {
	for _, c := range commits {
		if err := s.reveal(ctx, c.Records, nil); err != nil {
			return err
		}
	}
	return nil
}

// personalReading is what became of a record's personal values.
type personalReading struct {
	opened bool  // by the person's key
	erased int   // values whose key is gone
	err    error // why they stay sealed although they are not erased
}

func (p *personalReading) failed() error {
	if p == nil {
		return nil
	}
	return p.err
}

func (p *personalReading) wasOpened() bool { return p != nil && p.opened }

// withoutValues is why data does not decode, without what may be one of its personal
// values. The name of the field is none, but what is inside of it can be: also the
// keys of a map.
func (p *personalReading) withoutValues(err error) error {
	if !p.wasOpened() {
		return err
	}
	place := ""
	if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) && semantic.GoType != nil {
		field, _, _ := strings.Cut(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/")
		place = fmt.Sprintf(": the field %q is no %s", field, semantic.GoType)
	}
	return fmt.Errorf("it has personal values and does not decode%s (the rest is not told, because it may be one of them)", place)
}

// reveal opens the personal values of one record.
func (k *keyStore) reveal(ctx context.Context, r *Record) error {
	key, err := k.known(ctx, r.Person)
	erased := errors.As(err, new(*ErasedError))
	switch {
	case err == nil, erased:
	case errors.Is(err, ErrNoKey), errors.Is(err, ErrBrokenSeal):
		r.reading = &personalReading{err: err}
		return nil
	default:
		return err
	}
	place := seal.Place{Person: r.Person, Category: r.Stream.Category, Key: r.Stream.Key, Event: r.ID, Type: r.Type}
	data, n, err := seal.Replace(r.Data, func(path string, text []byte) ([]byte, error) {
		if erased {
			return []byte("null"), nil
		}
		place.Path = path
		return key.OpenSealed(text, place)
	})
	switch {
	case errors.Is(err, seal.ErrBroken):
		r.reading = &personalReading{err: fmt.Errorf("%w: %w", ErrBrokenSeal, err)}
	case err != nil:
		r.reading = &personalReading{err: err}
	case erased:
		r.Data, r.reading = data, &personalReading{erased: n}
	default:
		r.Data, r.reading = data, &personalReading{opened: true}
	}
	return nil
}
