package desk

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/go-json-experiment/json"
)

var (
	customer = signin.Principal{Subject: "c-1", CustomerID: "c-1", Roles: []signin.Role{signin.Customer}}
	operator = signin.Principal{Subject: "op-1", Roles: []signin.Role{signin.Operator}}
	auditor  = signin.Principal{Subject: "a-1", Roles: []signin.Role{signin.Auditor}}
)

// told are the names of the fields whose texts a customer may read, wherever they are.
var told = []string{
	"order_id", "customer_id", "currency", "channel", "line_id", "sku", "name", "address_ref", "country", "method_ref",
	"reservation_id", "payment_id", "refund_id", "carrier", "tracking",
}

// fill gives every field of an event a value; a text is the name of its field, marked.
func fill(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case events.Money:
		v.Set(reflect.ValueOf(events.MustMoney("24.90", "EUR")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("«" + name + "»")
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint64:
		v.SetUint(3)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Struct:
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			fill(v.Field(i), tag)
		}
	default:
		panic("a field of a type that this does not fill: " + v.Type().String())
	}
}

// filled are one event of every type, with something in every field.
func filled(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, of := range events.Types {
		e, err := of.Decode([]byte("{}"), json1)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.New(reflect.TypeOf(e)).Elem()
		fill(v, "")
		data, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		all[of.Name] = data
	}
	return all
}

func json1(data []byte, v any) error { return json.Unmarshal(data, v) }

var marked = regexp.MustCompile(`«([a-z_]*)»`)

// What a customer is shown of an event of any type has no text but those that are his
// to read: no reason, no actor, no evidence, no error, no reference of a provider.
func TestACustomerReadsNothingOfOperatorsAndProviders(t *testing.T) {
	shown := 0
	for name, data := range filled(t) {
		stored := queries.StoredEvent{
			Position: "0-1", Category: "order", Key: "o-1", Version: 1, Type: name, EventID: "e-1", CausationID: "e-0",
			Actor: "«actor»", CommandID: "«command_id»", CorrelationID: "«correlation_id»", Data: data,
		}
		entry := queries.TimelineEntry{Category: "order", Key: "o-1", Version: 1, Type: name, Actor: "«actor»", What: "«what»: «reason»", Data: data}
		timeline, err := json.Marshal(queries.Timeline{OrderID: "o-1", Entries: []queries.TimelineEntry{entry}})
		if err != nil {
			t.Fatal(err)
		}
		seen, ok := CustomerEvent(stored)
		if !ok {
			seen = queries.StoredEvent{}
		} else {
			shown++
		}
		live, err := json.Marshal(seen)
		if err != nil {
			t.Fatal(err)
		}
		history, err := seenBy[queries.Timeline](customer, timeline)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(live), string(history)} {
			for _, m := range marked.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(told, m[1]) && !(name == "OrderRejected" && m[1] == "code") {
					t.Errorf("%s: a customer reads its %s: %s", name, m[1], text)
				}
			}
			if ok && !strings.Contains(text, name) {
				t.Errorf("%s: a customer sees it, but not in %s", name, text)
			}
		}
		if ok && strings.Contains(string(history), `"what":""`) {
			t.Errorf("%s has no sentence for a customer: %s", name, history)
		}
		for _, p := range []signin.Principal{operator, auditor} {
			if all, err := seenBy[queries.Timeline](p, timeline); err != nil || string(all) != string(timeline) {
				t.Errorf("%s: %s sees %s (%v), want all of it", name, p.Subject, all, err)
			}
		}
	}
	if shown != len(customersSee) {
		t.Errorf("%d types are shown, and %d are listed", shown, len(customersSee))
	}
}

// Whatever happens to the order itself a customer sees, so that its versions have no gaps.
func TestACustomerSeesEveryEventOfTheOrderItself(t *testing.T) {
	for _, of := range events.Types {
		itself := strings.HasPrefix(of.Name, "Order") || strings.HasPrefix(of.Name, "Item") || of.Name == "ShippingAddressSet" || of.Name == "PaymentMethodSet"
		if _, seen := customersSee[of.Name]; itself && !seen {
			t.Errorf("nobody has said what a customer sees of %s", of.Name)
		}
	}
}

// What is listed for a type is a field of it.
func TestWhatACustomerSeesIsThere(t *testing.T) {
	all := filled(t)
	for name, of := range customersSee {
		var fields map[string]any
		if err := json.Unmarshal(all[name], &fields); err != nil {
			t.Fatal(err)
		}
		for _, field := range of.fields {
			if _, there := fields[field]; !there {
				t.Errorf("%s has no field %s", name, field)
			}
		}
	}
}

