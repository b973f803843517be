package order_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Whatever is sent to an order is carried out, or refused with a code; that the service has failed is never the answer.
func FuzzCommand(f *testing.F) {
	h := &house{servicetest.New(f, events.Types, order.BucketSnapshots, order.BucketSubscriptions)}
	h.list("beans", "24.90")
	env := h.Env("order")
	env.Log = zerolog.Nop()
	h.Run(order.New(env, order.Config{}).Run)
	h.Ready(env)
	for _, seed := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR","channel":"web"}`}, {"add-item", `{"sku":"beans","quantity":2}`}, {"change-quantity", `{"line_id":"l1","quantity":0}`},
		{"remove-item", `{"line_id":"l1"}`}, {"set-shipping", `{"address_ref":"addr-1","country":"DE"}`}, {"set-payment-method", `{"method_ref":"card-ok"}`}, {"submit", `{}`},
		{"cancel", `{"reason":"why\nnot"}`}, {"request-refund", `{"lines":[{"line_id":"l1","quantity":1}],"amount":"1.00","currency":"EUR","restock":true}`}, {"add-item", `{"quantity":1e9}`},
	} {
		f.Add("o-1", seed[0], []byte(seed[1]), "0")
	}
	f.Add("=2E", "create", []byte(`{}`), "-1")
	f.Add(strings.Repeat("k", 3000), "create", []byte(`{}`), "0")
	f.Fuzz(func(t *testing.T, key, verb string, body []byte, expected string) {
		if strings.ContainsAny(key+verb, " \t\r\n\f") || key == "" || verb == "" {
			return // which no client sends
		}
		if len(key)+len(verb) > 3500 {
			return // with which a server closes the connection: its control line has 4096 bytes
		}
		msg := nats.NewMsg("cmd.order." + key + "." + verb)
		msg.Data = body
		msg.Header["Expected-Version"] = []string{strings.Map(printable, expected)}
		answer, err := h.NC.RequestMsg(msg, servicetest.Patience)
		if errors.Is(err, nats.ErrNoResponders) {
			return // it is no subject of an order's
		}
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		if err := json.Unmarshal(answer.Data, &r); err != nil {
			t.Fatalf("%s %s is answered %s: %v", msg.Subject, body, answer.Data, err)
		}
		if failed := answer.Header.Get("Nats-Service-Error"); failed != r.Code || r.Status >= 500 || failed == "" && r.Version == 0 {
			t.Fatalf("%s %q is answered %s", msg.Subject, body, answer.Data)
		}
		if _, err := esjs.UnescapeKey(key); err != nil && r.Code == "" {
			t.Errorf("%q is no key, and the command was carried out", key)
		}
	})
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}
