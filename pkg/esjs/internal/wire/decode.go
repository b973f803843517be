package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// attribute is the index of a known attribute's name.
type attribute uint8

const (
	extension attribute = iota
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

func attributeOf(name []byte) attribute {
	switch string(name) {
	case "specversion":
		return specversion
	case "id":
		return id
	case "source":
		return source
	case "type":
		return eventType
	case "subject":
		return subject
	case "time":
		return eventTime
	case "sequence":
		return sequence
	case "sequencetype":
		return sequencetype
	case "datacontenttype":
		return datacontenttype
	case "schemaversion":
		return schemaversion
	case "correlationid":
		return correlationid
	case "causationid":
		return causationid
	case "commandid":
		return commandid
	case "actor":
		return actor
	case "traceparent":
		return traceparent
	case "commandhash":
		return commandhash
	case "inputid":
		return inputid
	case "inputsource":
		return inputsource
	case "inputposition":
		return inputposition
	case "esjsprev":
		return esjsprev
	case "data":
		return data
	case "data_base64":
		return dataBase64
	}
	return extension
}

func isAttributeName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// DecodeCommit reads a commit's body: any JSON layout of what [AppendCommit]
// writes. It refuses what is not a commit: events of several aggregates,
// sequences with a gap, missing, repeated or misplaced attributes, text that is
// not UTF-8. Attributes that are null are absent. Data is checked to be JSON
// and shares body's memory; the strings do not.
func DecodeCommit(body []byte) (events []Event, window []uint64, err error) {
	if !utf8.Valid(body) {
		return nil, nil, errors.New("the commit is not valid UTF-8")
	}
	p := parser{body: body}
	events, window, err = p.commit()
	if err != nil {
		return nil, nil, fmt.Errorf("the commit, near byte %d: %w", p.at, err)
	}
	return events, window, nil
}

func (p *parser) commit() (events []Event, window []uint64, err error) {
	if err := p.expect('['); err != nil {
		return nil, nil, err
	}
	var first Event
	if window, err = p.event(&first, nil); err != nil {
		return nil, nil, err
	}
	if err := checkEvent(&first, &first, 0); err != nil {
		return nil, nil, err
	}
	count := 1
	if p.next() == ',' { // the others will be about as long, or a little shorter
		count += 1 + (len(p.body)-p.at)*5/(4*p.at)
	}
	events = append(make([]Event, 0, count), first)
	for p.next() == ',' {
		p.at++
		events = append(events, Event{})
		n := len(events) - 1
		if _, err := p.event(&events[n], &events[n-1]); err != nil {
			return nil, nil, err
		}
		if err := checkEvent(&events[n], &events[0], n); err != nil {
			return nil, nil, err
		}
	}
	if err := p.expect(']'); err != nil {
		return nil, nil, err
	}
	if p.next(); p.at < len(p.body) {
		return nil, nil, errors.New("there is more after the commit's end")
	}
	return events, window, nil
}

// event reads one event. Strings that the previous event of the commit has too
// are shared with it.
func (p *parser) event(e, previous *Event) (window []uint64, err error) {
	if err := p.expect('{'); err != nil {
		return nil, err
	}
	first := previous == nil
	if first {
		previous = &Event{}
	}
	e.SchemaVersion = 1
	var seen uint32
	for more := true; more; {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		a := attributeOf(name)
		if a != extension {
			if seen&(1<<a) != 0 {
				return nil, fmt.Errorf("the attribute %q comes twice", name)
			}
			seen |= 1 << a
		}
		if p.next() == 'n' && a != data {
			if err := p.literal("null"); err != nil {
				return nil, err
			}
			if more, err = p.more('}'); err != nil {
				return nil, err
			}
			continue
		}
		if !first && a >= commandhash && a <= esjsprev {
			return nil, fmt.Errorf("the attribute %q belongs to the first event of a commit", name)
		}
		switch a {
		case specversion:
			err = p.constant("1.0")
		case id:
			e.ID, err = p.text("")
		case source:
			e.Source, err = p.text(previous.Source)
		case eventType:
			e.Type, err = p.text(previous.Type)
		case subject:
			e.Subject, err = p.text(previous.Subject)
		case eventTime:
			e.Time, err = p.time()
		case sequence:
			e.Sequence, err = p.sequence()
		case sequencetype:
			err = p.constant("Integer")
		case datacontenttype:
			err = p.constant("application/json")
		case schemaversion:
			e.SchemaVersion, err = p.schemaVersion()
		case correlationid:
			e.CorrelationID, err = p.text(previous.CorrelationID)
		case causationid:
			e.CausationID, err = p.text(previous.CausationID)
		case commandid:
			e.CommandID, err = p.text(previous.CommandID)
		case actor:
			e.Actor, err = p.text(previous.Actor)
		case traceparent:
			e.TraceParent, err = p.text(previous.TraceParent)
		case commandhash:
			e.CommandHash, err = p.text("")
		case inputid:
			e.InputID, err = p.text("")
		case inputsource:
			e.InputSource, err = p.text("")
		case inputposition:
			e.InputPosition, err = p.text("")
		case esjsprev:
			var text []byte
			if text, err = p.quoted(); err == nil {
				window, err = ParseWindow(text)
			}
		case data:
			e.Data, err = p.value()
		case dataBase64:
			err = errors.New("binary data: only JSON data is allowed")
		default:
			err = p.extension(e, string(name))
		}
		if err != nil {
			return nil, fmt.Errorf("the attribute %q: %w", name, err)
		}
		if more, err = p.more('}'); err != nil {
			return nil, err
		}
	}
	switch {
	case seen&(1<<specversion) == 0:
		return nil, errors.New(`the attribute "specversion" is missing`)
	case seen&(1<<eventTime) == 0:
		return nil, errors.New(`the attribute "time" is missing`)
	}
	slices.Sort(e.Literals)
	return window, nil
}

// text reads a string and returns shared when it is equal to it.
func (p *parser) text(shared string) (string, error) {
	b, err := p.quoted()
	if err != nil {
		return "", err
	}
	if string(b) == shared {
		return shared, nil
	}
	return string(b), nil
}

func (p *parser) constant(want string) error {
	b, err := p.quoted()
	if err == nil && string(b) != want {
		return fmt.Errorf("it is %q: only %q is allowed", b, want)
	}
	return err
}

func (p *parser) time() (time.Time, error) {
	b, err := p.quoted()
	if err != nil {
		return time.Time{}, err
	}
	var t time.Time
	if err := t.UnmarshalText(b); err != nil {
		return time.Time{}, err
	}
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return time.Time{}, fmt.Errorf("%s is outside the years 0 to 9999 in UTC", b)
	}
	return t, nil
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
