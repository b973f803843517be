package order

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Limits of an order.
const (
	MaxQuantity = 9999 // of one line
	MaxLines    = 200
	MaxText     = 200 // bytes of an id, a reference or a reason
	// MaxChanges are those of a draft, which everybody who asks how it was reads through.
	MaxChanges = 2000
)

// draft refuses what only a draft allows.
func (s State) draft() error {
	if err := s.existing(); err != nil {
		return err
	}
	if s.Status != Draft {
		return reject(http.StatusConflict, "not_draft", "order %s is %s; this is allowed only while it is a Draft", s.OrderID, s.Status)
	}
	return nil
}

// changeable refuses what only a draft allows that was not changed too often yet.
func (s State) changeable() error {
	if err := s.draft(); err != nil {
		return err
	}
	if s.Changes >= MaxChanges {
		return reject(http.StatusConflict, "too_many_changes", "order %s was changed %d times, which is as often as a draft may be; submit it, or cancel it and open another one", s.OrderID, s.Changes)
	}
	return nil
}

func (s State) existing() error {
	if !s.exists() {
		return reject(http.StatusNotFound, "order_not_found", "there is no such order; open it with create")
	}
	return nil
}

func (s State) draftLine(id string) (Line, error) {
	if err := firstOf(s.changeable(), text("line_id", id)); err != nil {
		return Line{}, err
	}
	l, ok := s.line(id)
	if !ok {
		return Line{}, reject(http.StatusNotFound, "line_not_found", "order %s has no line %q; its lines are %s", s.OrderID, id, s.lineIDs())
	}
	return l, nil
}

func (s State) lineIDs() string {
	if len(s.Lines) == 0 {
		return "none"
	}
	ids := make([]string, len(s.Lines))
	for i, l := range s.Lines {
		ids[i] = l.LineID
	}
	return strings.Join(ids, ", ")
}

func quantity(n, least int) error {
	if n < least || n > MaxQuantity {
		return reject(http.StatusUnprocessableEntity, "quantity_out_of_range", "the quantity of the line would be %d; it must be from %d to %d", n, least, MaxQuantity)
	}
	return nil
}

// text refuses an empty, long or unprintable value of a field; blanks are nothing.
func text(field, value string) error {
	if strings.TrimSpace(value) == "" {
		return reject(http.StatusUnprocessableEntity, "field_required", "the field %q must not be empty", field)
	}
	return optional(field, value)
}

func optional(field, value string) error {
	if len(value) > MaxText {
		return reject(http.StatusUnprocessableEntity, "field_too_long", "the field %q has %d bytes; at most %d are allowed", field, len(value), MaxText)
	}
	return printable(field, value)
}

func printable(field, value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return reject(http.StatusUnprocessableEntity, "field_invalid", "the field %q has control characters; only printable text is allowed", field)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func one(e events.Event) ([]events.Event, error) { return []events.Event{e}, nil }

func reject(status int, code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}
