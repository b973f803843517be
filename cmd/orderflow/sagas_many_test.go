package main

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// A decision about many is one about each as it was listed: one that has moved on
// since is refused, whatever it asks for now.
func TestASagaThatMovedOnIsNotDecidedAbout(t *testing.T) {
	p := up(t, t.TempDir())
	p.command(t, "product", "beans", "list", map[string]any{"name": "Beans", "price": "24.90", "currency": "EUR"})
	p.command(t, "stock", "beans", "receive", map[string]any{"quantity": 1, "reference": "PO-1"})
	create(t, p.client, "o-1")
	p.command(t, "order", "o-1", "add-item", map[string]any{"sku": "beans", "quantity": 1})
	p.command(t, "order", "o-1", "set-shipping", map[string]any{"address_ref": "addr-1", "country": "DE"})
	p.command(t, "order", "o-1", "set-payment-method", map[string]any{"method_ref": "card-ok"})
	p.command(t, "order", "o-1", "submit", map[string]any{})
	awaitState(t, p.client, "o-1", queries.Completed)

	var listed queries.Saga
	for deadline := time.Now().Add(patience); listed.EndedAt.IsZero(); { // the view follows
		err := p.client.query(t.Context(), queries.SagaGet.Subject, queries.SagaRequest{OrderID: "o-1"}, &listed)
		if time.Now().After(deadline) {
			t.Fatalf("the saga is %+v, %v", listed, err)
		}
	}
	m := many{verb: fulfilment.Retry}
	for code, version := range map[string]uint64{"wrong_state": listed.Version, "conflict": listed.Version - 1} {
		listed.Version = version
		o, err := m.send(t.Context(), p.client, time.Minute, listed, "the provider is back")
		if err == nil || o.Problem == nil || o.Problem.Code != code {
			t.Errorf("listed at version %d it is %+v, %v; want %s", version, o.Problem, err, code)
		}
	}
	p.stop(t)
}
