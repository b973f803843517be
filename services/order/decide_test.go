package order

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// A scenario: given these events, when this is commanded, then these events
// follow, none, or a refusal with this code.
type scenario struct {
	name  string
	given []events.Event
	when  Command
	then  []events.Event
	code  string
}

func (sc scenario) run(t *testing.T) {
	t.Helper()
	decided, err := Decide(fold(sc.given...), sc.when)
	if sc.code != "" {
		var r *esjs.Rejection
		if !errors.As(err, &r) || r.Code != sc.code {
			t.Fatalf("got %v, %v; want a refusal with code %q", decided, err, sc.code)
		}
		if r.Status < 400 || r.Status > 499 || !strings.Contains(r.Message, " ") {
			t.Errorf("the refusal %+v has no fitting status or sentence", r)
		}
		return
	}
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if !reflect.DeepEqual(decided, sc.then) {
		t.Errorf("got  %#v\nwant %#v", decided, sc.then)
	}
}

func fold(history ...events.Event) State {
	var s State
	for _, e := range history {
		s = Apply(s, e)
	}
	return s
}

func eur(amount string) events.Money { return events.MustMoney(amount, "EUR") }

var (
	beans  = Product{Name: "Beans", Price: eur("24.90"), Revision: "1-7", Listed: true}
	filter = Product{Name: "Filter", Price: eur("3.00"), Revision: "4-9", Listed: true}

	created  = events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}
	added    = events.ItemAdded{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 2, UnitPrice: eur("24.90"), ProductRevision: "1-7"}
	addedToo = events.ItemAdded{LineID: "l2", SKU: "filter", Name: "Filter", Quantity: 1, UnitPrice: eur("3.00"), ProductRevision: "4-9"}
	shipping = events.ShippingAddressSet{AddressRef: "addr-1", Country: "DE"}
	method   = events.PaymentMethodSet{MethodRef: "card-ok"}

	submitted = events.OrderSubmitted{
		OrderID: "o-1", CustomerID: "c-1", Currency: "EUR",
		Lines: []events.OrderLine{
			{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 2, UnitPrice: eur("24.90")},
			{LineID: "l2", SKU: "filter", Name: "Filter", Quantity: 1, UnitPrice: eur("3.00")},
		},
		Subtotal: eur("52.80"), Total: eur("52.80"), AddressRef: "addr-1", Country: "DE", MethodRef: "card-ok", PriceVersion: "4-9",
	}
	reserved   = events.OrderReserved{ReservationID: "o-1"}
	awaited    = events.OrderPaymentMethodAwaited{Until: noon}
	authorized = events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: eur("52.80")}
	confirmed  = events.OrderConfirmed{RequestID: "confirm-1"}
	paid       = events.OrderPaid{PaymentID: "p-1", Captured: eur("52.80")}
	dispatched = events.OrderDispatched{Tracking: []string{"T1"}}
	completed  = events.OrderCompleted{RequestID: "complete-1"}
	cancelling = events.OrderCancellationRequested{Reason: "changed my mind", By: "c-1"}
	cancelled  = events.OrderCancelled{RequestID: "end-1", Reason: "changed my mind", By: "c-1"}
	rejected   = events.OrderRejected{RequestID: "end-1", Code: "declined"}
	expired    = events.OrderExpired{RequestID: "end-1"}
)

// histories of an order in every state.
var (
	toDraft      = []events.Event{created}
	toFull       = []events.Event{created, added, addedToo, shipping, method}
	toSubmitted  = then(toFull, submitted)
	toReserved   = then(toSubmitted, reserved)
	toAuthorized = then(toReserved, authorized)
	toConfirmed  = then(toAuthorized, confirmed)
	toPaid       = then(toConfirmed, paid)
	toDispatched = then(toPaid, dispatched)
	toCompleted  = then(toDispatched, completed)
	toCancelled  = then(toSubmitted, cancelling, cancelled)
	toRejected   = then(toReserved, rejected)
	toExpired    = then(toReserved, awaited, expired)
)

func then(history []events.Event, more ...events.Event) []events.Event {
	return append(append([]events.Event(nil), history...), more...)
}

func only(e ...events.Event) []events.Event { return e }

