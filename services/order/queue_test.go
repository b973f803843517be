package order_test

import (
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
)

// Commands that were queued while the service was away are carried out when it is
// back, with one effect for each id, also when that effect was there before.
func TestQueuedCommandsHaveOneEffect(t *testing.T) {
	h := newHouse(t)
	h.list("beans", "9.90")
	stop := h.run()
	h.request("cmd.order.o.create", `{"customer_id":"c-1","currency":"EUR"}`, service.HeaderCommandID, "create-1")
	stop() // before the queued command, which it had carried out, left the queue

	client := service.Client{Conn: h.NC}
	queue := func(verb, body, id string, expected ...uint64) {
		t.Helper()
		cmd := service.Command{Category: "order", Key: "o", Verb: verb, Body: []byte(body), ID: id}
		if len(expected) > 0 {
			cmd.ExpectedVersion = &expected[0]
		}
		if _, err := client.Enqueue(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	queue("create", `{"customer_id":"c-1","currency":"EUR"}`, "create-1")
	queue("add-item", `{"sku":"beans","quantity":2}`, "item-1")
	queue("add-item", `{"sku":"beans","quantity":3}`, "create-1") // an id of another command
	queue("set-shipping", `{"address_ref":"a","country":"DE"}`, "shipping-1", 7)
	queue("add-item", `{"sku":"nothing","quantity":1}`, "item-2")
	queue("change-quantity", `{"line_id":"l1","quantity":5}`, "")
	h.run()

	var status service.QueueStatus
	h.Until("the queue is empty", func() bool {
		var err error
		status, err = service.ReadQueue(t.Context(), h.NC)
		h.Check(err)
		return len(status.Waiting) == 0
	})
	if got, want := h.history("o"), []string{"OrderCreated", "ItemAdded", "ItemQuantityChanged"}; !slices.Equal(got, want) {
		t.Errorf("the order has %v, not %v", got, want)
	}
	var codes []string
	for _, p := range status.Parked {
		codes = append(codes, p.Code)
	}
	if want := []string{"command_id_reused", "conflict", "unknown_sku"}; !slices.Equal(codes, want) {
		t.Errorf("parked are %v, not %v", codes, want)
	}
}
