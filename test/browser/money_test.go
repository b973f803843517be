//go:build browser

package browser

import (
	"slices"
	"strings"
	"testing"
)

// From an order the way leads to its payment, with every call of the provider and
// what the provider calls it by, and to its customer, with what all his orders came to.
func TestFollowTheMoney(t *testing.T) {
	tb := open(t)
	settle(tb)
	tb.visit("orders/o-done")
	tb.click(`a[href^="/console/payments/"]`)
	tb.see(`#top[data-state="captured"]`)
	if got := tb.text("#captured"); got != "49.80 EUR" {
		t.Errorf("captured is %q", got)
	}
	types := evaluate[[]string](tb, `[...document.querySelectorAll("#calls tr[data-type]")].map((e) => e.dataset.type)`)
	if want := []string{"PaymentInitiated", "AuthorizationAttempted", "PaymentAuthorized", "CaptureAttempted", "PaymentCaptured"}; !slices.Equal(types, want) {
		t.Errorf("the calls are %v, want %v", types, want)
	}
	for _, of := range []string{"PaymentAuthorized", "PaymentCaptured"} {
		if got := tb.text(`tr[data-type="` + of + `"] [data-label="Reference"]`); len(got) < 5 {
			t.Errorf("the provider's reference of %s is %q", of, got)
		}
	}
	tb.click(`nav a[href="/console/payments"]`)
	tb.see(`tr[data-state="captured"]`, `tr[data-state="declined"]`, "#compared")
	tb.visit("payments?state=declined")
	tb.see(`tr[data-state="declined"]`)
	tb.gone(`tr[data-state="captured"]`)

	tb.visit("orders/o-done")
	tb.click(`a[href="/console/customers/c-anna"]`)
	tb.see(`tr[data-order="o-done"]`)
	if got := tb.text(`tr[data-currency="EUR"]`); strings.Count(got, "49.80 EUR") != 2 {
		t.Errorf("what he has paid is %q", got)
	}
	tb.gone(`tr[data-order="o-short"]`)
}
