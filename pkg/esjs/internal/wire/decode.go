package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// attribute is one that the envelope knows, in the order in which they are written.
type attribute uint8

const (
	extension attribute = iota // any other
	specversion
	id
	source
	eventType
	subject
	eventTime
	sequence
	sequencetype
	datacontenttype
	schemaversion
	correlationid
	causationid
	commandid
	actor
	traceparent
	commandhash
	inputid
	inputsource
	inputposition
	esjsprev
	data
	dataBase64
)

// members are the attributes' names as they stand in a body.
var members = [dataBase64 + 1]string{
	specversion:     `"specversion":`,
	id:              `"id":`,
	source:          `"source":`,
	eventType:       `"type":`,
	subject:         `"subject":`,
	eventTime:       `"time":`,
	sequence:        `"sequence":`,
	sequencetype:    `"sequencetype":`,
	datacontenttype: `"datacontenttype":`,
	schemaversion:   `"schemaversion":`,
	correlationid:   `"correlationid":`,
	causationid:     `"causationid":`,
	commandid:       `"commandid":`,
	actor:           `"actor":`,
	traceparent:     `"traceparent":`,
	commandhash:     `"commandhash":`,
	inputid:         `"inputid":`,
	inputsource:     `"inputsource":`,
	inputposition:   `"inputposition":`,
	esjsprev:        `"esjsprev":`,
	data:            `"data":`,
	dataBase64:      `"data_base64":`,
}

func attributeOf(name []byte) attribute {
	for a := specversion; a <= dataBase64; a++ {
		if member := members[a]; string(name) == member[1:len(member)-2] {
			return a
		}
	}
	return extension
}

// text is the field of an attribute that is any string, nil for others.
func (e *Event) text(a attribute) *string {
	switch a {
	case id:
		return &e.ID
	case source:
		return &e.Source
	case eventType:
		return &e.Type
	case subject:
		return &e.Subject
	case correlationid:
		return &e.CorrelationID
	case causationid:
		return &e.CausationID
	case commandid:
		return &e.CommandID
	case actor:
		return &e.Actor
	case traceparent:
		return &e.TraceParent
	case commandhash:
		return &e.CommandHash
	case inputid:
		return &e.InputID
	case inputsource:
		return &e.InputSource
	case inputposition:
		return &e.InputPosition
	}
	return nil
}

func isAttributeName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// Decoder reads commits, one after the other, into memory that it uses again.
// Its zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	parser
	events []Event
	window []uint64
	texts  [dataBase64]text
	runs   [2]run    // after the id, and after the sequence
	time   time.Time // of the last event
	fresh  []byte    // the texts of the event, one after the other
}

// text is where an attribute was read last within the commit. Most texts are the
// same in all events of a commit: those are recognised, and not read again.
type text struct {
	start, end int // in the body, with its quotes; 0: it was not read
	from, to   int // in the event's fresh texts, without them
	text       string
}

// run is what follows the id or the sequence of an event and is mostly the same in all
// events of a commit. Where it is, it is compared as one piece and not read again,
// which takes a sixth less for a commit of five events.
type run struct {
	start, end int       // in the body, from the first one's comma on
	seen       uint32    // the attributes
	last       attribute // of them
}

// shared are the attributes of a run.
const shared = 1<<source | 1<<eventType | 1<<subject | 1<<eventTime | 1<<sequencetype | 1<<datacontenttype | 1<<schemaversion |
	1<<correlationid | 1<<causationid | 1<<commandid | 1<<actor | 1<<traceparent

// Decode reads a commit's body: any JSON layout of what [AppendCommit] writes.
// It refuses what is not a commit: events of several aggregates, sequences with
// a gap, missing, repeated or misplaced attributes, text that is not UTF-8.
// Attributes that are null are absent. Data is checked to be JSON and shares
// body's memory; the strings do not, and those of one event share their own.
// events and window are valid until the next call.
func (d *Decoder) Decode(body []byte) (events []Event, window []uint64, err error) {
	if !utf8.Valid(body) {
		return nil, nil, errors.New("the commit is not valid UTF-8")
	}
	clear(d.events)
	if d.events = d.events[:0]; cap(d.events) > maxKept {
		d.events = nil
	}
	d.window, d.texts, d.runs, d.parser = d.window[:0], [dataBase64]text{}, [2]run{}, parser{body: body}
	if err := d.commit(); err != nil {
		return nil, nil, fmt.Errorf("the commit, near byte %d: %w", d.at, err)
	}
	return d.events, d.window, nil
}

