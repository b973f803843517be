package wire

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestWindow(t *testing.T) {
	long := make([]uint64, 70)
	for i := range long {
		long[i] = uint64(7000 - 100*i)
	}
	for _, window := range [][]uint64{nil, {1}, {2, 1}, {1871, 1800, 3}, {math.MaxUint64, 1}, long[:WindowSize]} {
		text := AppendWindow(nil, window)
		got, err := ParseWindow(nil, text)
		if err != nil || !slices.Equal(got, window) {
			t.Errorf("%v is written %s and read as %v, %v", window, text, got, err)
		}
	}
	if got, err := ParseWindow(nil, AppendWindow(nil, long)); err != nil || !slices.Equal(got, long[:WindowSize]) {
		t.Errorf("of 70 pointers the newest 64 are kept: got %v, %v", got, err)
	}
}

func TestParseWindowRefuses(t *testing.T) {
	raw := func(b ...byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	for name, text := range map[string]string{
		"not base64":         "!",
		"padding":            raw(1) + "==",
		"line break":         raw(1) + "\n",
		"trailing bits":      "AR",
		"zero":               raw(0),
		"not descending":     raw(5, 0),
		"below one":          raw(5, 5),
		"long varint":        raw(0x85, 0x00),
		"cut varint":         raw(0x85),
		"overflow":           raw(slices.Repeat([]byte{0xff}, 10)...) + "AQ",
		"more than 64":       raw(append([]byte{0xff, 0x01}, slices.Repeat([]byte{1}, 64)...)...),
		"much more than fit": strings.Repeat("A", 5000),
	} {
		if window, err := ParseWindow(nil, []byte(text)); err == nil {
			t.Errorf("%s: %q is read as %v, want an error", name, text, window)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add("AQ")
	f.Add(string(AppendWindow(nil, []uint64{1871, 1800, 3})))
	f.Fuzz(func(t *testing.T, text string) {
		window, err := ParseWindow(nil, []byte(text))
		if err != nil {
			return
		}
		if again := string(AppendWindow(nil, window)); again != text || checkWindow(window) != nil {
			t.Fatalf("%q is read as %v, which is written %q", text, window, again)
		}
	})
}
