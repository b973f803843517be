//go:build browser

package browser

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// evil is what somebody stored who would like it to be more than text.
const evil = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>`

// order is what a customer wants, and how it goes.
type order struct {
	id, customer, sku string
	quantity          int
	address, country  string
	method            string
	draft             bool // it is not submitted
}

// openShop fills the shared system once, over HTTP: orders that ended in every way,
// two that ask for an operator, and names that are markup.
var openShop = sync.OnceValue(func() error {
	for sku, name := range map[string]string{"beans": "Espresso beans 1 kg", "grinder": "Hand grinder, steel", "cup": "Cup with saucer", "evil": evil} {
		if err := send("products", sku, "list", map[string]any{"name": name, "price": "24.90", "currency": "EUR"}); err != nil {
			return err
		}
		if err := send("stock", sku, "receive", map[string]any{"quantity": 100, "reference": "PO-1"}); err != nil {
			return err
		}
	}
	for _, o := range []order{
		{id: "o-done", customer: "c-anna", sku: "beans", quantity: 2, address: "addr-1", country: "DE", method: "card-ok"},
		{id: "o-short", customer: "c-ben", sku: "grinder", quantity: 999, address: "addr-1", country: "AT", method: "card-ok"},
		{id: "o-declined", customer: "c-ben", sku: "beans", quantity: 1, address: "addr-1", country: "AT", method: "card-declined"},
		{id: "o-soft", customer: "c-cleo", sku: "cup", quantity: 1, address: "addr-1", country: "FR", method: "card-soft"},
		{id: "o-open", customer: "c-cleo", sku: "cup", quantity: 1, address: "addr-manual", country: "FR", method: "card-ok"},
		{id: "o-draft", customer: "c-cleo", sku: "cup", quantity: 1, address: "addr-1", country: "FR", method: "card-ok", draft: true},
		stuck("o-stuck-1"), stuck("o-stuck-2"),
		{id: evil, customer: evil, sku: "evil", quantity: 1, address: evil, country: "DE", method: "card-ok"},
	} {
		if err := o.place(); err != nil {
			return fmt.Errorf("order %s: %w", o.id, err)
		}
	}
	return nil
})

// stuck is an order that asks for an operator: its money was not captured, and the
// carrier does not give back the goods.
func stuck(id string) order {
	return order{id: id, customer: "c-dora", sku: "cup", quantity: 3, address: "addr-cancel-refused", country: "DE", method: "card-capture-refused"}
}

func (o order) place() error { return o.placeAt(api{url: site}) }

func (o order) placeAt(a api) error {
	type body = map[string]any
	for _, step := range []struct {
		verb string
		body body
	}{
		{"create", body{"customer_id": o.customer, "currency": "EUR", "channel": "test"}},
		{"add-item", body{"sku": o.sku, "quantity": o.quantity}},
		{"set-shipping", body{"address_ref": o.address, "country": o.country}},
		{"set-payment-method", body{"method_ref": o.method}},
		{"submit", body{}},
	} {
		if step.verb == "submit" && o.draft {
			return nil
		}
		if err := a.send("orders", o.id, step.verb, step.body); err != nil {
			return err
		}
	}
	return nil
}

// send sends a command over the HTTP API.
func send(what, key, verb string, body any) error { return api{url: site}.send(what, key, verb, body) }

// api is the HTTP API of a system, as who has a token.
type api struct{ url, token string }

func (a api) send(what, key, verb string, body any) error {
	req, err := http.NewRequest("POST", a.url+"/v1/"+what+"/"+url.PathEscape(key)+"/"+verb, strings.NewReader(asJSON(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if verb == "set-shipping" || verb == "set-payment-method" {
		req.Header.Set("If-Match", "*")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s %w", verb, what, resp.StatusCode, answer, err)
	}
	return nil
}

// shop is the shared system with everything in it settled as far as it goes by itself.
func shop(t *testing.T) {
	t.Helper()
	if err := openShop(); err != nil {
		t.Fatal(err)
	}
}
