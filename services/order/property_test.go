package order

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

func codeOf(err error) string {
	var r *esjs.Rejection
	if errors.As(err, &r) {
		return r.Code
	}
	return err.Error()
}

// anyEvent draws an event of any type of any category, with any content.
func anyEvent(t *rapid.T) events.Event {
	typ := rapid.SampledFrom(events.Types).Draw(t, "type")
	zero, err := typ.Decode([]byte("{}"), func(data []byte, v any) error { return json.Unmarshal(data, v) })
	if err != nil {
		t.Fatal(err)
	}
	e := reflect.New(reflect.TypeOf(zero)).Elem()
	fill(t, e)
	return e.Interface().(events.Event)
}

var (
	anyText  = rapid.SampledFrom([]string{"", "l1", "l2", "o-1", "r-1", "r-2", "EUR", "JPY", "rejected", "cancelled", "expired", "1-7"})
	anyMinor = rapid.OneOf(rapid.Int64Range(-5, 10_000), rapid.Int64())
	anyCount = rapid.OneOf(rapid.IntRange(-1, 5), rapid.Int())
)

func fill(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "hours")) * time.Hour)))
		return
	case events.Money:
		m, err := events.NewMoney(anyMinor.Draw(t, "minor"), rapid.SampledFrom([]string{"EUR", "JPY"}).Draw(t, "currency"))
		if err != nil {
			t.Fatal(err)
		}
		v.Set(reflect.ValueOf(m))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 2).Draw(t, "length"), 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString(anyText.Draw(t, "text"))
	case reflect.Int:
		v.SetInt(int64(anyCount.Draw(t, "count")))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	default:
		t.Fatalf("a %s cannot be drawn", v.Type())
	}
}

func encode(t interface{ Fatal(...any) }, s State) string {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Apply accepts every event in every state, changes no state that it was
// given, and goes on from a snapshot as from the events themselves.
func TestApplyIsTotalAndPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		for _, e := range toCompleted[:rapid.IntRange(0, len(toCompleted)).Draw(t, "way")] {
			s = Apply(s, e)
		}
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			e, before := anyEvent(t), encode(t, s)
			next := Apply(s, e)
			if encode(t, s) != before {
				t.Fatalf("%#v changed the state it was applied to", e)
			}
			after, other := encode(t, next), anyEvent(t)
			if Apply(s, other); encode(t, next) != after {
				t.Fatalf("%#v on one state changed another that came from it", other)
			}
			if again := Apply(s, e); encode(t, again) != after {
				t.Fatalf("%#v has two outcomes", e)
			}
			var restored State
			if err := json.Unmarshal([]byte(before), &restored); err != nil {
				t.Fatal(err)
			}
			if fromSnapshot := Apply(restored, e); encode(t, fromSnapshot) != after {
				t.Fatalf("%#v has another outcome on a snapshot:\n%s\n%s", e, encode(t, fromSnapshot), after)
			}
			viewOf(next)
			s = next
		}
	})
}

func anyCommand(t *rapid.T) Command {
	id := rapid.SampledFrom([]string{"", "l1", "l2", "l3"})
	products := rapid.SampledFrom([]AddItem{
		{SKU: "beans", Product: beans}, {SKU: "filter", Product: filter}, {SKU: "none"},
		{SKU: "yen", Product: Product{Name: "Yen", Price: events.MustMoney("500", "JPY"), Listed: true}},
		{SKU: "huge", Product: Product{Name: "Huge", Price: eur("9000000000000000.00"), Listed: true}},
	})
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0:
		return Create{OrderID: "o-1", CustomerID: "c-1", Currency: rapid.SampledFrom([]string{"EUR", "JPY", ""}).Draw(t, "currency")}
	case 1:
		c := products.Draw(t, "product")
		c.Quantity = anyCount.Draw(t, "quantity")
		return c
	case 2:
		return ChangeQuantity{LineID: id.Draw(t, "line"), Quantity: anyCount.Draw(t, "quantity")}
	case 3:
		return RemoveItem{LineID: id.Draw(t, "line")}
	case 4:
		return SetShipping{AddressRef: anyText.Draw(t, "address"), Country: rapid.SampledFrom([]string{"DE", "de", ""}).Draw(t, "country")}
	case 5:
		return SetPaymentMethod{MethodRef: anyText.Draw(t, "method")}
	case 6:
		return Submit{}
	case 7:
		return Cancel{Reason: anyText.Draw(t, "reason")}
	case 8:
		if rapid.Bool().Draw(t, "by line") {
			return RequestRefund{Lines: []events.RefundLine{{LineID: id.Draw(t, "line"), Quantity: anyCount.Draw(t, "quantity")}}}
		}
		return RequestRefund{Amount: rapid.SampledFrom([]string{"", "0", "1", "24.9", "x"}).Draw(t, "amount")}
	}
	return Reaction{Event: anyEvent(t)}
}