func TestDrafting(t *testing.T) {
	full := []events.Event{created}
	for i := range MaxLines {
		full = append(full, events.ItemAdded{LineID: fmt.Sprintf("l%d", i+1), SKU: fmt.Sprint(i), Quantity: 1, UnitPrice: eur("1.00")})
	}
	huge := events.ItemAdded{LineID: "l1", SKU: "huge", Quantity: 1, UnitPrice: eur("90000000000000000.00")}
	restless := slices.Clone(toFull)
	for n := len(restless) - 1; n < MaxChanges; n++ { // all but the creation change it
		restless = append(restless, events.ItemQuantityChanged{LineID: "l1", Old: 2 - n%2, New: 1 + n%2})
	}
	long := strings.Repeat("x", MaxText+1)
	changedPrice := beans
	changedPrice.Price = eur("25.90")
	free, yen, delisted := beans, beans, beans
	free.Price, yen.Price, delisted.Listed = eur("0.00"), events.MustMoney("500", "JPY"), false

	for _, sc := range []scenario{
		{name: "create", when: Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}, then: only(created)},
		{name: "create twice", given: toDraft, when: Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}, code: "order_exists"},
		{name: "create an order that has ended", given: toRejected, when: Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}, code: "order_exists"},
		{name: "create in an unknown currency", when: Create{OrderID: "o-1", CustomerID: "c-1", Currency: "EURO"}, code: "unknown_currency"},
		{name: "create with a NUL", when: Create{OrderID: "o\x001", CustomerID: "c-1", Currency: "EUR"}, code: "field_invalid"},
		{name: "create under a blank id", when: Create{OrderID: " ", CustomerID: "c-1", Currency: "EUR"}, code: "field_required"},
		{name: "create under a long id", when: Create{OrderID: long, CustomerID: "c-1", Currency: "EUR"}, code: "field_too_long"},
		{name: "create without a customer", when: Create{OrderID: "o-1", Currency: "EUR"}, code: "field_required"},
		{name: "create for a customer with a long id", when: Create{OrderID: "o-1", CustomerID: long, Currency: "EUR"}, code: "field_too_long"},
		{name: "create for a customer with a line break", when: Create{OrderID: "o-1", CustomerID: "c\n1", Currency: "EUR"}, code: "field_invalid"},

		{name: "add an item", given: toDraft, when: AddItem{SKU: "beans", Quantity: 2, Product: beans}, then: only(added)},
		{name: "add another item", given: then(toDraft, added), when: AddItem{SKU: "filter", Quantity: 1, Product: filter}, then: only(addedToo)},
		{name: "a removed line's id is not used again", given: then(toDraft, added, events.ItemRemoved{LineID: "l1", SKU: "beans", Quantity: 2}), when: AddItem{SKU: "filter", Quantity: 1, Product: filter}, then: only(addedToo)},
		{name: "add the same item again", given: then(toDraft, added), when: AddItem{SKU: "beans", Quantity: 3, Product: beans}, then: only(events.ItemQuantityChanged{LineID: "l1", Old: 2, New: 5})},
		{name: "add the same item too often", given: then(toDraft, added), when: AddItem{SKU: "beans", Quantity: MaxQuantity - 1, Product: beans}, code: "quantity_out_of_range"},
		{name: "add the same item at another price", given: then(toDraft, added), when: AddItem{SKU: "beans", Quantity: 1, Product: changedPrice}, code: "price_changed"},
		{name: "add none", given: toDraft, when: AddItem{SKU: "beans", Product: beans}, code: "quantity_out_of_range"},
		{name: "add less than none", given: toDraft, when: AddItem{SKU: "beans", Quantity: -1, Product: beans}, code: "quantity_out_of_range"},
		{name: "add as many as allowed", given: toDraft, when: AddItem{SKU: "filter", Quantity: MaxQuantity, Product: filter}, then: only(events.ItemAdded{LineID: "l1", SKU: "filter", Name: "Filter", Quantity: MaxQuantity, UnitPrice: eur("3.00"), ProductRevision: "4-9"})},
		{name: "add more than allowed", given: toDraft, when: AddItem{SKU: "filter", Quantity: MaxQuantity + 1, Product: filter}, code: "quantity_out_of_range"},
		{name: "add an unknown sku", given: toDraft, when: AddItem{SKU: "beans", Quantity: 1}, code: "unknown_sku"},
		{name: "add no sku", given: toDraft, when: AddItem{Quantity: 1}, code: "field_required"},
		{name: "add a delisted sku", given: toDraft, when: AddItem{SKU: "beans", Quantity: 1, Product: delisted}, code: "delisted_sku"},
		{name: "add in another currency", given: toDraft, when: AddItem{SKU: "beans", Quantity: 1, Product: yen}, code: "currency_mismatch"},
		{name: "add something free", given: toDraft, when: AddItem{SKU: "beans", Quantity: 1, Product: free}, code: "price_not_positive"},
		{name: "add one line too many", given: full, when: AddItem{SKU: "beans", Quantity: 1, Product: beans}, code: "too_many_lines"},
		{name: "a full order's lines still grow", given: full, when: AddItem{SKU: "3", Quantity: 1, Product: Product{Price: eur("1.00"), Listed: true}}, then: only(events.ItemQuantityChanged{LineID: "l4", Old: 1, New: 2})},
		{name: "add beyond what money can count", given: then(toDraft, huge), when: ChangeQuantity{LineID: "l1", Quantity: 2}, code: "total_out_of_range"},
		{name: "add to a submitted order", given: toSubmitted, when: AddItem{SKU: "beans", Quantity: 1, Product: beans}, code: "not_draft"},
		{name: "add to no order", when: AddItem{SKU: "beans", Quantity: 1, Product: beans}, code: "order_not_found"},

		{name: "change a quantity", given: toFull, when: ChangeQuantity{LineID: "l1", Quantity: 7}, then: only(events.ItemQuantityChanged{LineID: "l1", Old: 2, New: 7})},
		{name: "change a quantity to what it is", given: toFull, when: ChangeQuantity{LineID: "l1", Quantity: 2}},
		{name: "change a quantity to none", given: toFull, when: ChangeQuantity{LineID: "l1"}, then: only(events.ItemRemoved{LineID: "l1", SKU: "beans", Quantity: 2})},
		{name: "change a quantity below none", given: toFull, when: ChangeQuantity{LineID: "l1", Quantity: -1}, code: "quantity_out_of_range"},
		{name: "change a quantity beyond the limit", given: toFull, when: ChangeQuantity{LineID: "l1", Quantity: MaxQuantity + 1}, code: "quantity_out_of_range"},
		{name: "change an unknown line", given: toFull, when: ChangeQuantity{LineID: "l3", Quantity: 1}, code: "line_not_found"},
		{name: "change no line", given: toFull, when: ChangeQuantity{Quantity: 1}, code: "field_required"},
		{name: "change a submitted line", given: toSubmitted, when: ChangeQuantity{LineID: "l1", Quantity: 1}, code: "not_draft"},

		{name: "remove a line", given: toFull, when: RemoveItem{LineID: "l2"}, then: only(events.ItemRemoved{LineID: "l2", SKU: "filter", Quantity: 1})},
		{name: "remove a line twice", given: then(toFull, events.ItemRemoved{LineID: "l2", SKU: "filter", Quantity: 1}), when: RemoveItem{LineID: "l2"}, code: "line_not_found"},
		{name: "remove from an empty draft", given: toDraft, when: RemoveItem{LineID: "l1"}, code: "line_not_found"},
		{name: "remove a submitted line", given: toSubmitted, when: RemoveItem{LineID: "l1"}, code: "not_draft"},

		{name: "set shipping", given: toDraft, when: SetShipping{AddressRef: "addr-1", Country: "DE"}, then: only(shipping)},
		{name: "set the same shipping", given: toFull, when: SetShipping{AddressRef: "addr-1", Country: "DE"}},
		{name: "set other shipping", given: toFull, when: SetShipping{AddressRef: "addr-1", Country: "AT"}, then: only(events.ShippingAddressSet{AddressRef: "addr-1", Country: "AT"})},
		{name: "ship to no country", given: toDraft, when: SetShipping{AddressRef: "addr-1", Country: "Germany"}, code: "country_invalid"},
		{name: "ship to a small country", given: toDraft, when: SetShipping{AddressRef: "addr-1", Country: "de"}, code: "country_invalid"},
		{name: "ship to no address", given: toDraft, when: SetShipping{Country: "DE"}, code: "field_required"},
		{name: "ship a submitted order elsewhere", given: toSubmitted, when: SetShipping{AddressRef: "addr-2", Country: "DE"}, code: "not_draft"},

		{name: "set a payment method", given: toDraft, when: SetPaymentMethod{MethodRef: "card-ok"}, then: only(method)},
		{name: "set the same payment method", given: toFull, when: SetPaymentMethod{MethodRef: "card-ok"}},
		{name: "set a blank payment method", given: toDraft, when: SetPaymentMethod{MethodRef: " "}, code: "field_required"},
		{name: "set no payment method", given: toDraft, when: SetPaymentMethod{}, code: "field_required"},
		{name: "set the number of a card", given: toDraft, when: SetPaymentMethod{MethodRef: "4111111111111111"}, code: "card_number_refused"},
		{name: "set the number of a card as it is printed", given: toDraft, when: SetPaymentMethod{MethodRef: "3782 822463 10005"}, code: "card_number_refused"},
		{name: "set a number that is no card's", given: toDraft, when: SetPaymentMethod{MethodRef: "4111-1111-1111-1112"}, then: only(events.PaymentMethodSet{MethodRef: "4111-1111-1111-1112"})},
		{name: "set a payment method after submitting", given: toSubmitted, when: SetPaymentMethod{MethodRef: "card-2"}, code: "not_draft"},
		{name: "set a payment method that is not awaited", given: toReserved, when: SetPaymentMethod{MethodRef: "card-2"}, code: "not_draft"},
		{name: "set the awaited payment method", given: then(toReserved, awaited), when: SetPaymentMethod{MethodRef: "card-2"}, then: only(events.PaymentMethodSet{MethodRef: "card-2"})},
		{name: "try the same payment method again", given: then(toReserved, awaited), when: SetPaymentMethod{MethodRef: "card-ok"}, then: only(method)},
		{name: "set the awaited payment method twice", given: then(toReserved, awaited, method), when: SetPaymentMethod{MethodRef: "card-2"}, code: "not_draft"},

		{name: "change a draft once more", given: restless[:MaxChanges], when: RemoveItem{LineID: "l2"}, then: only(events.ItemRemoved{LineID: "l2", SKU: "filter", Quantity: 1})},
		{name: "add to a draft that was changed too often", given: restless, when: AddItem{SKU: "beans", Quantity: 1, Product: beans}, code: "too_many_changes"},
		{name: "change a quantity too often", given: restless, when: ChangeQuantity{LineID: "l1", Quantity: 7}, code: "too_many_changes"},
		{name: "remove a line too often", given: restless, when: RemoveItem{LineID: "l1"}, code: "too_many_changes"},
		{name: "set shipping too often", given: restless, when: SetShipping{AddressRef: "addr-2", Country: "DE"}, code: "too_many_changes"},
		{name: "set a payment method too often", given: restless, when: SetPaymentMethod{MethodRef: "card-2"}, code: "too_many_changes"},
		{name: "cancel a draft that was changed too often", given: restless, when: Cancel{}, then: only(events.OrderCancelled{})},

		{name: "submit", given: toFull, when: Submit{}, then: only(submitted)},
		{name: "submit without items", given: then(toDraft, shipping, method), when: Submit{}, code: "no_items"},
		{name: "submit without shipping", given: then(toDraft, added, method), when: Submit{}, code: "shipping_missing"},
		{name: "submit without a payment method", given: then(toDraft, added, shipping), when: Submit{}, code: "payment_method_missing"},
		{name: "submit twice", given: toSubmitted, when: Submit{}, code: "not_draft"},
		{name: "submit no order", when: Submit{}, code: "order_not_found"},
	} {
		t.Run(sc.name, sc.run)
	}
}