func moment(by string) queries.OrderMoment {
	return queries.OrderMoment{Version: 2, State: queries.OrderView{
		OrderID: "o-1", CustomerID: "c-1", Status: queries.Cancelled,
		Lines:        []queries.OrderViewLine{{LineID: "l1", SKU: "beans", Quantity: 2}},
		Cancellation: &queries.OrderCancellation{Reason: "«reason»", By: by},
		Refunds:      []queries.OrderRefund{{RefundID: "r-1", Amount: events.MustMoney("1.00", "EUR"), Reason: "«reason»"}},
		End:          &queries.OrderEnd{Code: "customer", Reason: "«reason»", By: by},
	}}
}

// seen is an answer as p sees it.
func seen[A any](t *testing.T, p signin.Principal, answer A) string {
	t.Helper()
	body, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := seenBy[A](p, body)
	if err != nil {
		t.Fatal(err)
	}
	return string(shown)
}

// difference is between a draft and what has become of it, as the order service tells it.
func difference(by string) queries.OrderDifference {
	from, to := moment(by), moment(by)
	from.Version, from.State = 1, queries.OrderView{OrderID: "o-1", CustomerID: "c-1", Status: queries.Draft, Lines: []queries.OrderViewLine{{LineID: "l1", SKU: "beans", Quantity: 1}}}
	wish := map[string]any{"reason": "«reason»", "by": by}
	return queries.OrderDifference{From: from, To: to, Changes: []queries.OrderChange{
		{Path: "/cancellation_requested", New: wish},
		{Path: "/end", New: map[string]any{"code": "customer", "reason": "«reason»", "by": by}},
		{Path: "/lines/l1/quantity", Old: 1.0, New: 2.0},
		{Path: "/refunds/0/reason", New: "«reason»"},
		{Path: "/status", Old: "Draft", New: "Cancelled"},
	}}
}

// What others have said about an order, and who they are, a customer does not read; what
// he has said himself he does.
func TestACustomerReadsOnlyWhatHeHasSaidHimself(t *testing.T) {
	order := func(by string) queries.Order {
		return queries.Order{OrderID: "o-1", Cancellation: queries.Cancellation{Reason: "«reason»", By: by, Refused: "too_late"}}
	}
	answers := func(p signin.Principal, by string) map[string]string {
		return map[string]string{
			"the order":    seen(t, p, order(by)),
			"a moment":     seen(t, p, moment(by)),
			"a reply":      seen(t, p, Reply[queries.OrderView]{State: moment(by).State}),
			"a difference": seen(t, p, difference(by)),
		}
	}
	for what, text := range answers(customer, "op-1") {
		if strings.Contains(text, "«reason»") || strings.Contains(text, "op-1") {
			t.Errorf("of an operator's words a customer reads %s: %s", what, text)
		}
	}
	for what, text := range answers(customer, "c-1") {
		if !strings.Contains(text, `"reason":"«reason»"`) || !strings.Contains(text, `"by":"c-1"`) {
			t.Errorf("of his own words a customer does not read %s: %s", what, text)
		}
	}
	for what, text := range answers(operator, "op-9") {
		if !strings.Contains(text, `"reason":"«reason»"`) || !strings.Contains(text, `"by":"op-9"`) {
			t.Errorf("an operator does not read %s: %s", what, text)
		}
	}
	var d queries.OrderDifference
	if err := json.Unmarshal([]byte(seen(t, customer, difference("op-1"))), &d); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range d.Changes {
		paths = append(paths, c.Path)
	}
	if want := []string{"/cancellation_requested", "/end", "/lines/l1/quantity", "/status"}; !slices.Equal(paths, want) {
		t.Errorf("a customer sees the changes %v, want %v", paths, want)
	}
	if c := d.Changes[2]; c.Old != 1.0 || c.New != 2.0 {
		t.Errorf("the quantity changed from %v to %v", c.Old, c.New)
	}
}

// Of an answer about which nothing is said a customer sees nothing.
func TestWhatIsNotListedIsNotSeen(t *testing.T) {
	if shown, err := seenBy[queries.Payment](customer, []byte(`{"payment_id":"p-1"}`)); err == nil {
		t.Errorf("a customer sees of a payment %s", shown)
	}
}
