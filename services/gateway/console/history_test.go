package console

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// A difference is said in words, whatever differs.
func TestDifferencesAreWords(t *testing.T) {
	for _, c := range []struct{ path, old, now, want string }{
		{"/status", `"Draft"`, `"Submitted"`, "status: Draft → Submitted"},
		{"/total/amount", `"24.90"`, `"49.80"`, "total: 24.90 → 49.80"},
		{"/total", ``, `{"amount":"24.90","currency":"EUR"}`, "total:  → 24.90 EUR"},
		{"/lines/l1/quantity", `1`, `2`, "line l1 quantity: 1 → 2"},
		{"/lines/l2/quantity", `1`, `2`, "Cup, quantity: 1 → 2"},
		{"/lines/l1", ``, `{"line_id":"l1","sku":"cup","name":"Cup","quantity":2,"unit_price":{"amount":"3.00","currency":"EUR"}}`, "line l1:  → 2 × Cup (cup) at 3.00 EUR"},
		{"/refunds", ``, `[{"refund_id":"r-1","amount":{"amount":"1.50","currency":"EUR"},"reason":"one broke","done":false}]`, "refund:  → 1.50 EUR, one broke, not paid back yet"},
		{"/refunds/1", ``, `{"refund_id":"r-2","amount":{"amount":"2.00","currency":"EUR"},"done":true}`, "refund 2:  → 2.00 EUR, paid back"},
		{"/refunds/0/done", `false`, `true`, "refund 1 paid back: no → yes"},
		{"/refund_requested/amount", `"1.50"`, `"3.50"`, "refunds in all: 1.50 → 3.50"},
		{"/end", ``, `{"code":"out_of_stock","unavailable":[{"sku":"cup","wanted":3,"available":1},{"sku":"tea","wanted":2,"available":0}]}`,
			"ended because:  → out of stock, of cup 3 wanted and 1 available; of tea 2 wanted and 0 available"},
		{"/end", ``, `{"reason":"too dear","by":"c-1"}`, "ended because:  → too dear, by c-1"},
		{"/cancellation_requested", `{"reason":"too dear","by":"c-1"}`, ``, "wish to cancel: too dear, by c-1 → "},
		{"/cancellation_requested", ``, `{}`, "wish to cancel:  → yes"},
		{"/tracking", ``, `["A-1","A-2"]`, "tracking:  → A-1; A-2"},
		{"/payment_method_awaited_until", ``, `"2026-03-01T12:30:00Z"`, "another payment method until:  → 1 Mar 2026, 12:30:00"},
		{"/later", ``, `{"of_a_later":"program","with":[{"more":1}]}`, "later:  → of a later program, with more 1"},
	} {
		change := queries.OrderChange{Path: c.path}
		for text, into := range map[string]*any{c.old: &change.Old, c.now: &change.New} {
			if text == "" {
				continue
			}
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		said := inWords(change, map[string]string{"l2": "Cup"})
		if got := said.What + ": " + said.Old + " → " + said.New; got != c.want || strings.ContainsAny(got, `{}[]"`) {
			t.Errorf("%s is said as %q, want %q", c.path, got, c.want)
		}
	}
}
