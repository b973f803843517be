// Package shop keeps a shop and places orders, at a gateway where nobody signs in: for tests of deployments, parts of which are
// away at times.
package shop

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 5 * time.Minute

// Gateway is the URL of one.
type Gateway string

// Ask sends a request with headers, names and values by turns, and returns the answer's status and body; status 0 when there was none.
func Ask(method, url, body string, header ...string) (int, []byte) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Timeout: 15 * time.Second}).Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, data
}

// Send sends a command once. Its path is its id, too.
func (g Gateway) Send(path, body string) (int, []byte) {
	header := []string{"Content-Type", "application/json", "Idempotency-Key", path}
	if !strings.HasSuffix(path, "/create") {
		header = append(header, "If-Match", "*") // the tests are the only ones who write
	}
	return Ask(http.MethodPost, string(g)+"/v1/"+path, body, header...)
}

// CarryOut sends a command until it is carried out, always with the same id: while a part is away nobody answers, or
// the gateway says so.
func (g Gateway) CarryOut(t *testing.T, path, body string) {
	t.Helper()
	program.Until(t, patience, path, func() bool {
		status, answer := g.Send(path, body)
		if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
		return status == http.StatusOK
	})
}

// Stock opens the shop: 1000 bags of one product.
func (g Gateway) Stock(t *testing.T) {
	t.Helper()
	g.CarryOut(t, "products/beans-1kg/list", `{"name":"Espresso beans 1 kg","price":"24.90","currency":"EUR"}`)
	g.CarryOut(t, "stock/beans-1kg/receive", `{"quantity":1000,"reference":"PO-1"}`)
}

// steps are the commands by which an order of two bags is placed.
var steps = [][2]string{
	{"create", `{"customer_id":"c-1","currency":"EUR"}`},
	{"add-item", `{"sku":"beans-1kg","quantity":2}`},
	{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
	{"set-payment-method", `{"method_ref":"card-ok"}`},
	{"submit", `{}`},
}

// Place places an order of two bags.
func (g Gateway) Place(t *testing.T, id string) {
	t.Helper()
	for _, step := range steps {
		g.CarryOut(t, "orders/"+id+"/"+step[0], step[1])
	}
}

// PlaceAtOnce places an order of two bags, each command of which is carried out when it is sent for the first time.
func (g Gateway) PlaceAtOnce(t *testing.T, id string) {
	t.Helper()
	for _, step := range steps {
		if status, answer := g.Send("orders/"+id+"/"+step[0], step[1]); status != http.StatusOK {
			t.Errorf("%s of %s: %d %s", step[0], id, status, answer)
		}
	}
}

// Completed waits until an order is.
func (g Gateway) Completed(t *testing.T, id string) {
	t.Helper()
	program.Until(t, patience, "order "+id+" is completed", func() bool {
		var o struct {
			State string `json:"state"`
		}
		status, answer := Ask(http.MethodGet, string(g)+"/v1/orders/"+id, "")
		return status == http.StatusOK && json.Unmarshal(answer, &o) == nil && o.State == "Completed"
	})
}

// Sound checks what is left of so many completed orders, and of no others: each was paid once, and the stock is less by two bags each.
func (g Gateway) Sound(t *testing.T, partners Partners, orders int) {
	t.Helper()
	amounts := partners.Captured(t)
	if len(amounts) != orders || slices.ContainsFunc(amounts, func(a string) bool { return a != "49.80" }) {
		t.Errorf("the provider captured %q, want %d times 49.80", amounts, orders)
	}
	var level struct {
		OnHand   int `json:"on_hand"`
		Reserved int `json:"reserved"`
	}
	status, answer := Ask(http.MethodGet, string(g)+"/v1/stock/beans-1kg", "")
	if status != http.StatusOK || json.Unmarshal(answer, &level) != nil || level.OnHand != 1000-2*orders || level.Reserved != 0 {
		t.Errorf("the stock after %d orders of 2 from 1000: %d %s", orders, status, answer)
	}
}
