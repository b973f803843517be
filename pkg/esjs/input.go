package esjs

import (
	"fmt"
	"strconv"
	"strings"
)

// InputRef names the input that a process consumed: the fold over it makes a
// redelivered input a no-op.
type InputRef struct {
	ID       string   // the event's id, or the timer's subject
	Source   string   // the event's CloudEvents source, or "/timer/" and the timer's name
	Position Position // where the input is stored; the zero Position for a timer
	// Version is the input event's version in its own stream, which orders the
	// events of one commit, or the version that armed the timer.
	Version uint64
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

// stream is what the input is ordered in: all events of a partition share its order, and
// each timer has its own.
func (r InputRef) stream() string {
	if strings.HasPrefix(r.Source, timerSource) {
		return r.Source
	}
	if p := r.Position.partition; p != 0 {
		return "events/" + strconv.Itoa(int(p))
	}
	return "events"
}

// timerSource and the timer's name are the source of a fired timer.
const timerSource = "/timer/"
