package wire

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ContentType is the media type of a commit's body.
const ContentType = "application/cloudevents-batch+json"

// Event is one CloudEvent of a commit. Empty strings are absent attributes.
type Event struct {
	ID            string
	Type          string
	Source        string // "/" and the category
	Subject       string // the raw key
	Time          time.Time
	Sequence      uint64 // the aggregate's version after this event, from 1
	SchemaVersion int    // written when above 1; read as 1 when absent
	CorrelationID string
	CausationID   string
	CommandID     string
	Actor         string
	TraceParent   string

	// These belong to the commit: they are written and read on its first event only.
	CommandHash   string
	InputID       string
	InputSource   string
	InputPosition string

	// Extensions are all other attributes. Those that Literals names are JSON
	// numbers or booleans, kept as they were written; the others are strings.
	Extensions map[string]string
	Literals   []string // sorted

	Data []byte // JSON; nil when absent
}

const maxExtension = 20

// CheckExtension refuses a name that users may not give to an attribute of
// their own: names are 1 to 20 of [a-z0-9], and none that the envelope has.
func CheckExtension(name string) error {
	if len(name) > maxExtension || !isAttributeName(name) {
		return fmt.Errorf("the extension name %q is not 1 to 20 of [a-z0-9]", name)
	}
	if attributeOf([]byte(name)) != extension {
		return fmt.Errorf("the extension name %q is the envelope's own", name)
	}
	return nil
}

// AppendCommit writes a commit's body: a JSON array of CloudEvents 1.0 in a
// fixed order of attributes, without white space. window are the sequences of
// the aggregate's earlier commits, newest first. The events are of one
// aggregate with consecutive sequences. Data is written as it is: the caller
// vouches that it is JSON. Text that is not UTF-8 and a time outside the years
// 0 to 9999 are refused, and so is whatever [Decoder] would refuse.
func AppendCommit(dst []byte, window []uint64, events []Event) ([]byte, error) {
	if len(events) == 0 {
		return dst, errors.New("a commit needs at least one event")
	}
	if err := checkWindow(window); err != nil {
		return dst, err
	}
	w := writer{dst: dst}
	for i := range events {
		if i == 0 {
			w.dst = append(w.dst, '[')
		} else {
			w.dst = append(w.dst, ',')
		}
		if err := checkEvent(&events[i], &events[0], i); err != nil {
			return dst, err
		}
		w.event(&events[i], i == 0, window)
		if w.err != nil {
			return dst, fmt.Errorf("event %d of the commit: %w", i+1, w.err)
		}
	}
	return append(w.dst, ']'), nil
}

// checkEvent checks what holds for the i-th event of a commit that starts with first.
func checkEvent(e, first *Event, i int) error {
	switch {
	case e.ID == "":
		return fmt.Errorf("event %d of the commit has no id", i+1)
	case e.Type == "":
		return fmt.Errorf("event %d of the commit has no type", i+1)
	case e.Source == "":
		return fmt.Errorf("event %d of the commit has no source", i+1)
	case e.Subject == "":
		return fmt.Errorf("event %d of the commit has no subject", i+1)
	case e.Source != first.Source || e.Subject != first.Subject:
		return fmt.Errorf("event %d of the commit is of %s %q, the first one of %s %q", i+1, e.Source, e.Subject, first.Source, first.Subject)
	case e.Sequence == 0 || e.Sequence != first.Sequence+uint64(i):
		return fmt.Errorf("event %d of the commit has the sequence %d, the first one has %d", i+1, e.Sequence, first.Sequence)
	}
	return nil
}

// writer appends attributes and keeps the first error.
type writer struct {
	dst []byte
	err error
}

func (w *writer) event(e *Event, first bool, window []uint64) {
	w.dst = append(w.dst, `{"specversion":"1.0","id":`...)
	w.quote(e.ID)
	w.text(`,"source":`, e.Source)
	w.text(`,"type":`, e.Type)
	w.text(`,"subject":`, e.Subject)
	w.dst = append(w.dst, `,"time":"`...)
	w.time(e.Time)
	w.dst = append(w.dst, `","sequence":"`...)
	w.dst = strconv.AppendUint(w.dst, e.Sequence, 10)
	w.dst = append(w.dst, `","sequencetype":"Integer","datacontenttype":"application/json"`...)
	if e.SchemaVersion > 1 {
		w.dst = append(w.dst, `,"schemaversion":`...)
		w.dst = strconv.AppendInt(w.dst, int64(e.SchemaVersion), 10)
	}
	w.text(`,"correlationid":`, e.CorrelationID)
	w.text(`,"causationid":`, e.CausationID)
	w.text(`,"commandid":`, e.CommandID)
	w.text(`,"actor":`, e.Actor)
	w.text(`,"traceparent":`, e.TraceParent)
	if first {
		w.text(`,"commandhash":`, e.CommandHash)
		w.text(`,"inputid":`, e.InputID)
		w.text(`,"inputsource":`, e.InputSource)
		w.text(`,"inputposition":`, e.InputPosition)
		if len(window) > 0 {
			w.dst = append(w.dst, `,"esjsprev":"`...)
			w.dst = AppendWindow(w.dst, window)
			w.dst = append(w.dst, '"')
		}
	}
	if len(e.Extensions) > 0 {
		w.extensions(e)
	}
	if len(e.Data) > 0 {
		w.dst = append(w.dst, `,"data":`...)
		w.dst = append(w.dst, e.Data...)
	}
	w.dst = append(w.dst, '}')
}

// text appends an attribute that is left out when it is empty; name comes with
// comma, quotes and colon.
func (w *writer) text(name, value string) {
	if value != "" {
		w.dst = append(w.dst, name...)
		w.quote(value)
	}
}

func (w *writer) extensions(e *Event) {
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		if !isAttributeName(name) || attributeOf([]byte(name)) != extension {
			w.fail(fmt.Errorf("%q cannot name an extension", name))
			return
		}
		w.dst = append(w.dst, ',', '"')
		w.dst = append(w.dst, name...)
		w.dst = append(w.dst, '"', ':')
		if _, literal := slices.BinarySearch(e.Literals, name); literal {
			w.dst = append(w.dst, e.Extensions[name]...)
		} else {
			w.quote(e.Extensions[name])
		}
	}
}

// quote appends a JSON string. Almost every string here is plain ASCII, which
// is copied as it is.
func (w *writer) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := jsontext.AppendQuote(w.dst, s)
			if err != nil {
				w.fail(fmt.Errorf("%q is not valid UTF-8", s))
				return
			}
			w.dst = quoted
			return
		}
	}
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, s...)
	w.dst = append(w.dst, '"')
}

func (w *writer) time(t time.Time) {
	written, err := t.UTC().AppendText(w.dst)
	if err != nil {
		w.fail(err)
		return
	}
	w.dst = written
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