// maxKept is how many events' memory is kept for the next commit.
const maxKept = 256

func (d *Decoder) commit() error {
	if err := d.expect('['); err != nil {
		return err
	}
	for more := true; more; {
		d.events = append(d.events, Event{})
		n := len(d.events) - 1
		err := d.event(&d.events[n], n == 0)
		if err != nil {
			return err
		}
		if err = checkEvent(&d.events[n], &d.events[0], n); err != nil {
			return err
		}
		if more, err = d.more(']'); err != nil {
			return err
		}
	}
	if d.next(); d.at < len(d.body) {
		return errors.New("there is more after the commit's end")
	}
	return nil
}

func (d *Decoder) event(e *Event, first bool) error {
	e.SchemaVersion = 1
	d.fresh = d.fresh[:0]
	var open *run // to which the next attribute may belong
	var seen, fresh uint32
	last := extension
	if d.constantly(opening) {
		seen, last = 1<<specversion, specversion
	} else if err := d.expect('{'); err != nil {
		return err
	}
	for more := true; more; {
		a, name, err := d.attribute(last)
		if err != nil {
			return err
		}
		if a != extension {
			if seen&(1<<a) != 0 {
				return fmt.Errorf("the attribute %q comes twice", name)
			}
			seen |= 1 << a
			last = a
		}
		if d.next() == 'n' && a != data {
			if err := d.literal("null"); err != nil {
				return err
			}
			open = nil
			if more, err = d.more('}'); err != nil {
				return err
			}
			continue
		}
		if !first && a >= commandhash && a <= esjsprev {
			return fmt.Errorf("the attribute %q belongs to the first event of a commit", name)
		}
		switch a {
		case specversion:
			err = d.constant("1.0")
		case eventTime:
			err = d.timestamp()
			e.Time = d.time
		case sequence:
			e.Sequence, err = d.sequence()
		case sequencetype:
			err = d.constant("Integer")
		case datacontenttype:
			err = d.constant("application/json")
		case schemaversion:
			e.SchemaVersion, err = d.schemaVersion()
		case esjsprev:
			var pointers []byte
			if pointers, err = d.quoted(); err == nil {
				d.window, err = ParseWindow(d.window, pointers)
			}
		case data:
			e.Data, err = d.value()
		case dataBase64:
			err = errors.New("binary data: only JSON data is allowed")
		case extension:
			err = d.extension(e, string(name))
		default:
			var again bool
			if again, err = d.text(a); again {
				*e.text(a) = d.texts[a].text
			} else {
				fresh |= 1 << a
			}
		}
		if err != nil {
			return fmt.Errorf("the attribute %q: %w", name, err)
		}
		switch {
		case a == id || a == sequence:
			open = &d.runs[0]
			if a == sequence {
				open = &d.runs[1]
			}
			if d.again(open, e, seen) {
				seen, last, open = seen|open.seen, open.last, nil
				break
			}
			*open = run{start: d.at}
			if a == sequence && seen&typed == 0 && d.constantly(typing) {
				seen, last, open.seen = seen|typed, datacontenttype, typed
			}
			open.end, open.last = d.at, last
		case open != nil && shared&(1<<a) != 0:
			open.end, open.seen, open.last = d.at, open.seen|1<<a, a
		default:
			open = nil
		}
		if more, err = d.more('}'); err != nil {
			return err
		}
	}
	switch {
	case seen&(1<<specversion) == 0:
		return errors.New(`the attribute "specversion" is missing`)
	case seen&(1<<eventTime) == 0:
		return errors.New(`the attribute "time" is missing`)
	}
	d.fill(e, fresh)
	slices.Sort(e.Literals)
	return nil
}

// again takes the run of the event before, when it stands here too.
func (d *Decoder) again(r *run, e *Event, seen uint32) bool {
	n := r.end - r.start
	if n == 0 || seen&r.seen != 0 || len(d.body)-d.at <= n || !bytes.Equal(d.body[d.at:d.at+n], d.body[r.start:r.end]) {
		return false
	}
	if c := d.body[d.at+n]; c != ',' && c != '}' { // a number may go on
		return false
	}
	before := &d.events[len(d.events)-2]
	for left := r.seen; left != 0; left &= left - 1 {
		switch a := attribute(bits.TrailingZeros32(left)); a {
		case eventTime:
			e.Time = before.Time
		case schemaversion:
			e.SchemaVersion = before.SchemaVersion
		case sequencetype, datacontenttype:
		default:
			*e.text(a) = *before.text(a)
		}
	}
	d.at += n
	return true
}

