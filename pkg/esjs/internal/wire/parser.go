package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep data may be nested: as deep as the JSON library writes.
const maxDepth = 10000

var errEnd = errors.New("it ends too early")

// parser walks JSON text that is known to be valid UTF-8. Its methods leave at
// on the first byte that they did not consume.
type parser struct {
	body []byte
	at   int
}

// next passes over white space and returns the byte there, 0 at the end.
// Mostly there is none: the encoder writes none.
func (p *parser) next() byte {
	if p.at < len(p.body) && p.body[p.at] > ' ' {
		return p.body[p.at]
	}
	return p.nextAfterSpace()
}

func (p *parser) nextAfterSpace() byte {
	for p.at < len(p.body) {
		switch c := p.body[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) expect(c byte) error {
	if p.next() == c {
		p.at++
		return nil
	}
	return p.unexpected(c)
}

func (p *parser) unexpected(want byte) error { return p.unlike(fmt.Sprintf("%q", want)) }

func (p *parser) unlike(want string) error {
	if p.at >= len(p.body) {
		return errEnd
	}
	return fmt.Errorf("%q where %s is expected", p.body[p.at], want)
}

// name reads a member's name and the colon after it.
func (p *parser) name() ([]byte, error) {
	name, err := p.quoted()
	if err != nil {
		return nil, err
	}
	return name, p.expect(':')
}

// more reads a comma, or the end of an object or array.
func (p *parser) more(end byte) (bool, error) {
	switch p.next() {
	case ',':
		p.at++
		return true, nil
	case end:
		p.at++
		return false, nil
	}
	return false, p.unlike(fmt.Sprintf("',' or %q", end))
}

// quoted reads a string and returns its text, which shares the body's memory
// unless there are escapes in it.
func (p *parser) quoted() ([]byte, error) {
	if p.next() != '"' {
		return nil, p.unlike("a string")
	}
	start := p.at
	escaped, err := p.skipString()
	if err != nil {
		return nil, err
	}
	if !escaped {
		return p.body[start+1 : p.at-1], nil
	}
	return jsontext.AppendUnquote(nil, p.body[start:p.at])
}

// value passes over any value and returns its text.
func (p *parser) value() ([]byte, error) {
	p.next()
	start := p.at
	if err := p.skip(maxDepth); err != nil {
		return nil, err
	}
	return p.body[start:p.at:p.at], nil
}

func (p *parser) skip(depth int) error {
	switch c := p.next(); {
	case c == '"':
		_, err := p.skipString()
		return err
	case c == '{' || c == '[':
		if depth == 0 {
			return fmt.Errorf("it is nested more than %d deep", maxDepth)
		}
		p.at++
		return p.skipMembers(c == '{', depth-1)
	case c == '-' || c >= '0' && c <= '9':
		return p.skipNumber()
	case c == 't':
		return p.literal("true")
	case c == 'f':
		return p.literal("false")
	case c == 'n':
		return p.literal("null")
	}
	return p.unlike("a value")
}

// skipMembers passes over the rest of an object or an array.
func (p *parser) skipMembers(object bool, depth int) error {
	end := byte(']')
	if object {
		end = '}'
	}
	if p.next() == end {
		p.at++
		return nil
	}
	for more := true; more; {
		if object {
			if p.next() != '"' {
				return p.unlike("a name")
			}
			if _, err := p.skipString(); err != nil {
				return err
			}
			if err := p.expect(':'); err != nil {
				return err
			}
		}
		err := p.skip(depth)
		if err != nil {
			return err
		}
		if more, err = p.more(end); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) skipString() (escaped bool, err error) {
	body, i := p.body, p.at+1
	for {
		for len(body)-i >= 8 {
			special := specials(binary.LittleEndian.Uint64(body[i:]))
			if special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(body) {
			p.at = len(body)
			return false, errEnd
		}
		switch c := body[i]; {
		case c == '"':
			p.at = i + 1
			return escaped, nil
		case c == '\\':
			escaped = true
			i++ // whatever is escaped, it is not the end
			if i < len(body) && !isEscape(body[i:]) {
				p.at = i
				return false, errors.New("an unknown escape in a string")
			}
		case c < ' ':
			p.at = i
			return false, errors.New("a control character in a string")
		}
		i++
	}
}

// specials returns, for eight bytes at once, a word whose lowest set bit is in
// the first byte that is a quote, a backslash or a control character.
// Bits above that byte mean nothing.
func specials(word uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	quote := word ^ each*'"'
	backslash := word ^ each*'\\'
	return ((quote-each)&^quote | (backslash-each)&^backslash | (word-each*' ')&^word) & high
}

// isEscape tells that b starts with what may follow a backslash.
func isEscape(b []byte) bool {
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		return len(b) >= 5 && isHex(b[1]) && isHex(b[2]) && isHex(b[3]) && isHex(b[4])
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (p *parser) skipNumber() error {
	if p.body[p.at] == '-' {
		p.at++
	}
	if p.at < len(p.body) && p.body[p.at] == '0' {
		p.at++
	} else if !p.skipDigits() {
		return p.unlike("a digit")
	}
	if p.at < len(p.body) && p.body[p.at] == '.' {
		p.at++
		if !p.skipDigits() {
			return p.unlike("a digit")
		}
	}
	if p.at < len(p.body) && p.body[p.at]|0x20 == 'e' {
		p.at++
		if p.at < len(p.body) && (p.body[p.at] == '+' || p.body[p.at] == '-') {
			p.at++
		}
		if !p.skipDigits() {
			return p.unlike("a digit")
		}
	}
	return nil
}

// skipDigits tells whether there was at least one.
func (p *parser) skipDigits() bool {
	start := p.at
	for p.at < len(p.body) && p.body[p.at] >= '0' && p.body[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

func (p *parser) literal(want string) error {
	if len(p.body)-p.at < len(want) || string(p.body[p.at:p.at+len(want)]) != want {
		return p.unlike(want)
	}
	p.at += len(want)
	return nil
}
