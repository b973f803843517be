package esjs

import (
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// EscapeKey writes a key as the one token that stands for it in subjects: bytes
// outside [A-Za-z0-9_-] become =XX in upper-case hexadecimal. It refuses what
// is not a key, nothing, more than 255 bytes or invalid UTF-8, with [ErrInvalid].
func EscapeKey(key string) (string, error) {
	if err := wire.CheckKey(key); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return wire.EscapeKey(key), nil
}

// UnescapeKey reads what [EscapeKey] wrote. It refuses every other spelling, so
// that a key has one token and a token has one key.
func UnescapeKey(token string) (string, error) {
	key, err := wire.UnescapeKey(token)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return key, nil
}
