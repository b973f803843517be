package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// Customers get money back, in parts and with their goods, from a provider that
// works, one that is silent after the refund, and one that refuses; the provider's
// own ledger says the same as the orders.
func TestRefunds(t *testing.T) {
	s := up(t, "--ephemeral")
	s.stocked(t, "beans", 40)
	shell := func(args ...string) {
		t.Helper()
		if r := s.tool(t, "orderflow", args...); r.status != 0 {
			t.Fatalf("orderflow %q: %d %s", args, r.status, r.stderr)
		}
	}
	cards := map[string]string{"o-ok": "card-ok", "o-timeout": "card-refund-timeout", "o-refused": "card-refund-refused"}
	for id, card := range cards {
		shell("order", "create", id, "--customer", "c-1", "--currency", "EUR")
		shell("order", "add-item", id, "--sku", "beans", "--quantity", "3")
		shell("order", "set-shipping", id, "--address", "addr-1", "--country", "DE")
		shell("order", "set-payment-method", id, "--method", card)
		shell("order", "submit", id)
	}
	for id := range cards {
		await(t, func() order { return s.shown(t, id) }, "Completed")
		shell("order", "request-refund", id, "--line", "l1=1", "--restock", "--reason", "one is broken")
	}
	shell("order", "request-refund", "o-ok", "--amount", "10.00", "--reason", "goodwill")
	if r := s.tool(t, "orderflow", "order", "request-refund", "o-ok", "--amount", "39.81"); r.status != 3 || !strings.Contains(r.stderr, "refund_exceeds_captured") {
		t.Errorf("more than is left: %d %s", r.status, r.stderr)
	}

	refunded := map[string]string{"o-ok": "34.90", "o-timeout": "24.90"}
	program.Until(t, patience, "both orders are refunded", func() bool {
		for id, amount := range refunded {
			if s.shown(t, id).Refunded != (money{amount, "EUR"}) {
				return false
			}
		}
		return true
	})
	program.Until(t, patience, "people are asked about the refusal", func() bool {
		return strings.Contains(s.tool(t, "orderflow", "order", "timeline", "o-refused").stdout, "refund_refused")
	})
	program.Until(t, patience, "the goods of both are back", func() bool {
		history := s.tool(t, "orderflow", "events", "history", "stock", "beans").stdout
		return strings.Count(history, "StockReceived") == 3 && strings.Contains(history, `"on_hand_after":33`)
	})
	var ledger struct {
		Payments []struct {
			Refunded money `json:"refunded"`
			Refunds  []any `json:"refunds"`
		} `json:"payments"`
	}
	if status := ask(t, "GET", s.partners+"/psp/v1/payments", "", &ledger); status != 200 {
		t.Fatalf("the ledger: %d", status)
	}
	said := map[string]int{}
	for _, p := range ledger.Payments {
		said[fmt.Sprint(p.Refunded.Amount, " in ", len(p.Refunds))]++
	}
	if len(ledger.Payments) != 3 || said["34.90 in 2"] != 1 || said["24.90 in 1"] != 1 {
		t.Errorf("the provider refunded %v", said)
	}
	if o := s.shown(t, "o-refused"); o.Refunded != (money{}) {
		t.Errorf("the refused refund is shown as %+v", o)
	}
	s.interrupt(t)
}

// Money that moved at the provider without us is found, and named.
func TestThePaymentsAreReconciledAtTheShell(t *testing.T) {
	s := up(t, "--ephemeral")
	if r := s.tool(t, "orderflow", "payment", "reconcile"); r.status != 0 || !strings.Contains(r.stdout, "payments at the provider: 0, compared at ") || !strings.Contains(r.stdout, "none differs") {
		t.Errorf("of nothing: %+v", r)
	}
	s.stocked(t, "beans-1kg", 10)
	nc := connect(t, s)
	defer nc.Close()
	place(t, nc, "o-1", "card-ok")
	submit(t, s, "o-1")
	await(t, func() order { return s.shown(t, "o-1") }, "Completed")
	if r := s.tool(t, "orderflow", "payment", "reconcile"); r.status != 0 || !strings.Contains(r.stdout, "payments at the provider: 1,") {
		t.Errorf("of one order: %+v", r)
	}
	var page struct {
		Payments []struct {
			Reference string `json:"reference"`
		} `json:"payments"`
	}
	if ask(t, http.MethodGet, s.partners+"/psp/v1/payments", "", &page); len(page.Payments) != 1 {
		t.Fatalf("the provider has %+v", page)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.partners+"/psp/v1/payments/stranger/authorise",
		strings.NewReader(`{"amount":{"amount":"1.00","currency":"EUR"},"method_ref":"card-ok"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "stranger")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("authorise: %d %v", resp.StatusCode, err)
	}
	r := s.tool(t, "orderflow", "payment", "reconcile")
	if r.status != 21 || !strings.Contains(r.stdout, "stranger") || !strings.Contains(r.stdout, "unknown_here") || strings.Contains(r.stdout, page.Payments[0].Reference) {
		t.Errorf("of a stranger: %+v", r)
	}
	if last := s.tool(t, "orderflow", "payment", "reconcile", "--last"); last.stdout != r.stdout {
		t.Errorf("the last one is %+v, not %+v", last, r)
	}
}