func TestCancelling(t *testing.T) {
	cancel := Cancel{Reason: "changed my mind", By: "c-1"}
	for _, sc := range []scenario{
		{name: "no order", when: cancel, code: "order_not_found"},
		{name: "a draft", given: toFull, when: cancel, then: only(events.OrderCancelled{Reason: "changed my mind", By: "c-1"})},
		{name: "a submitted order", given: toSubmitted, when: cancel, then: only(cancelling)},
		{name: "a reserved order", given: toReserved, when: cancel, then: only(cancelling)},
		{name: "an order that awaits a payment method", given: then(toReserved, awaited), when: cancel, then: only(cancelling)},
		{name: "an authorized order", given: toAuthorized, when: cancel, then: only(cancelling)},
		{name: "a confirmed order", given: toConfirmed, when: cancel, then: only(cancelling)},
		{name: "while a cancellation is open", given: then(toSubmitted, cancelling), when: cancel},
		{name: "a paid order", given: toPaid, when: cancel, code: "too_late"},
		{name: "a dispatched order", given: toDispatched, when: cancel, code: "too_late"},
		{name: "a completed order", given: toCompleted, when: cancel, code: "too_late"},
		{name: "a cancelled order", given: toCancelled, when: cancel},
		{name: "a rejected order", given: toRejected, when: cancel, code: "already_ended"},
		{name: "an expired order", given: toExpired, when: cancel, code: "already_ended"},
		{name: "for a long reason", given: toFull, when: Cancel{Reason: strings.Repeat("x", MaxText+1)}, code: "field_too_long"},
	} {
		t.Run(sc.name, sc.run)
	}
}

