package events_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
)

// What is stored as an event is refused, or is one that is written and read again as the same.
func FuzzEvent(f *testing.F) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		f.Fatal(err)
	}
	golden, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(golden) < len(events.Types) {
		f.Fatalf("there are %d stored events of %d types, %v", len(golden), len(events.Types), err)
	}
	for _, path := range golden {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		f.Add(name, data)
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		read, err := codec.Decode(esjs.Record{Type: name, Data: data})
		if err != nil {
			var refused *esjs.DecodeError
			if !errors.As(err, &refused) || refused.Unknown == codec.Knows(name) {
				t.Errorf("%s %s is refused with %v", name, data, err)
			}
			return
		}
		written, err := json.Marshal(read.Event, json.Deterministic(true))
		if err != nil {
			t.Fatalf("%s %s is read as %+v and not written: %v", name, data, read.Event, err)
		}
		again, err := codec.Decode(esjs.Record{Type: name, Data: written})
		if err != nil {
			t.Fatalf("%s %s is written as %s, which is not read: %v", name, data, written, err)
		}
		if rewritten, err := json.Marshal(again.Event, json.Deterministic(true)); err != nil || !bytes.Equal(rewritten, written) {
			t.Errorf("%s %s is written as %s and then as %s, %v", name, data, written, rewritten, err)
		}
	})
}

// An amount is refused, or is exactly what was written, up to zeros that were left out.
func FuzzMoney(f *testing.F) {
	for _, seed := range [][2]string{
		{"24.90", "EUR"}, {"-3", "EUR"}, {"0", "JPY"}, {"1.5", "JPY"}, {"1.234", "KWD"}, {"-0", "EUR"}, {"00.1", "EUR"}, {".5", "EUR"}, {"1.", "EUR"},
		{"92233720368547758.07", "EUR"}, {"92233720368547758.08", "EUR"}, {"-92233720368547758.08", "EUR"}, {"-92233720368547758.09", "EUR"}, {"1", "eur"}, {"1e3", "EUR"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, amount, currency string) {
		m, err := events.ParseMoney(amount, currency)
		if err != nil {
			if !errors.Is(err, events.ErrAmount) && !errors.Is(err, events.ErrCurrency) && !errors.Is(err, events.ErrOverflow) {
				t.Errorf("%q %q: %v", amount, currency, err)
			}
			return
		}
		plain := func(s string) string {
			if strings.Contains(s, ".") {
				s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
			}
			if s == "-0" {
				s = "0"
			}
			return s
		}
		if plain(m.Amount()) != plain(amount) || m.Currency() != currency {
			t.Errorf("%q %q is read as %s %s", amount, currency, m.Amount(), m.Currency())
		}
		written, err := json.Marshal(m)
		var again events.Money
		if err == nil {
			err = json.Unmarshal(written, &again)
		}
		if err != nil || again != m {
			t.Errorf("%q %q is written as %s and read as %s, %v", amount, currency, written, again, err)
		}
	})
}
