package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// WindowSize is how many back-pointers a commit carries at most.
const WindowSize = 64

var windowEncoding = base64.RawURLEncoding.Strict()

// AppendWindow writes back-pointers: stream sequences, newest first, strictly
// descending, none of them 0. The first is stored as it is and each other one
// as its distance from the one before, as unsigned varints in base64 (URL
// alphabet, no padding). Pointers after the newest 64 are left out.
func AppendWindow(dst []byte, window []uint64) []byte {
	var buffer [WindowSize * binary.MaxVarintLen64]byte
	raw := buffer[:0]
	for i, sequence := range window[:min(len(window), WindowSize)] {
		if i > 0 {
			sequence = window[i-1] - sequence
		}
		raw = binary.AppendUvarint(raw, sequence)
	}
	return windowEncoding.AppendEncode(dst, raw)
}

// ParseWindow reads what [AppendWindow] wrote, and refuses everything else. It
// appends to dst, which is empty.
func ParseWindow(dst []uint64, text []byte) ([]uint64, error) {
	if len(text) == 0 {
		return dst, nil
	}
	var buffer [WindowSize * binary.MaxVarintLen64]byte
	if windowEncoding.DecodedLen(len(text)) > len(buffer) {
		return nil, fmt.Errorf("the back-pointers have %d characters: more than 64 pointers need", len(text))
	}
	if bytes.IndexByte(text, '\r') >= 0 || bytes.IndexByte(text, '\n') >= 0 { // the decoder would pass over them
		return nil, errors.New("the back-pointers contain a line break")
	}
	n, err := windowEncoding.Decode(buffer[:], text)
	if err != nil {
		return nil, fmt.Errorf("the back-pointers are not base64: %w", err)
	}
	raw := buffer[:n]
	count := 0
	for _, b := range raw {
		if b < 0x80 {
			count++
		}
	}
	if count > WindowSize {
		return nil, fmt.Errorf("there are %d back-pointers: at most 64 are allowed", count)
	}
	window := slices.Grow(dst, count)
	for len(raw) > 0 {
		value, size := binary.Uvarint(raw)
		if size <= 0 || size > 1 && raw[size-1] == 0 {
			return nil, errors.New("a back-pointer is not a varint in its shortest form")
		}
		raw = raw[size:]
		if len(window) > 0 {
			newer := window[len(window)-1]
			if value == 0 || value >= newer {
				return nil, errors.New("the back-pointers do not descend")
			}
			value = newer - value
		} else if value == 0 {
			return nil, errors.New("a back-pointer is 0")
		}
		window = append(window, value)
	}
	return window, nil
}

// checkWindow refuses pointers that [ParseWindow] would not read back.
func checkWindow(window []uint64) error {
	for i, sequence := range window {
		if sequence == 0 || i > 0 && sequence >= window[i-1] {
			return fmt.Errorf("the back-pointers %v do not descend to 1 or more", window)
		}
	}
	return nil
}
