package esjs_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

func TestPositionText(t *testing.T) {
	for _, text := range []string{"0-0", "0-1", "0-1871", "4294967295-18446744073709551615"} {
		p, err := esjs.ParsePosition(text)
		if err != nil || p.String() != text {
			t.Errorf("%q is read as %s, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "-", "0", "1871", "0-", "-1", "0-01", "00-1", "+0-1", "0-1-2", "0 -1", "0x1-1", "4294967296-1", "0-18446744073709551616"} {
		if p, err := esjs.ParsePosition(text); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%q is read as %s, %v, want ErrInvalid", text, p, err)
		}
	}
	var stored struct{ At esjs.Position }
	if err := json.Unmarshal([]byte(`{"At":"0-1871"}`), &stored); err != nil || stored.At.Sequence() != 1871 || stored.At.IsZero() {
		t.Errorf("in JSON: %+v, %v", stored, err)
	}
	if b, err := json.Marshal(stored); err != nil || string(b) != `{"At":"0-1871"}` {
		t.Errorf("in JSON: %s, %v", b, err)
	}
}

func TestPositionOrder(t *testing.T) {
	var zero esjs.Position
	first, err := esjs.ParsePosition("0-1")
	if err != nil {
		t.Fatal(err)
	}
	if !zero.Before(first) || first.Before(zero) || first.Before(first) || !zero.IsZero() || first.IsZero() {
		t.Errorf("%s and %s are not in order", zero, first)
	}
}

func TestRevisionText(t *testing.T) {
	for text, version := range map[string]uint64{"0-0": 0, "3-1871": 3, "18446744073709551615-18446744073709551615": 1<<64 - 1} {
		r, err := esjs.ParseRevision(text)
		if err != nil || r.String() != text || r.Version() != version {
			t.Errorf("%q is read as %s, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "3", "3-", "-1871", "03-1871", "3-01871", "3-1871 ", "0-1871", "3-0", "3-1871-1", "a-b"} {
		if r, err := esjs.ParseRevision(text); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%q is read as %s, %v, want ErrInvalid", text, r, err)
		}
	}
}
