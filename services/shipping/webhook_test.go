package shipping_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
)

// Webhooks come in any order: a parcel that has arrived had left.
func TestWebhooksThatOvertakeEachOtherTellTheSame(t *testing.T) {
	w := newWorld(t)
	w.Check(w.carrier.Inject(
		partners.Fault{Partner: "webhook", Op: "shipment.dispatched", Kind: partners.KindDelay, DelayMS: 300, Next: 1},
		partners.Fault{Partner: "webhook", Op: "shipment.delivered", Kind: partners.KindDuplicate, Next: 1},
	))
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	w.request(events.DispatchRequested{Request: req("d1"), ShipmentID: "s"})
	w.Until("the carrier has taken the parcel", func() bool {
		s, _ := w.carrier.Shipment("s")
		return s.Status == "dispatched"
	})
	w.deliver()
	w.find("the delivery", func(e events.Event) bool { _, ok := e.(events.ShipmentDelivered); return ok })
	// The request is answered by what comes last.
	w.request(events.DispatchRequested{Request: req("d2"), ShipmentID: "s"})
	servicetest.As[events.ShipmentDispatched](t, w.await("d2"))
	history := strings.Join(servicetest.Types(w.History(events.CategoryShipment, "s")), " ")
	if !strings.HasPrefix(history, "ShipmentBooked ShipmentDispatched ShipmentDelivered") || strings.Count(history, "Delivered") != 1 {
		t.Errorf("the history is %s", history)
	}
}

func TestWebhooksThatAreRefusedChangeNothing(t *testing.T) {
	w := newWorld(t)
	servicetest.As[events.ShipmentBooked](t, w.book("b1", "DE", "addr-1"))
	before := len(w.History(events.CategoryShipment, "s"))
	lost := `{"id":"e","type":"shipment.lost","shipment":{"reference":"s","status":"lost"}}`
	stranger := strings.Replace(lost, `"s"`, `"q"`, 1)
	endless := strings.Replace(lost, `"e"`, `"`+strings.Repeat("e", 201)+`"`, 1)
	now := time.Now()
	for name, c := range map[string]struct {
		body, signature string
		status          int
	}{
		"no signature":         {lost, "", http.StatusUnauthorized},
		"another secret":       {lost, partners.Sign([]byte("guess"), []byte(lost), now), http.StatusUnauthorized},
		"another body":         {lost + " ", partners.Sign(secret, []byte(lost), now), http.StatusUnauthorized},
		"too old":              {lost, partners.Sign(secret, []byte(lost), now.Add(-6*time.Minute)), http.StatusUnauthorized},
		"from the future":      {lost, partners.Sign(secret, []byte(lost), now.Add(6*time.Minute)), http.StatusUnauthorized},
		"an unknown shipment":  {stranger, partners.Sign(secret, []byte(stranger), now), http.StatusNotFound},
		"no JSON":              {"{", partners.Sign(secret, []byte("{"), now), http.StatusBadRequest},
		"an id without end":    {endless, partners.Sign(secret, []byte(endless), now), http.StatusBadRequest},
		"no reference":         {"{}", partners.Sign(secret, []byte("{}"), now), http.StatusBadRequest},
		"a cost that is wrong": {`{"id":"e","shipment":{"reference":"s","cost":{"amount":"1.001","currency":"EUR"}}}`, partners.Sign(secret, []byte(`{"id":"e","shipment":{"reference":"s","cost":{"amount":"1.001","currency":"EUR"}}}`), now), http.StatusBadRequest},
	} {
		if status := servicetest.Post(t, w.hooks, c.body, "Webhook-Signature", c.signature); status != c.status {
			t.Errorf("%s: answered %d, not %d", name, status, c.status)
		}
	}
	if after := len(w.History(events.CategoryShipment, "s")); after != before {
		t.Errorf("refused webhooks stored %d events", after-before)
	}
}