// What [AppendCommit] writes in every event, at its beginning and after its sequence.
const (
	opening = `{"specversion":"1.0",`
	typing  = `,"sequencetype":"Integer","datacontenttype":"application/json"`
	typed   = 1<<sequencetype | 1<<datacontenttype
)

// constantly passes over text, when it stands here.
func (p *parser) constantly(text string) bool {
	if len(p.body)-p.at < len(text) || string(p.body[p.at:p.at+len(text)]) != text {
		return false
	}
	p.at += len(text)
	return true
}

// attribute reads a member's name and the colon after it. Mostly it is one of
// the next that [AppendCommit] writes.
func (d *Decoder) attribute(last attribute) (attribute, []byte, error) {
	rest := d.body[d.at:]
	for a := last + 1; a <= dataBase64 && len(rest) > 2; a++ {
		member := members[a]
		if rest[1] == member[1] && len(rest) >= len(member) && string(rest[:len(member)]) == member {
			d.at += len(member)
			return a, rest[1 : len(member)-2], nil
		}
	}
	name, err := d.name()
	if err != nil {
		return extension, nil, err
	}
	return attributeOf(name), name, nil
}

// text reads a string; again tells that it is the one of an earlier event.
func (d *Decoder) text(a attribute) (again bool, err error) {
	t := &d.texts[a]
	d.next()
	if n := t.end - t.start; n > 0 && len(d.body)-d.at >= n && bytes.Equal(d.body[d.at:d.at+n], d.body[t.start:t.end]) {
		d.at += n
		return true, nil
	}
	t.start = d.at
	value, err := d.quoted()
	t.end, t.from = d.at, len(d.fresh)
	d.fresh = append(d.fresh, value...)
	t.to = len(d.fresh)
	return false, err
}

// fill sets the texts that were read, in one piece of memory.
func (d *Decoder) fill(e *Event, fresh uint32) {
	all := string(d.fresh)
	for ; fresh != 0; fresh &= fresh - 1 {
		a := attribute(bits.TrailingZeros32(fresh))
		t := &d.texts[a]
		t.text = all[t.from:t.to]
		*e.text(a) = t.text
	}
}

func (p *parser) constant(want string) error {
	if end := p.at + len(want) + 2; end <= len(p.body) && string(p.body[p.at+1:end-1]) == want && p.body[p.at] == '"' && p.body[end-1] == '"' {
		p.at = end
		return nil
	}
	b, err := p.quoted()
	if err == nil && string(b) != want {
		return fmt.Errorf("it is %q: only %q is allowed", b, want)
	}
	return err
}

func (d *Decoder) timestamp() error {
	again, err := d.text(eventTime)
	if again || err != nil {
		return err
	}
	from := d.texts[eventTime].from
	text := d.fresh[from:]
	d.fresh = d.fresh[:from]
	if err := d.time.UnmarshalText(text); err != nil {
		return err
	}
	d.time = d.time.UTC()
	if y := d.time.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%s is outside the years 0 to 9999 in UTC", text)
	}
	return nil
}

func (p *parser) sequence() (uint64, error) {
	b, err := p.quoted()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil || b[0] == '0' {
		return 0, fmt.Errorf("%q is not a decimal number from 1 on", b)
	}
	return n, nil
}

func (p *parser) schemaVersion() (int, error) {
	b, err := p.value()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s is not a whole number from 1 on", b)
	}
	return int(n), nil
}

func (p *parser) extension(e *Event, name string) error {
	if !isAttributeName(name) {
		return errors.New("only [a-z0-9] is allowed in a name")
	}
	if _, found := e.Extensions[name]; found {
		return errors.New("it comes twice")
	}
	var value string
	switch c := p.next(); {
	case c == '"':
		b, err := p.quoted()
		if err != nil {
			return err
		}
		value = string(b)
	case c == '{' || c == '[':
		return errors.New("its value is not a string, a number or a boolean")
	default:
		b, err := p.value()
		if err != nil {
			return err
		}
		value = string(b)
		e.Literals = append(e.Literals, name)
	}
	if e.Extensions == nil {
		e.Extensions = make(map[string]string, 2)
	}
	e.Extensions[name] = value
	return nil
}