// Whatever is commanded in whatever state: nothing panics, a refusal has a code
// and a sentence, and what is decided leaves the order true.
func TestNoCommandBreaksAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		way := then(toCompleted)
		s := fold(way[:rapid.IntRange(0, len(way)).Draw(t, "way")]...)
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			c := anyCommand(t)
			decided, err := Decide(s, c)
			if err != nil {
				var r *esjs.Rejection
				if !errors.As(err, &r) || r.Code == "" || r.Message == "" || r.Status < 400 || r.Status > 499 || len(decided) > 0 {
					t.Fatalf("%#v was refused with %v", c, err)
				}
				continue
			}
			before := s
			for _, e := range decided {
				s = Apply(s, e)
			}
			checkTrue(t, before, s, decided)
		}
	})
}

func checkTrue(t *rapid.T, before, s State, decided []events.Event) {
	if len(decided) > 0 && s.OrderID != "o-1" {
		t.Fatalf("%#v lost the order's id", decided)
	}
	if before.Ended() && s.Status != before.Status {
		t.Fatalf("%#v changed an order that was %s to %s", decided, before.Status, s.Status)
	}
	if before.reached(Paid) && !s.reached(before.Status) {
		t.Fatalf("%#v took a paid order from %s to %s", decided, before.Status, s.Status)
	}
	if len(s.Lines) > MaxLines {
		t.Fatalf("%d lines", len(s.Lines))
	}
	skus := map[string]bool{}
	for _, l := range s.Lines {
		if l.Quantity < 1 || l.Quantity > MaxQuantity || l.UnitPrice.Sign() <= 0 || l.UnitPrice.Currency() != s.Currency || l.Refunded > l.Quantity || skus[l.SKU] {
			t.Fatalf("%#v left the line %+v", decided, l)
		}
		skus[l.SKU] = true
	}
	total, err := sum(s.Lines)
	if err != nil {
		t.Fatalf("%#v left lines that cannot be counted: %v", decided, err)
	}
	if s.reached(Submitted) && total != s.Total {
		t.Fatalf("%#v left the total %s for lines of %s", decided, s.Total, total)
	}
	if s.reached(Paid) && s.Captured.Currency() == s.Currency && s.RefundsSum != (events.Money{}) {
		if over, err := s.RefundsSum.Cmp(s.Captured); err != nil || over > 0 {
			t.Fatalf("%#v left %s refunded of %s captured: %v", decided, s.RefundsSum, s.Captured, err)
		}
	}
}

// What esjs demands of every aggregate. Adding an item and asking for a refund
// are meant to add up, so they are told apart by command id.
func TestAnOrderIsAnAggregate(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	samples := esjstest.Samples[Command, events.Event]{
		Events: esjstest.ReadSamples(t, codec, "../../pkg/events/testdata/*.json"),
		AddsUp: func(c Command) bool {
			switch c.(type) {
			case AddItem, RequestRefund:
				return true
			}
			return false
		},
	}
	for _, s := range everyState {
		samples.Histories = append(samples.Histories, s.history)
	}
	for _, c := range everyCommand {
		samples.Commands = append(samples.Commands, c.command)
	}
	esjstest.CheckAggregate(t, Aggregate(codec), samples)
}
