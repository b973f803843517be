package desk

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sight is what a customer sees of one type of event: the fields of its data that are
// named, and a sentence that is made of nothing but them.
type sight struct {
	fields []string
	says   func(data []byte) string
}

// sees is the sight of a type of event.
func sees[E events.Event](says func(E) string, fields ...string) (string, sight) {
	var e E
	return e.EventType(), sight{fields: fields, says: func(data []byte) string {
		var e E
		if err := json.Unmarshal(data, &e); err != nil {
			return "" // it was erased, or is of a later program
		}
		return says(e)
	}}
}

// always says the same of every event of a type.
func always[E events.Event](sentence string, fields ...string) (string, sight) {
	return sees(func(E) string { return sentence }, fields...)
}

// customersSee lists the types of events that a customer sees of his orders. What is not
// listed, a type or a field, he does not see: why operators decided, who they are, what
// the provider calls things, and how the shop comes to its answers.
var customersSee = sights{}.
	add(sees(func(e events.OrderCreated) string { return "The order was opened, in " + e.Currency + "." },
		"order_id", "customer_id", "currency", "channel")).
	add(sees(func(e events.ItemAdded) string {
		return fmt.Sprintf("%d × %s at %s each was added.", e.Quantity, e.Name, e.UnitPrice)
	}, "line_id", "sku", "name", "quantity", "unit_price")).
	add(sees(func(e events.ItemQuantityChanged) string {
		return fmt.Sprintf("The quantity of line %s changed from %d to %d.", e.LineID, e.Old, e.New)
	}, "line_id", "old", "new")).
	add(sees(func(e events.ItemRemoved) string { return fmt.Sprintf("%d × %s was removed.", e.Quantity, e.SKU) },
		"line_id", "sku", "quantity")).
	add(sees(func(e events.ShippingAddressSet) string {
		return fmt.Sprintf("It is to be shipped to %s in %s.", e.AddressRef, e.Country)
	}, "address_ref", "country")).
	add(sees(func(e events.PaymentMethodSet) string { return "It is to be paid with " + e.MethodRef + "." }, "method_ref")).
	add(sees(func(e events.OrderSubmitted) string {
		return fmt.Sprintf("The order was submitted, %s in all.", e.Total)
	},
		"order_id", "customer_id", "currency", "lines", "subtotal", "total", "address_ref", "country", "method_ref")).
	add(always[events.OrderReserved]("All of it is held in stock.", "reservation_id")).
	add(sees(func(e events.OrderPaymentMethodAwaited) string {
		return "The payment was declined; another payment method may be chosen until " + e.Until.UTC().Format("2006-01-02 15:04:05 UTC") + "."
	}, "until")).
	add(sees(func(e events.OrderPaymentAuthorized) string {
		return fmt.Sprintf("The payment of %s is authorised.", e.Amount)
	}, "payment_id", "amount")).
	add(always[events.OrderConfirmed]("The order is confirmed.")).
	add(always[events.OrderConfirmationRefused]("The order is not confirmed, because it is to be cancelled.")).
	add(sees(func(e events.OrderPaid) string { return fmt.Sprintf("The order is paid: %s.", e.Captured) }, "payment_id", "captured")).
	add(sees(func(e events.OrderDispatched) string {
		return "The goods are on their way" + tracked(e.Tracking) + "."
	}, "tracking")).
	add(always[events.OrderCompleted]("The order is complete.")).
	add(always[events.OrderCancellationRequested]("It was asked to cancel the order.")).
	add(always[events.OrderCancellationRefused]("It was too late to cancel the order.")).
	add(always[events.OrderCancelled]("The order is cancelled.")).
	add(sees(func(e events.OrderRejected) string {
		if e.Code == "" {
			return "The order is rejected."
		}
		return "The order is rejected: " + e.Code + "."
	}, "code", "unavailable")).
	add(always[events.OrderExpired]("The order expired: nobody acted in time.")).
	add(sees(func(e events.OrderRefundRequested) string {
		return fmt.Sprintf("A refund of %s was requested.", e.Amount)
	}, "refund_id", "payment_id", "amount", "lines")).
	add(sees(func(e events.OrderRefunded) string { return fmt.Sprintf("%s went back to you.", e.Amount) }, "refund_id", "amount")).
	add(sees(func(e events.PaymentAuthorized) string { return fmt.Sprintf("%s is held for the payment.", e.Amount) },
		"order_id", "amount", "expires_at")).
	add(always[events.PaymentDeclined]("The payment was declined.", "order_id")).
	add(sees(func(e events.PaymentCaptured) string { return fmt.Sprintf("%s was taken.", e.Amount) }, "order_id", "amount")).
	add(always[events.PaymentVoided]("Nothing of your money is held any more.", "order_id")).
	add(sees(func(e events.PaymentRefunded) string {
		return fmt.Sprintf("%s was given back, %s in all.", e.Amount, e.TotalRefunded)
	}, "order_id", "refund_id", "amount", "total_refunded")).
	add(always[events.AuthorizationExpired]("Your money is not held any longer.", "order_id")).
	add(sees(func(e events.ShipmentBooked) string {
		return fmt.Sprintf("%s will bring the goods, tracking %s.", e.Carrier, e.Tracking)
	}, "order_id", "carrier", "tracking", "eta")).
	add(sees(func(e events.ShipmentDispatched) string {
		return "The carrier has taken the goods" + tracked(e.Tracking) + "."
	}, "order_id", "tracking")).
	add(always[events.ShipmentDelivered]("The carrier delivered the goods.", "order_id")).
	add(always[events.ShipmentCancelled]("The carrier will not bring the goods.", "order_id")).
	add(always[events.ShipmentLost]("The carrier lost the goods.", "order_id"))

