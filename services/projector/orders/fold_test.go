package orders

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// history folds events that happened a minute apart.
func history(all ...events.Event) (o queries.Order) {
	for i, e := range all {
		o = Fold(o, esjs.Recorded[events.Event]{Event: e, Record: esjs.Record{
			Stream: esjs.StreamID{Category: events.CategoryOrder, Key: "o-1"}, Version: uint64(i + 1), Time: noon.Add(time.Duration(i) * time.Minute),
		}})
	}
	return o
}

func euros(amount string) events.Money { return events.MustMoney(amount, "EUR") }

func TestADraftShowsItsLinesAndTheirSum(t *testing.T) {
	o := history(
		events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR", Channel: "web"},
		events.ItemAdded{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 2, UnitPrice: euros("24.90")},
		events.ItemAdded{LineID: "l2", SKU: "cup", Name: "Cup", Quantity: 1, UnitPrice: euros("7.50")},
		events.ItemAdded{LineID: "l3", SKU: "spoon", Name: "Spoon", Quantity: 6, UnitPrice: euros("1.00")},
		events.ItemQuantityChanged{LineID: "l1", Old: 2, New: 3},
		events.ItemRemoved{LineID: "l3", SKU: "spoon", Quantity: 6},
		events.ShippingAddressSet{AddressRef: "addr-1", Country: "DE"},
		events.PaymentMethodSet{MethodRef: "card-ok"},
	)
	want := queries.Order{
		OrderID: "o-1", CustomerID: "c-1", State: queries.Draft, Version: 8, Currency: "EUR", Channel: "web",
		Lines: []queries.OrderLine{
			{LineID: "l1", SKU: "beans", Name: "Beans", Quantity: 3, UnitPrice: euros("24.90"), Amount: euros("74.70")},
			{LineID: "l2", SKU: "cup", Name: "Cup", Quantity: 1, UnitPrice: euros("7.50"), Amount: euros("7.50")},
		},
		Total:    euros("82.20"),
		Shipping: queries.Shipping{AddressRef: "addr-1", Country: "DE"}, PaymentMethod: "card-ok",
		CreatedAt: noon, UpdatedAt: noon.Add(7 * time.Minute),
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got\n%+v, want\n%+v", o, want)
	}
}

