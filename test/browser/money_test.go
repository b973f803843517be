//go:build browser

package browser

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
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

// A refund is offered as long as something is left, and says how much.
func TestARefundIsOfferedForWhatIsLeft(t *testing.T) {
	shop(t)
	id := "o-back-" + uuid.NewString()[:8]
	if err := (order{id: id, customer: "c-back", sku: "cup", quantity: 2, address: "addr-1", country: "DE", method: "card-ok"}).place(); err != nil {
		t.Fatal(err)
	}
	tb := open(t)
	tb.visit("orders/" + id)
	tb.live()
	tb.see(`#top[data-state="Completed"]`, "#open-refund")
	ask := func(left, field, value string) {
		t.Helper()
		tb.click("#open-refund")
		tb.see("#refund[open]")
		if says := tb.text("#refund"); !strings.Contains(says, "Up to "+left+" can be given back") {
			t.Errorf("the form says %s", says)
		}
		tb.fill(`#refund input[name="`+field+`"]`, value)
		tb.click(`#refund button[type="submit"]`)
	}
	ask("49.80 EUR", "line-l1", "1")
	// The form keeps itself current with the page: it is sent with the version that is shown.
	tb.until(`document.querySelector("#refunded")?.innerText === "24.90 EUR" && document.querySelector('#refund input[name="version"]').value === document.getElementById("top").dataset.version`)
	if most := evaluate[string](tb, `document.querySelector('#refund input[name="line-l1"]').max`); most != "1" {
		t.Errorf("of the line %s can be given back, want 1", most)
	}
	ask("24.90 EUR", "amount", "24.90")
	tb.gone("#open-refund")
	tb.gone("#refund")
	// What differs is in words.
	tb.visit("orders/" + id + "/history?version=11&compare=now")
	tb.see("#moment .diff")
	if says := tb.text("#moment .diff"); !strings.Contains(says, "24.90 EUR, ") || strings.ContainsAny(says, `{}"`) {
		t.Errorf("the difference is %s", says)
	}
}
