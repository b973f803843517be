package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// member is the only member of the object that stands for a sealed value.
	member = "$sealed"
	// form is the first byte of a sealed value.
	form = 1
	// padding hides how long a short value is.
	padding = 32
)

var encoding = base64.RawURLEncoding.Strict()

// Place is where a value is sealed, and the only place where it can be opened.
type Place struct {
	Person   string
	Category string // of the aggregate
	Key      string // of the aggregate
	Event    string // the event's id
	Type     string // the event's type name
	Path     string // JSON pointer in the event's data
}

func (p Place) authenticated() []byte {
	return labelled("esjs value 1", p.Person, p.Category, p.Key, p.Event, p.Type, p.Path)
}

// AppendSealed appends the object that stands for value, which is JSON, at a
// place. The same value at the same place is the same object.
func (k *Key) AppendSealed(dst, value []byte, at Place) []byte {
	value = append(bytes.Clone(value), bytes.Repeat([]byte{' '}, -len(value)&(padding-1))...)
	sealed := k.sealOnce([]byte{form}, value, at.authenticated())
	dst = append(dst, `{"`+member+`":"`...)
	dst = encoding.AppendEncode(dst, sealed)
	return append(dst, `"}`...)
}

// OpenSealed opens the text of a sealed value and returns its JSON. Whatever is
// not what was sealed at this place is an [ErrBroken].
func (k *Key) OpenSealed(text []byte, at Place) ([]byte, error) {
	sealed, err := encoding.AppendDecode(nil, text)
	switch {
	case err != nil || len(sealed) == 0:
		return nil, ErrBroken
	case sealed[0] != form:
		return nil, fmt.Errorf("a sealed value of form %d, which a newer version may have written", sealed[0])
	}
	value, err := k.open(sealed[1:], at.authenticated())
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(value, " "), nil
}

// IsSealed tells that a JSON value stands for a sealed one.
func IsSealed(value []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	t, err := d.ReadToken()
	return err == nil && t.Kind() == '"' && t.String() == member
}

// Replace returns data, which is JSON, with each sealed value replaced by what
// open returns for it, and how many there were. path is a JSON pointer. An object that has
// the member and is not a sealed value is an error, and so is open's.
func Replace(data []byte, open func(path string, text []byte) ([]byte, error)) (out []byte, n int, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true)) // their refusal is the codec's
	copied := 0
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, n, err
		}
		if t.Kind() != '{' || d.PeekKind() != '"' {
			continue
		}
		start, path := int(d.InputOffset())-1, string(d.StackPointer())
		if t, err = d.ReadToken(); err != nil {
			return nil, n, err
		}
		if t.String() != member {
			continue
		}
		text, err := sealedText(d)
		if err != nil {
			return nil, n, fmt.Errorf("at %q: %w", path, err)
		}
		value, err := open(path, text)
		if err != nil {
			return nil, n, fmt.Errorf("at %q: %w", path, err)
		}
		out = append(append(out, data[copied:start]...), value...)
		copied = int(d.InputOffset())
		n++
	}
	if n == 0 {
		return data, 0, nil
	}
	return append(out, data[copied:]...), n, nil
}

// sealedText reads the rest of a sealed value, after its member's name.
func sealedText(d *jsontext.Decoder) ([]byte, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if t.Kind() != '"' {
		return nil, ErrBroken
	}
	text := []byte(t.String())
	if t, err = d.ReadToken(); err != nil {
		return nil, err
	}
	if t.Kind() != '}' {
		return nil, ErrBroken
	}
	return text, nil
}
