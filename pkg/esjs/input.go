package esjs

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// InputRef names the input that a process consumed: the fold over it makes a
// redelivered input a no-op.
type InputRef struct {
	ID       string   `json:"id"`       // the event's id, or the timer's subject
	Source   string   `json:"source"`   // the event's CloudEvents source, or "/timer/" and the timer's name
	Position Position `json:"position"` // where the input is stored; the zero Position for a timer
	// Version is the input event's version in its own stream, which orders the
	// events of one commit, or the version that armed the timer.
	Version uint64 `json:"version"`
}

// place is the stored text of an input's position and version, "0-1871/3".
func (r InputRef) place() string {
	if r.Position.IsZero() {
		return "/" + strconv.FormatUint(r.Version, 10)
	}
	return r.Position.String() + "/" + strconv.FormatUint(r.Version, 10)
}

// parsePlace reads what [InputRef.place] wrote.
func (r *InputRef) parsePlace(s string) error {
	position, version, found := strings.Cut(s, "/")
	if !found {
		return fmt.Errorf("esjs: input position %q has no version", s)
	}
	r.Position = Position{}
	if position != "" {
		p, err := ParsePosition(position)
		if err != nil {
			return fmt.Errorf("esjs: input position %q: %w", s, err)
		}
		r.Position = p
	}
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return fmt.Errorf("esjs: input position %q: %w", s, err)
	}
	r.Version = v
	return nil
}

// before tells that r is delivered before o; both have one source.
func (r InputRef) before(o InputRef) bool {
	return r.Position.Before(o.Position) || r.Position == o.Position && r.Version < o.Version
}

// inputs is the fold over what an instance consumed: the last input of each
// source. It is a value: with returns a changed copy.
//
// A process takes the inputs of an instance in order, so what is not after the last one
// of its source was consumed before.
type inputs map[string]InputRef

// consumed tells that r, or an input after it, caused a commit before. The zero
// InputRef never did.
func (in inputs) consumed(r InputRef) bool {
	last, ok := in[r.Source]
	return ok && r.Source != "" && !last.before(r)
}

// with returns in after r caused a commit.
func (in inputs) with(r InputRef) inputs {
	if r.Source == "" || in.consumed(r) {
		return in
	}
	next := maps.Clone(in)
	if next == nil {
		next = inputs{}
	}
	next[r.Source] = r
	return next
}