func TestRequestingARefund(t *testing.T) {
	line := func(id string, n int) []events.RefundLine { return []events.RefundLine{{LineID: id, Quantity: n}} }
	refund := func(id, amount string, lines []events.RefundLine) events.OrderRefundRequested {
		return events.OrderRefundRequested{RefundID: id, PaymentID: "p-1", Amount: eur(amount), Lines: lines}
	}
	once := then(toCompleted, refund("first", "24.90", line("l1", 1)))
	firstID := refundID(t, toCompleted)
	restocking := refund(firstID, "24.90", line("l1", 1))
	restocking.Restock = []events.StockLine{{SKU: "beans", Quantity: 1}}
	secondID := refundID(t, once)
	if firstID == secondID || firstID != refundID(t, toPaid) {
		t.Fatalf("refund ids %s and %s must follow from the order and the refund's number alone", firstID, secondID)
	}
	for _, sc := range []scenario{
		{name: "of no order", when: RequestRefund{Amount: "1"}, code: "order_not_found"},
		{name: "of a draft", given: toFull, when: RequestRefund{Amount: "1"}, code: "not_paid"},
		{name: "of a confirmed order", given: toConfirmed, when: RequestRefund{Amount: "1"}, code: "not_paid"},
		{name: "of a rejected order", given: toRejected, when: RequestRefund{Amount: "1"}, code: "not_paid"},
		{name: "of an amount", given: toPaid, when: RequestRefund{Amount: "1.5"}, then: only(refund(firstID, "1.50", nil))},
		{name: "of everything", given: toDispatched, when: RequestRefund{Amount: "52.80", Currency: "EUR"}, then: only(refund(firstID, "52.80", nil))},
		{name: "of a line", given: toCompleted, when: RequestRefund{Lines: line("l1", 2)}, then: only(refund(firstID, "49.80", line("l1", 2)))},
		{name: "a second one", given: once, when: RequestRefund{Lines: line("l1", 1)}, then: only(refund(secondID, "24.90", line("l1", 1)))},
		{name: "of more than was captured", given: toPaid, when: RequestRefund{Amount: "52.81"}, code: "refund_exceeds_captured"},
		{name: "of more than is left", given: once, when: RequestRefund{Amount: "27.91"}, code: "refund_exceeds_captured"},
		{name: "of all that is left", given: once, when: RequestRefund{Amount: "27.90"}, then: only(refund(secondID, "27.90", nil))},
		{name: "of more than the line has left", given: once, when: RequestRefund{Lines: line("l1", 2)}, code: "quantity_out_of_range"},
		{name: "of none of a line", given: toPaid, when: RequestRefund{Lines: line("l1", 0)}, code: "quantity_out_of_range"},
		{name: "of an unknown line", given: toPaid, when: RequestRefund{Lines: line("l9", 1)}, code: "line_not_found"},
		{name: "of a line twice", given: toPaid, when: RequestRefund{Lines: append(line("l1", 1), line("l1", 1)...)}, code: "field_invalid"},
		{name: "of nothing", given: toPaid, when: RequestRefund{}, code: "field_required"},
		{name: "of a line and an amount", given: toPaid, when: RequestRefund{Lines: line("l1", 1), Amount: "1"}, code: "field_required"},
		{name: "of zero", given: toPaid, when: RequestRefund{Amount: "0"}, code: "refund_not_positive"},
		{name: "of less than zero", given: toPaid, when: RequestRefund{Amount: "-1"}, code: "refund_not_positive"},
		{name: "of no number", given: toPaid, when: RequestRefund{Amount: "all"}, code: "amount_invalid"},
		{name: "of too many decimals", given: toPaid, when: RequestRefund{Amount: "1.001"}, code: "amount_invalid"},
		{name: "of more than any amount", given: toPaid, when: RequestRefund{Amount: "92233720368547758.08"}, code: "amount_invalid"},
		{name: "in another currency", given: toPaid, when: RequestRefund{Amount: "1", Currency: "USD"}, code: "currency_mismatch"},
		{name: "with its goods", given: toPaid, when: RequestRefund{Lines: line("l1", 1), Restock: true}, then: only(restocking)},
		{name: "of an amount with goods", given: toPaid, when: RequestRefund{Amount: "1", Restock: true}, code: "field_required"},
	} {
		t.Run(sc.name, sc.run)
	}
}

func refundID(t *testing.T, history []events.Event) string {
	t.Helper()
	decided, err := Decide(fold(history...), RequestRefund{Amount: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return decided[0].(events.OrderRefundRequested).RefundID
}
