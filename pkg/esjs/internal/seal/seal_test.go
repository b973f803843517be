package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var place = Place{Person: "p-1", Category: "customer", Key: "c-1", Event: "e-1", Type: "Registered", Path: "/name"}

// known is a key for golden values.
func known(t testing.TB, first byte) *Key {
	t.Helper()
	b := make([]byte, KeySize)
	for i := range b {
		b[i] = first + byte(i)
	}
	k, err := KeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// opened opens all sealed values of data at the place, whose Path is the value's.
func opened(k *Key, data []byte, at Place) (string, int, error) {
	out, n, err := Replace(data, func(path string, text []byte) ([]byte, error) {
		at.Path = path
		return k.OpenSealed(text, at)
	})
	return string(out), n, err
}

// What is stored is read for ever: these were written by the first version.
func TestGolden(t *testing.T) {
	data := `{"name":{"$sealed":"` + goldenValue + `"},"n":1}`
	out, n, err := opened(known(t, 1), []byte(data), place)
	if err != nil || n != 1 || out != `{"name":"Ada","n":1}` {
		t.Errorf("got %s, %d, %v", out, n, err)
	}
	if sealed := string(known(t, 1).AppendSealed(nil, []byte(`"Ada"`), place)); sealed != `{"$sealed":"`+goldenValue+`"}` {
		t.Errorf("sealed as %s", sealed)
	}
	k, err := known(t, 7).Unwrap("p-1", hexBytes(t, goldenWrapped))
	if err != nil || k.bytes != known(t, 1).bytes {
		t.Errorf("the wrapped key became %v, %v", k, err)
	}
	if id := known(t, 7).ID(); id != goldenID {
		t.Errorf("the id is %s, want %s", id, goldenID)
	}
	both, err := Together([]*Key{known(t, 1), known(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	state, err := both.OpenState(hexBytes(t, goldenState), "customer", "c-1", "SNAPSHOTS")
	if err != nil || string(state) != `{"name":"Ada"}` {
		t.Errorf("the state became %s, %v", state, err)
	}
}

func hexBytes(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValuesOpenWhereTheyWereSealedAndNowhereElse(t *testing.T) {
	k := NewKey()
	sealed := k.AppendSealed([]byte(`{"name":`), []byte(`"Ada"`), place)
	sealed = append(sealed, '}')
	if out, _, err := opened(k, sealed, place); err != nil || out != `{"name":"Ada"}` {
		t.Fatalf("got %s, %v", out, err)
	}
	if _, _, err := opened(NewKey(), sealed, place); !errors.Is(err, ErrBroken) {
		t.Errorf("another key: %v", err)
	}
	for name, change := range map[string]func(*Place){
		"person":   func(p *Place) { p.Person = "p-2" },
		"category": func(p *Place) { p.Category = "order" },
		"key":      func(p *Place) { p.Key = "c-2" },
		"event":    func(p *Place) { p.Event = "e-2" },
		"type":     func(p *Place) { p.Type = "Renamed" },
		// The same letters, divided in another way.
		"division": func(p *Place) { p.Category, p.Key = "customerc", "-1" },
	} {
		moved := place
		change(&moved)
		if out, _, err := opened(k, sealed, moved); !errors.Is(err, ErrBroken) {
			t.Errorf("at another %s: %s, %v", name, out, err)
		}
	}
	swapped := bytes.Replace(sealed, []byte("name"), []byte("mail"), 1)
	if out, _, err := opened(k, swapped, place); !errors.Is(err, ErrBroken) {
		t.Errorf("in another field: %s, %v", out, err)
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	k := NewKey()
	sealed := k.AppendSealed(nil, []byte(`"Ada"`), place)
	text := sealed[len(`{"$sealed":"`) : len(sealed)-len(`"}`)]
	for i := range text {
		for _, c := range []byte("Aa9_-") {
			changed := bytes.Clone(text)
			if changed[i] == c {
				continue
			}
			changed[i] = c
			if value, err := k.OpenSealed(changed, place); err == nil {
				t.Fatalf("byte %d changed to %c opens as %s", i, c, value)
			}
		}
		if value, err := k.OpenSealed(text[:i], place); err == nil {
			t.Fatalf("%d bytes open as %s", i, value)
		}
	}
}

// A length alone can tell what a short value was.
func TestShortValuesAreEquallyLong(t *testing.T) {
	k := NewKey()
	want := len(k.AppendSealed(nil, []byte("true"), place))
	for _, value := range []string{"false", "0", `"Ada"`, `"` + strings.Repeat("a", 30) + `"`} {
		if have := len(k.AppendSealed(nil, []byte(value), place)); have != want {
			t.Errorf("%s takes %d bytes, true %d", value, have, want)
		}
	}
}

// A nonce must not be used for two texts, and a commit that is repeated must be the same.
func TestANonceIsOfAValueAndItsPlace(t *testing.T) {
	k := NewKey()
	seen := map[string]string{}
	for _, value := range []string{"1", "2", `"1"`} {
		for _, path := range []string{"/a", "/b"} {
			at := place
			at.Path = path
			sealed := k.AppendSealed(nil, []byte(value), at)
			if again := k.AppendSealed(nil, []byte(value), at); !bytes.Equal(sealed, again) {
				t.Errorf("%s at %s is sealed as %s and as %s", value, path, sealed, again)
			}
			nonce := string(sealed[len(`{"$sealed":"AQ`) : len(`{"$sealed":"`)+16])
			if other, used := seen[nonce]; used {
				t.Errorf("%s at %s has the nonce of %s", value, path, other)
			}
			seen[nonce] = value + " at " + path
		}
	}
	if bytes.Equal(k.AppendSealed(nil, []byte("1"), place), NewKey().AppendSealed(nil, []byte("1"), place)) {
		t.Error("two keys seal alike")
	}
	if bytes.Equal(k.Wrap("p-1", NewKey())[:12], k.Wrap("p-1", NewKey())[:12]) {
		t.Error("two keys are wrapped with one nonce")
	}
}

func TestPathsAreThoseOfTheValues(t *testing.T) {
	data := `{"a":{"$sealed":"1"},"b":[0,{"$sealed":"2"},{"c":{"$sealed":"3"}}],"d/e":{"$sealed":"4"},"f":{},"g":[]}`
	var paths []string
	out, n, err := Replace([]byte(data), func(path string, text []byte) ([]byte, error) {
		paths = append(paths, path+"="+string(text))
		return []byte("null"), nil
	})
	if err != nil || n != 4 || string(out) != `{"a":null,"b":[0,null,{"c":null}],"d/e":null,"f":{},"g":[]}` {
		t.Errorf("got %s, %d, %v", out, n, err)
	}
	if got := strings.Join(paths, " "); got != "/a=1 /b/1=2 /b/2/c=3 /d~1e=4" {
		t.Errorf("the paths are %s", got)
	}
}

func TestReplaceRefusesWhatOnlyLooksSealed(t *testing.T) {
	for _, data := range []string{
		`{"$sealed":1}`, `{"$sealed":{}}`, `{"$sealed":"a","b":1}`, `{"a":{"$sealed":["b"]}}`, `{"$sealed":"a"`, `{`, `{"a"`,
	} {
		if out, n, err := Replace([]byte(data), func(string, []byte) ([]byte, error) { return []byte("1"), nil }); err == nil {
			t.Errorf("%s became %s, %d", data, out, n)
		}
	}
}

func TestWrappedKeysAreThePersons(t *testing.T) {
	master, key := NewKey(), NewKey()
	wrapped := master.Wrap("p-1", key)
	if back, err := master.Unwrap("p-1", wrapped); err != nil || back.bytes != key.bytes {
		t.Errorf("got %v, %v", back, err)
	}
	if _, err := master.Unwrap("p-2", wrapped); !errors.Is(err, ErrBroken) {
		t.Errorf("for another person: %v", err)
	}
	if _, err := NewKey().Unwrap("p-1", wrapped); !errors.Is(err, ErrBroken) {
		t.Errorf("by another master key: %v", err)
	}
	if _, err := master.Unwrap("p-1", nil); !errors.Is(err, ErrBroken) {
		t.Errorf("nothing: %v", err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := KeyFrom(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is accepted", n)
		}
	}
}

func TestAStateNeedsAllKeys(t *testing.T) {
	a, b := NewKey(), NewKey()
	together := func(keys ...*Key) *Key {
		k, err := Together(keys)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sealed := together(a, b).SealState([]byte("{}"), "customer", "c-1")
	if state, err := together(a, b).OpenState(sealed, "customer", "c-1"); err != nil || string(state) != "{}" {
		t.Errorf("got %s, %v", state, err)
	}
	for name, k := range map[string]*Key{"one": together(a), "other order": together(b, a), "another": together(a, NewKey())} {
		if _, err := k.OpenState(sealed, "customer", "c-1"); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := together(a, b).OpenState(sealed, "customer", "c-2"); !errors.Is(err, ErrBroken) {
		t.Errorf("of another aggregate: %v", err)
	}
}

// FuzzOpen feeds data and texts to what reads them: nothing but what was sealed
// may open, and nothing may panic.
func FuzzOpen(f *testing.F) {
	k := known(f, 1)
	f.Add([]byte(`{"name":{"$sealed":"` + goldenValue + `"}}`))
	f.Add([]byte(`{"$sealed":"AQ"}`))
	f.Add([]byte(`{"a":[{"$sealed":""}],"b":{"$sealed":1}}`))
	f.Add([]byte(`null`))
	genuine := []byte(goldenValue)
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = IsSealed(data)
		if value, err := k.OpenSealed(data, place); err == nil && !bytes.Equal(data, genuine) {
			t.Errorf("%q opens as %s", data, value)
		}
		out, n, err := Replace(data, func(path string, text []byte) ([]byte, error) {
			at := place
			at.Path = path
			value, err := k.OpenSealed(text, at)
			if err == nil && !bytes.Equal(text, genuine) {
				t.Errorf("%q opens as %s", text, value)
			}
			return value, err
		})
		if err == nil && n == 0 && !bytes.Equal(out, data) {
			t.Errorf("%q became %q, and nothing was sealed", data, out)
		}
		if _, err := k.Unwrap("p-1", data); err == nil {
			t.Errorf("%q is a wrapped key", data)
		}
		if _, err := k.OpenState(data, "customer", "c-1"); err == nil {
			t.Errorf("%q is a state", data)
		}
	})
}

// FuzzRoundTrip seals what it is given and opens it.
func FuzzRoundTrip(f *testing.F) {
	f.Add(`"Ada"`, "p-1", "/name")
	f.Add(`{"a":[1,2]}`, "é", "/a~1b/0")
	k := NewKey()
	f.Fuzz(func(t *testing.T, value, person, path string) {
		at := Place{Person: person, Path: path}
		sealed := k.AppendSealed(nil, []byte(value), at)
		if !IsSealed(sealed) {
			t.Fatalf("%s is not recognised", sealed)
		}
		text := sealed[len(`{"$sealed":"`) : len(sealed)-len(`"}`)]
		out, err := k.OpenSealed(text, at)
		if err != nil || string(out) != strings.TrimRight(value, " ") {
			t.Errorf("%q came back as %q, %v", value, out, err)
		}
	})
}
