package esjs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Upcaster brings the data of an older stored schema one step towards the one
// that the codec's type decodes. Stored events never change; what is read of
// them does. Additions need none: a missing member is its zero value.
type Upcaster struct {
	Type          string // the stored name
	SchemaVersion int    // the version that the step starts from; 0 means 1
	// To is the name that the event has now, where it was renamed: the step then
	// keeps the version. Empty: the name stays and the version rises by one.
	To string
	// Upcast rewrites the data, which it must not change in place. It is pure.
	// It may be nil where To is set.
	Upcast func(data []byte) ([]byte, error)
}

// schema is one stored form of a type.
type schema struct {
	name    string
	version int
}

func (u Upcaster) from() schema { return schema{u.Type, max(u.SchemaVersion, 1)} }

func (u Upcaster) to() schema {
	if u.To != "" {
		return schema{u.To, u.from().version}
	}
	return schema{u.Type, u.from().version + 1}
}

// WithUpcasters returns the codec with more upcasters, which are applied in a
// chain until none fits. It fails with [ErrConfig] when two start from one
// schema, when one does nothing, or when a chain does not end in a type of the
// codec at its schema version.
func (c *Codec[E]) WithUpcasters(upcasters ...Upcaster) (*Codec[E], error) {
	all := maps.Clone(c.upcasters)
	if all == nil {
		all = make(map[schema]Upcaster, len(upcasters))
	}
	for _, u := range upcasters {
		from := u.from()
		if _, found := all[from]; found {
			return nil, fmt.Errorf("%w: two upcasters start from version %d of %q", ErrConfig, from.version, from.name)
		}
		if u.Upcast == nil && u.To == "" {
			return nil, fmt.Errorf("%w: the upcaster of version %d of %q has neither Upcast nor To", ErrConfig, from.version, from.name)
		}
		all[from] = u
	}
	upcasting := &Codec[E]{types: c.types, upcasters: all, personal: c.personal}
	for from := range all {
		end, err := upcasting.end(from)
		if err != nil {
			return nil, fmt.Errorf("%w: the upcasters of version %d of %q %w", ErrConfig, from.version, from.name, err)
		}
		if t, found := c.types[end.name]; !found || t.SchemaVersion != end.version {
			return nil, fmt.Errorf("%w: the upcasters of version %d of %q end in version %d of %q, which the codec does not have",
				ErrConfig, from.version, from.name, end.version, end.name)
		}
	}
	return upcasting, nil
}

// Upcasters returns the upcasters that the codec has, by type and version.
func (c *Codec[E]) Upcasters() []Upcaster {
	return slices.SortedFunc(maps.Values(c.upcasters), func(a, b Upcaster) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), a.from().version-b.from().version)
	})
}

// end returns where a chain leads.
func (c *Codec[E]) end(at schema) (schema, error) {
	for range len(c.upcasters) + 1 {
		u, found := c.upcasters[at]
		if !found {
			return at, nil
		}
		at = u.to()
	}
	return at, errors.New("go round in a circle")
}

// upcast applies the chain of the stored schema to data.
func (c *Codec[E]) upcast(at schema, data []byte) (schema, []byte, error) {
	for {
		u, found := c.upcasters[at]
		if !found {
			return at, data, nil
		}
		if u.Upcast != nil {
			var err error
			if data, err = u.Upcast(data); err != nil {
				return at, nil, fmt.Errorf("upcast from version %d: %w", at.version, err)
			}
		}
		at = u.to()
	}
}
