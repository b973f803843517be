package wire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscapeKey(t *testing.T) {
	for key, token := range map[string]string{
		"o-1":     "o-1",
		"A_b-9":   "A_b-9",
		"a.b":     "a=2Eb",
		"=":       "=3D",
		"*>":      "=2A=3E",
		"ü":       "=C3=BC",
		"a b\n":   "a=20b=0A",
		"x@y.com": "x=40y=2Ecom",
		"\x00":    "=00",
	} {
		if got := EscapeKey(key); got != token {
			t.Errorf("EscapeKey(%q) = %q, want %q", key, got, token)
		}
		if got, err := UnescapeKey(token); got != key || err != nil {
			t.Errorf("UnescapeKey(%q) = %q, %v, want %q", token, got, err, key)
		}
	}
}

func TestUnescapeKeyRefusesOtherSpellings(t *testing.T) {
	for _, token := range []string{"", "=", "=2", "a=2", "=2e", "=41", "=2G", "a.b", "a b", "ü", "=C3", "=G0", strings.Repeat("a", 256)} {
		if key, err := UnescapeKey(token); err == nil {
			t.Errorf("UnescapeKey(%q) = %q, want an error", token, key)
		}
	}
}

func TestCheckKeyAndCategory(t *testing.T) {
	for key, ok := range map[string]bool{
		"": false, "a": true, strings.Repeat("a", 255): true, strings.Repeat("a", 256): false, "\xff": false, "ü": true,
	} {
		if err := CheckKey(key); (err == nil) != ok {
			t.Errorf("CheckKey(%q) = %v", key, err)
		}
	}
	for category, ok := range map[string]bool{
		"": false, "order": true, "a-1": true, "Order": false, "a.b": false, "a_b": false, "ü": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		if err := CheckCategory(category); (err == nil) != ok {
			t.Errorf("CheckCategory(%q) = %v", category, err)
		}
	}
}

func TestParseSubject(t *testing.T) {
	category, key, err := ParseSubject("ev", "ev.order.a=2Eb")
	if category != "order" || key != "a.b" || err != nil {
		t.Errorf("got %q, %q, %v", category, key, err)
	}
	for _, subject := range []string{"", "ev", "ev.", "ev.order", "ev.order.", "evil.order.a", "ev.Order.a", "ev.order.a.b", "cmd.order.a", "ev..a"} {
		if category, key, err := ParseSubject("ev", subject); err == nil {
			t.Errorf("ParseSubject(%q) = %q, %q, want an error", subject, category, key)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, seed := range []string{"o-1", "a.b", "=41", "ü", "\xff", "", "*.>", "=2E"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckKey(s) == nil {
			token := EscapeKey(s)
			for i := range len(token) {
				if !isPlain(token[i]) && token[i] != '=' {
					t.Fatalf("EscapeKey(%q) = %q contains %q", s, token, token[i])
				}
			}
			category, key, err := ParseSubject("ev", Subject("ev", "order", s))
			if category != "order" || key != s || err != nil {
				t.Fatalf("%q came back as %q, %q, %v", s, category, key, err)
			}
		}
		if key, err := UnescapeKey(s); err == nil && (EscapeKey(key) != s || !utf8.ValidString(key)) {
			t.Fatalf("UnescapeKey(%q) = %q, which is written %q", s, key, EscapeKey(key))
		}
	})
}
