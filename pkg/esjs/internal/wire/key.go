package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxKey      = 255
	maxCategory = 64
	upperHex    = "0123456789ABCDEF"
)

// CheckKey refuses what is not an aggregate's key: 1 to 255 bytes of valid UTF-8.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty: 1 to 255 bytes of UTF-8 are allowed")
	case len(key) > maxKey:
		return fmt.Errorf("the key has %d bytes: 1 to 255 bytes of UTF-8 are allowed", len(key))
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %q is not valid UTF-8", key)
	}
	return nil
}

// CheckCategory refuses what is not a category: 1 to 64 bytes of [a-z0-9-].
func CheckCategory(category string) error {
	if category == "" || len(category) > maxCategory {
		return fmt.Errorf("the category %q has %d bytes: 1 to 64 of [a-z0-9-] are allowed", category, len(category))
	}
	for i := range len(category) {
		if c := category[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("the category %q contains %q: only [a-z0-9-] is allowed", category, c)
		}
	}
	return nil
}

// EscapeKey writes a key as one token of a subject or of a KV key: each byte
// outside [A-Za-z0-9_-] becomes =XX with upper-case hex digits.
func EscapeKey(key string) string {
	n := 0
	for i := range len(key) {
		if !isPlain(key[i]) {
			n++
		}
	}
	if n == 0 {
		return key
	}
	token := make([]byte, 0, len(key)+2*n)
	for i := range len(key) {
		if c := key[i]; isPlain(c) {
			token = append(token, c)
		} else {
			token = append(token, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(token)
}

// UnescapeKey reads what [EscapeKey] wrote. It refuses every other spelling, so
// that a key has one token and a token has one key, and what [CheckKey] refuses.
func UnescapeKey(token string) (string, error) {
	key := token
	if strings.IndexByte(token, '=') >= 0 {
		b := make([]byte, 0, len(token))
		for i := 0; i < len(token); i++ {
			if token[i] != '=' {
				b = append(b, token[i])
				continue
			}
			if i+2 >= len(token) {
				return "", fmt.Errorf("the token %q ends inside an escape", token)
			}
			high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			if high < 0 || low < 0 {
				return "", fmt.Errorf("the token %q has an escape that is not = and two of [0-9A-F]", token)
			}
			b = append(b, byte(high<<4|low))
			i += 2
		}
		key = string(b)
	}
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if EscapeKey(key) != token {
		return "", fmt.Errorf("the token %q is not how the key %q is written: %q is", token, key, EscapeKey(key))
	}
	return key, nil
}

// Subject returns the subject of an aggregate's commits.
func Subject(prefix, category, key string) string {
	return prefix + "." + category + "." + EscapeKey(key)
}

// ParseSubject reads what [Subject] wrote with the same prefix.
func ParseSubject(prefix, subject string) (category, key string, err error) {
	rest, found := strings.CutPrefix(subject, prefix)
	if !found || rest == "" || rest[0] != '.' {
		return "", "", fmt.Errorf("the subject %q does not start with %q", subject, prefix+".")
	}
	category, token, found := strings.Cut(rest[1:], ".")
	if !found {
		return "", "", fmt.Errorf("the subject %q has no key: %s.<category>.<key> is expected", subject, prefix)
	}
	if err := CheckCategory(category); err != nil {
		return "", "", fmt.Errorf("the subject %q: %w", subject, err)
	}
	if key, err = UnescapeKey(token); err != nil {
		return "", "", fmt.Errorf("the subject %q: %w", subject, err)
	}
	return category, key, nil
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
