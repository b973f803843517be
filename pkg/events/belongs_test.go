package events_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/events"
)

func TestWhoseAnEventIs(t *testing.T) {
	for _, c := range []struct{ category, key, data, order string }{
		{events.CategoryOrder, "o-1", `{}`, "o-1"},
		{events.CategoryFulfilment, "o-1", `{"order_id":"other"}`, "o-1"},
		{events.CategoryReservation, "o-1", `{}`, "o-1"},
		{events.CategoryPayment, "p-1", `{"order_id":"o-1"}`, "o-1"},
		{events.CategoryShipment, "s-1", `{"order_id":"o-1"}`, "o-1"},
		{events.CategoryRefund, "r-1", `{"order_id":"o-1"}`, "o-1"},
		{events.CategoryRefund, "r-1", `{}`, ""},
		{events.CategoryPayment, "p-1", `broken`, ""},
		{events.CategoryStock, "beans", `{"order_id":"o-1"}`, ""},
		{events.CategoryProduct, "beans", `{}`, ""},
	} {
		if got := events.OrderOf(c.category, c.key, []byte(c.data)); got != c.order {
			t.Errorf("%s/%s %s belongs to %q, want %q", c.category, c.key, c.data, got, c.order)
		}
	}
}
