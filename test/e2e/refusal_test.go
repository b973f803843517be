package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// Everything that can be wrong with a command, one by one: an error with a code
// and a sentence, no event, and the next command works.
func TestBadInput(t *testing.T) {
	s := up(t, "--ephemeral")
	s.stocked(t, "beans-1kg", 40)
	s.must(t, "cmd.order.o-1.create", `{"customer_id":"c-1","currency":"EUR"}`)
	s.must(t, "cmd.order.o-usd.create", `{"customer_id":"c-1","currency":"USD"}`)
	before := lastSequence(t, s)
	for _, c := range []struct {
		name, subject, body string
		header              []string
		status              int
		code, says          string
	}{
		{name: "broken JSON", subject: "cmd.order.o-1.add-item", body: `{"sku":`, status: 400, code: "bad_request", says: "not valid JSON"},
		{name: "no JSON at all", subject: "cmd.order.o-1.add-item", body: `beans`, status: 400, code: "bad_request", says: "not valid JSON"},
		{name: "a list", subject: "cmd.order.o-1.add-item", body: `[]`, status: 400, code: "bad_request", says: "must be a JSON object, not a list"},
		{name: "an unknown field", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","qty":2}`, status: 400, code: "bad_request", says: `the field "qty" is not known; allowed are "sku", "quantity"`},
		{name: "a wrong type", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":"2"}`, status: 400, code: "bad_request", says: `the field "quantity" must be a whole number, not a string`},
		{name: "a fraction", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":1.5}`, status: 400, code: "bad_request", says: "whole number"},
		{name: "a negative quantity", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":-1}`, status: 422, code: "quantity_out_of_range", says: "from 1 to 9999"},
		{name: "a quantity that is too large", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":10000}`, status: 422, code: "quantity_out_of_range", says: "from 1 to 9999"},
		{name: "an unknown sku", subject: "cmd.order.o-1.add-item", body: `{"sku":"tea","quantity":1}`, status: 422, code: "unknown_sku", says: "tea"},
		{name: "another currency", subject: "cmd.order.o-usd.add-item", body: `{"sku":"beans-1kg","quantity":1}`, status: 422, code: "currency_mismatch", says: "EUR"},
		{name: "an unknown currency", subject: "cmd.order.o-2.create", body: `{"customer_id":"c-1","currency":"XXQ"}`, status: 422, code: "unknown_currency", says: "XXQ"},
		{name: "a price with too many decimals", subject: "cmd.product.tea.list", body: `{"name":"Tea","price":"1.234","currency":"EUR"}`, status: 422, code: "price_invalid", says: "1.234"},
		{name: "received backward", subject: "cmd.stock.beans-1kg.receive", body: `{"quantity":-5,"reference":"PO-2"}`, status: 422, code: "quantity_out_of_range", says: "-5"},
		{name: "a star as the id", subject: "cmd.order.*.create", body: `{}`, status: 400, code: "bad_subject", says: "without wildcards"},
		{name: "a star as the verb", subject: "cmd.order.o-1.*", body: `{}`, status: 400, code: "bad_subject", says: "without wildcards"},
		{name: "everything", subject: "cmd.order.>", body: `{}`, status: 400, code: "bad_subject", says: "without wildcards"},
		{name: "an extra token", subject: "cmd.order.o-1.create.now", body: `{}`, status: 400, code: "bad_subject", says: "a dot inside a key is written =2E"},
		{name: "a missing token", subject: "cmd.order.o-1", body: `{}`, status: 400, code: "bad_subject", says: "cmd.order.<key>.<verb>"},
		{name: "a key that is not escaped", subject: "cmd.order.ä.create", body: `{}`, status: 400, code: "bad_key", says: `is written =C3=A4 in a subject`},
		{name: "a key of another spelling", subject: "cmd.order.=c3=a4.create", body: `{}`, status: 400, code: "bad_key", says: "upper-case hexadecimal"},
		{name: "no such verb", subject: "cmd.order.o-1.fly", body: `{}`, status: 404, code: "unknown_verb", says: "it has add-item, cancel"},
		{name: "no such order", subject: "cmd.order.o-9.submit", body: `{}`, status: 404, code: "order_not_found", says: "create"},
		{name: "a draft that is not complete", subject: "cmd.order.o-1.submit", body: `{}`, status: 422, code: "no_items", says: "add-item"},
		{name: "a body over the limit", subject: "cmd.order.o-1.add-item", body: `{"sku":"` + strings.Repeat("x", 70_000) + `"}`, status: 413, code: "body_too_large", says: "at most 65536"},
		{name: "an old version", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":1}`, header: []string{"Expected-Version:7"}, status: 409, code: "conflict", says: "is at version 1, not 7"},
		{name: "a version that is none", subject: "cmd.order.o-1.add-item", body: `{"sku":"beans-1kg","quantity":1}`, header: []string{"Expected-Version:last"}, status: 400, code: "bad_request", says: "Expected-Version"},
		{name: "a query without an id", subject: "query.orders.get", body: `{}`, status: 422, code: "field_required", says: `"order_id" is missing`},
		{name: "a query for what is not there", subject: "query.orders.get", body: `{"order_id":"o-9"}`, status: 404, code: "order_not_found", says: "o-9"},
	} {
		answer, code := s.request(t, c.subject, c.body, c.header...)
		var p problem
		if err := json.Unmarshal([]byte(answer), &p); err != nil || code != p.Code {
			t.Errorf("%s: the answer is not the problem that its header says (%s): %s", c.name, code, answer)
			continue
		}
		if p.Status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: answered %d %s %q, want %d %s …%s…", c.name, p.Status, p.Code, p.Detail, c.status, c.code, c.says)
		}
	}
	if after := lastSequence(t, s); after != before {
		t.Errorf("the refused commands stored %d messages", after-before)
	}
	// The next command works, and nothing has crashed.
	s.must(t, "cmd.order.o-1.add-item", `{"sku":"beans-1kg","quantity":2}`)
	for line := range strings.Lines(s.stderr.String()) {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, "panic") {
			t.Errorf("logged: %s", line)
		}
	}
	// What a subject cannot hold is refused by the CLI itself.
	if r := s.tool(t, "nats", "req", "cmd.order.o 1.create", "{}"); r.status == 0 || !strings.Contains(r.stderr, "subject") {
		t.Errorf("a subject with a space: %+v", r)
	}
	// A control line over the server's limit ends the sender's connection alone.
	if r := s.tool(t, "nats", "req", "--timeout", "2s", "cmd.order."+strings.Repeat("x", 5000)+".create", "{}"); r.status == 0 && !strings.Contains(r.stderr, "rror") {
		t.Errorf("a subject of 5,000 bytes: %+v", r)
	}
	s.must(t, "cmd.order.o-1.set-shipping", `{"address_ref":"addr-1","country":"DE"}`)
	s.interrupt(t)
}
