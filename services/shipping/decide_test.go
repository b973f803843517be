package shipping

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

func fold(history ...events.Event) State {
	var s State
	for _, e := range history {
		s = Apply(s, e)
	}
	return s
}

func TestDecisions(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	aggregate := Aggregate(codec)
	cost := events.MustMoney("4.90", "EUR")
	eta := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	account := func(status string) Account {
		return Account{Status: status, Carrier: "post", Tracking: "PP1", Cost: cost, ETA: eta}
	}
	done := func(status string) Answer { return Answer{Kind: Done, Account: account(status)} }

	book := Ask{ShipmentID: "s", OrderID: "o", RequestID: "b1", Op: Book, AddressRef: "a", Country: "DE"}
	dispatch := Ask{ShipmentID: "s", OrderID: "o", RequestID: "d1", Op: Dispatch}
	cancel := Ask{ShipmentID: "s", OrderID: "o", RequestID: "x1", Op: Cancel, Cause: "customer"}
	again := func(a Ask) Ask { a.RequestID += "-again"; return a }
	news := func(status string) News {
		return News{ShipmentID: "s", EventID: "e", RequestID: "d1", Account: account(status)}
	}

	booked := events.ShipmentBooked{OrderID: "o", RequestID: "b1", Carrier: "post", Tracking: "PP1", Cost: cost, ETA: eta}
	bookedUnheard := booked
	bookedUnheard.RequestID = ""
	dispatched := events.ShipmentDispatched{OrderID: "o", RequestID: "d1", Tracking: []string{"PP1"}, CarrierEventID: "e"}
	delivered := events.ShipmentDelivered{OrderID: "o", CarrierEventID: "e"}
	lost := events.ShipmentLost{OrderID: "o", CarrierEventID: "e"}
	cancelled := events.ShipmentCancelled{OrderID: "o", RequestID: "x1"}
	voided := events.ShipmentVoided{OrderID: "o", RequestID: "x1", Cause: "customer"}
	transient := events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1", Code: "carrier_unreachable", Transient: true}
	refused := events.ShipmentCancellationRefused{OrderID: "o", RequestID: "x1", Reason: "goods_left"}

	type history = []events.Event
	cases := map[string]struct {
		given, then []events.Event
		when        Command
	}{
		"a booking is for the carrier to answer":           {nil, nil, book},
		"the carrier books":                                {nil, history{booked}, Tell{book, done("booked")}},
		"a booking that is accepted and not told is none":  {nil, history{events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1", Code: "not_told", Transient: true}}, Tell{book, done("requested")}},
		"the carrier had cancelled what is to be booked":   {nil, history{events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1", Code: "cancelled"}}, Tell{book, done("cancelled")}},
		"the same booking again is silent":                 {history{booked}, nil, book},
		"news of a booking whose answers were lost":        {history{transient}, history{bookedUnheard, dispatched}, news("dispatched")},
		"the next request for it names its parcel":         {history{transient, bookedUnheard, dispatched}, history{events.ShipmentBooked{OrderID: "o", RequestID: "b1-again", Carrier: "post", Tracking: "PP1", Cost: cost, ETA: eta}}, again(book)},
		"an answer that comes twice is stored once":        {history{booked}, nil, Tell{book, done("booked")}},
		"another booking request is answered":              {history{booked}, history{events.ShipmentBooked{OrderID: "o", RequestID: "b1-again", Carrier: "post", Tracking: "PP1", Cost: cost, ETA: eta}}, again(book)},
		"the carrier refuses":                              {nil, history{events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1", Code: "no_carrier"}}, Tell{book, Answer{Kind: Refused, Code: "no_carrier"}}},
		"a carrier that cannot be reached may be asked":    {nil, history{transient}, Tell{book, Answer{}}},
		"it is asked again":                                {history{transient}, nil, again(book)},
		"a booking after its cancellation is refused":      {history{voided}, history{events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1", Code: "voided"}}, book},
		"a cancelled shipment is not booked again":         {history{booked, cancelled}, history{events.ShipmentBookingFailed{OrderID: "o", RequestID: "b1-again", Code: "cancelled"}}, again(book)},
		"a dispatch is for the carrier":                    {history{booked}, nil, dispatch},
		"a dispatch that is accepted is told later":        {history{booked}, nil, Tell{dispatch, done("booked")}},
		"a dispatch that nobody knows of is told later":    {history{booked}, nil, Tell{dispatch, Answer{}}},
		"the carrier had dispatched":                       {history{booked}, history{events.ShipmentDispatched{OrderID: "o", RequestID: "d1", Tracking: []string{"PP1"}}}, Tell{dispatch, done("dispatched")}},
		"the carrier had lost it":                          {history{booked}, history{events.ShipmentLost{OrderID: "o", RequestID: "d1"}}, Tell{dispatch, done("lost")}},
		"the carrier had cancelled":                        {history{booked}, history{events.ShipmentCancelled{OrderID: "o", RequestID: "d1"}}, Tell{dispatch, Answer{Kind: Refused, Code: "cancelled"}}},
		"a dispatch of nothing finds nobody":               {nil, history{events.ShipmentCancelled{OrderID: "o", RequestID: "d1"}}, dispatch},
		"the webhook answers the dispatch":                 {history{booked}, history{dispatched}, news("dispatched")},
		"the webhook again is no news":                     {history{booked, dispatched}, nil, news("dispatched")},
		"another dispatch request is answered":             {history{booked, dispatched}, history{events.ShipmentDispatched{OrderID: "o", RequestID: "d1-again", Tracking: []string{"PP1"}}}, again(dispatch)},
		"a dispatch of a lost parcel is answered":          {history{booked, dispatched, lost}, history{events.ShipmentLost{OrderID: "o", RequestID: "d1-again"}}, again(dispatch)},
		"the parcel arrives":                               {history{booked, dispatched}, history{delivered}, news("delivered")},
		"news that overtook the dispatch imply it":         {history{booked}, history{dispatched, delivered}, news("delivered")},
		"the overtaken dispatch is no news":                {history{booked, dispatched, delivered}, nil, news("dispatched")},
		"the parcel is lost":                               {history{booked, dispatched}, history{lost}, news("lost")},
		"a loss that overtook the dispatch implies it":     {history{booked}, history{dispatched, lost}, news("lost")},
		"a lost parcel is found":                           {history{booked, dispatched, lost}, history{delivered}, news("delivered")},
		"a parcel that arrived is not lost":                {history{booked, dispatched, delivered}, nil, news("lost")},
		"the carrier cancels unasked":                      {history{booked}, history{events.ShipmentCancelled{OrderID: "o", CarrierEventID: "e"}}, news("cancelled")},
		"goods that left although cancelled are told":      {history{booked, cancelled}, history{dispatched}, news("dispatched")},
		"a cancellation is for the carrier":                {history{booked}, nil, cancel},
		"a cancellation of nothing is, too":                {nil, nil, cancel},
		"the carrier cancels":                              {history{booked}, history{cancelled}, Tell{cancel, done("cancelled")}},
		"the carrier had nothing to cancel":                {nil, history{voided}, Tell{cancel, Answer{Kind: Done, Account: Account{Status: "cancelled", NothingBooked: true}}}},
		"the carrier does not know what to cancel":         {nil, history{voided}, Tell{cancel, Answer{Kind: Missing}}},
		"a booking whose answer was lost is cancelled":     {history{transient}, history{cancelled}, Tell{cancel, done("cancelled")}},
		"a cancellation that is accepted is told later":    {history{booked}, nil, Tell{cancel, done("booked")}},
		"the goods have left":                              {history{booked}, history{refused}, Tell{cancel, Answer{Kind: Refused, Code: "goods_left"}}},
		"the goods are known to have left":                 {history{booked, dispatched}, history{refused}, cancel},
		"another cancellation is answered":                 {history{booked, cancelled}, history{events.ShipmentCancelled{OrderID: "o", RequestID: "x1-again"}}, again(cancel)},
		"another cancellation of nothing is answered":      {history{voided}, history{events.ShipmentVoided{OrderID: "o", RequestID: "x1-again", Cause: "customer"}}, again(cancel)},
		"a cancellation that nobody knows of stays open":   {history{booked}, nil, Tell{cancel, Answer{}}},
		"the same cancellation after its answer is silent": {history{booked, cancelled}, nil, cancel},
	}
	samples := esjstest.Samples[Command, events.Event]{Events: esjstest.ReadSamples(t, codec, "../../pkg/events/testdata/*.json")}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			esjstest.Given(t, aggregate, c.given...).When(c.when).Then(c.then...).AndAgain()
		})
		samples.Commands = append(samples.Commands, c.when)
		samples.Histories = append(samples.Histories, c.given)
	}
	esjstest.CheckAggregate(t, aggregate, samples)
}

// Only the carrier can answer what the state does not; everything else never
// reaches it.
func TestWhatTheStateKnowsIsNotAskedOfTheCarrier(t *testing.T) {
	booked := events.ShipmentBooked{OrderID: "o", RequestID: "b1"}
	dispatched := events.ShipmentDispatched{OrderID: "o", RequestID: "d1"}
	for name, c := range map[string]struct {
		given []events.Event
		ask   Ask
		want  bool
	}{
		"a first booking":             {nil, Ask{RequestID: "b1", Op: Book}, true},
		"the same booking":            {[]events.Event{booked}, Ask{RequestID: "b1", Op: Book}, false},
		"another one":                 {[]events.Event{booked}, Ask{RequestID: "b2", Op: Book}, false},
		"a dispatch":                  {[]events.Event{booked}, Ask{RequestID: "d1", Op: Dispatch}, true},
		"a dispatch after the fact":   {[]events.Event{booked, dispatched}, Ask{RequestID: "d2", Op: Dispatch}, false},
		"a cancellation":              {[]events.Event{booked}, Ask{RequestID: "x1", Op: Cancel}, true},
		"a cancellation of nothing":   {nil, Ask{RequestID: "x1", Op: Cancel}, true},
		"a cancellation of what left": {[]events.Event{booked, dispatched}, Ask{RequestID: "x1", Op: Cancel}, false},
	} {
		state := fold(c.given...)
		decided, err := Decide(state, c.ask)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range decided {
			state = Apply(state, e)
		}
		if got := c.ask.NeedsCarrier(state); got != c.want {
			t.Errorf("%s: needs the carrier: %t", name, got)
		}
	}
}

func TestNewsOfAShipmentThatIsNotOursAreRefused(t *testing.T) {
	_, err := Decide(State{}, News{ShipmentID: "s", EventID: "e"})
	var r *esjs.Rejection
	if !errors.As(err, &r) || r.Code != "unknown_shipment" || r.Status != 404 {
		t.Errorf("the error is %v", err)
	}
}

func TestAShipmentRemembersABoundedNumberOfRequests(t *testing.T) {
	var s State
	for i := range 3 * maxAnswered {
		s = Apply(s, events.ShipmentBookingFailed{OrderID: "o", RequestID: string(rune('A' + i))})
	}
	if len(s.Answered) != maxAnswered || !slices.Contains(s.Answered, string(rune('A'+3*maxAnswered-1))) {
		t.Errorf("remembers %d", len(s.Answered))
	}
}