// sights are by the name of the type.
type sights map[string]sight

func (s sights) add(name string, of sight) sights {
	s[name] = of
	return s
}

func tracked(numbers []string) string {
	if len(numbers) == 0 {
		return ""
	}
	return ", tracking " + strings.Join(numbers, ", ")
}

// part is what a customer sees of an event's data; ok is false when he does not see
// that there was such an event.
func (s sights) part(eventType string, data []byte) (seen []byte, of sight, ok bool) {
	if of, ok = s[eventType]; !ok {
		return nil, of, false
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(data, &all); err != nil {
		return []byte("{}"), of, true
	}
	shown := make(map[string]jsontext.Value, len(of.fields))
	for _, name := range of.fields {
		if value, there := all[name]; there {
			shown[name] = value
		}
	}
	seen, err := json.Marshal(shown, json.Deterministic(true))
	if err != nil {
		return []byte("{}"), of, true
	}
	return seen, of, true
}

// CustomerEvent is what a customer sees of a stored event of his; ok is false when it is
// nothing.
func CustomerEvent(e queries.StoredEvent) (seen queries.StoredEvent, ok bool) {
	data, _, ok := customersSee.part(e.Type, e.Data)
	if !ok {
		return seen, false
	}
	return queries.StoredEvent{
		Position: e.Position, Category: e.Category, Key: e.Key, Version: e.Version, Type: e.Type, SchemaVersion: e.SchemaVersion,
		Time: e.Time, EventID: e.EventID, CausationID: e.CausationID, Data: data,
	}, true
}

// customerEntry is what a customer sees of an event on a timeline.
func customerEntry(e queries.TimelineEntry) (seen queries.TimelineEntry, ok bool) {
	data, of, ok := customersSee.part(e.Type, e.Data)
	if !ok {
		return seen, false
	}
	return queries.TimelineEntry{
		Category: e.Category, Key: e.Key, Version: e.Version, Type: e.Type, Time: e.Time, EventID: e.EventID, CausationID: e.CausationID,
		What: cmp.Or(of.says(data), e.Type), Data: data,
	}, true
}