func TestEveryEventLeadsToTheStateThatTheCustomerSees(t *testing.T) {
	draft := []events.Event{events.OrderCreated{OrderID: "o-1", CustomerID: "c-1", Currency: "EUR"}}
	submitted := append(draft, events.OrderSubmitted{Total: euros("5.00")})
	reserved := append(submitted, events.OrderReserved{ReservationID: "res-1"})
	paid := append(reserved, events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: euros("5.00")},
		events.OrderConfirmed{}, events.OrderPaid{PaymentID: "p-1", Captured: euros("5.00")})
	for _, test := range []struct {
		name  string
		after []events.Event
		event events.Event
		want  queries.OrderState
		and   func(queries.Order) bool
	}{
		{"created", nil, draft[0], queries.Draft, func(o queries.Order) bool { return o.CreatedAt == noon }},
		{"cancelled draft", draft, events.OrderCancelled{Reason: "dear", By: "c-1"}, queries.Cancelled,
			func(o queries.Order) bool {
				return o.Cancellation == queries.Cancellation{Reason: "dear", By: "c-1"} && o.EndedAt.Equal(o.UpdatedAt)
			}},
		{"submitted", draft, events.OrderSubmitted{Total: euros("5.00")}, queries.Submitted,
			func(o queries.Order) bool { return o.Total == euros("5.00") && o.SubmittedAt.Equal(o.UpdatedAt) }},
		{"reserved", submitted, events.OrderReserved{ReservationID: "res-1"}, queries.Reserved,
			func(o queries.Order) bool { return o.ReservationID == "res-1" }},
		{"method awaited", reserved, events.OrderPaymentMethodAwaited{Until: noon}, queries.Reserved,
			func(o queries.Order) bool { return o.PaymentMethodUntil.Equal(noon) }},
		{"method set", append(reserved, events.OrderPaymentMethodAwaited{Until: noon}), events.PaymentMethodSet{MethodRef: "card-2"}, queries.Reserved,
			func(o queries.Order) bool { return o.PaymentMethodUntil.IsZero() && o.PaymentMethod == "card-2" }},
		{"authorized", reserved, events.OrderPaymentAuthorized{PaymentID: "p-1", Amount: euros("5.00")}, queries.Authorized,
			func(o queries.Order) bool { return o.PaymentID == "p-1" && o.Authorized == euros("5.00") }},
		{"cancellation open", reserved, events.OrderCancellationRequested{Reason: "dear", By: "c-1"}, queries.Reserved,
			func(o queries.Order) bool { return o.Cancellation == queries.Cancellation{Reason: "dear", By: "c-1"} }},
		{"confirmation refused", reserved, events.OrderConfirmationRefused{Reason: "cancellation"}, queries.Reserved, nil},
		{"rejected", reserved, events.OrderRejected{Code: "out_of_stock", Unavailable: []events.Unavailable{{SKU: "cup", Wanted: 2}}}, queries.Rejected,
			func(o queries.Order) bool {
				return o.Rejection.Code == "out_of_stock" && len(o.Rejection.Unavailable) == 1
			}},
		{"expired", reserved, events.OrderExpired{}, queries.Expired, func(o queries.Order) bool { return o.EndedAt.Equal(o.UpdatedAt) }},
		{"confirmed", reserved, events.OrderConfirmed{}, queries.Confirmed, nil},
		{"paid", reserved, events.OrderPaid{PaymentID: "p-1", Captured: euros("5.00")}, queries.Paid, func(o queries.Order) bool { return o.Captured == euros("5.00") }},
		{"too late to cancel", append(paid, events.OrderCancellationRequested{Reason: "dear"}), events.OrderCancellationRefused{Reason: "already_paid"}, queries.Paid,
			func(o queries.Order) bool { return o.Cancellation.Refused == "already_paid" }},
		{"refunded", paid, events.OrderRefunded{Amount: euros("2.00")}, queries.Paid, func(o queries.Order) bool { return o.Refunded == euros("2.00") }},
		{"refund", paid, events.OrderRefundRequested{Amount: euros("2.00")}, queries.Paid, func(o queries.Order) bool { return o.RefundRequested == euros("2.00") }},
		{"dispatched", paid, events.OrderDispatched{Tracking: []string{"a", "b"}}, queries.Dispatched, func(o queries.Order) bool { return len(o.Tracking) == 2 }},
		{"completed", paid, events.OrderCompleted{}, queries.Completed, func(o queries.Order) bool { return o.EndedAt.Equal(o.UpdatedAt) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := history(append(append([]events.Event(nil), test.after...), test.event)...)
			if o.State != test.want || test.and != nil && !test.and(o) {
				t.Errorf("got %+v, want %s", o, test.want)
			}
		})
	}
}

func TestFoldIsTotal(t *testing.T) {
	for _, eventType := range events.Types {
		e, err := eventType.Decode([]byte("{}"), json.Unmarshal)
		if err != nil {
			t.Fatal(err)
		}
		if o := history(e, e); o.Version != 2 || o.OrderID != "o-1" || !o.UpdatedAt.Equal(noon.Add(time.Minute)) {
			t.Errorf("%s: the order is %+v", eventType.Name, o)
		}
	}
}

func TestASumThatNoMoneyHoldsIsNotShown(t *testing.T) {
	dear, err := events.NewMoney(math.MaxInt64, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	o := history(
		events.OrderCreated{OrderID: "o-1", Currency: "EUR"},
		events.ItemAdded{LineID: "l1", Quantity: 1, UnitPrice: dear},
		events.ItemAdded{LineID: "l2", Quantity: 1, UnitPrice: dear},
		events.ItemAdded{LineID: "l3", Quantity: 2, UnitPrice: dear},
	)
	if o.Total != (events.Money{}) || o.Lines[2].Amount != (events.Money{}) || o.Lines[0].Amount != dear {
		t.Errorf("the order is %+v", o)
	}
}

func TestFoldLeavesTheOrderThatItWasGivenAsItWas(t *testing.T) {
	before := history(events.OrderCreated{}, events.ItemAdded{LineID: "l1", Quantity: 1, UnitPrice: euros("1.00")}, events.ItemAdded{LineID: "l2", Quantity: 1, UnitPrice: euros("1.00")})
	for _, e := range []events.Event{
		events.ItemAdded{LineID: "l3", Quantity: 1}, events.ItemQuantityChanged{LineID: "l1", New: 5}, events.ItemRemoved{LineID: "l1"},
	} {
		Fold(before, esjs.Recorded[events.Event]{Event: e})
		if before.Lines[0].LineID != "l1" || before.Lines[0].Quantity != 1 || before.Lines[1].LineID != "l2" {
			t.Fatalf("%s changed the lines of the order before it: %+v", e.EventType(), before.Lines)
		}
	}
}
