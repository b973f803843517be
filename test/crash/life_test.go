package crash

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/truth"
)

// life is one way that an order can take, forward or back.
type life struct {
	name            string
	method, address string
	country, sku    string
	faults          []partners.Fault // of the partners, from the submission on
	turns           []turn
	afterwards      func(l *lane, id string) // when the order has ended; then only what follows from it is cut
	until           []string                 // the events that end that
	ends            []order.Status           // the first one when nothing is cut
	compensates     bool                     // when nothing is cut; the others are paid
	meets           []string                 // events, when nothing is cut
	does            []string                 // kinds of points beyond the usual ones that it cannot do without
}

// turn is what somebody does when something has happened to the order for the n-th
// time, unless the order has ended before.
type turn struct {
	once string // an event
	n    int    // 0 is the first time
	do   func(l *lane, id string)
}

var lives = []life{
	{name: "completed", ends: completed, does: paid},
	{name: "unknown-authorisation", method: "card-timeout", ends: completed, does: paid},
	{name: "unknown-capture", method: "card-capture-timeout", ends: completed, does: paid},
	{name: "out-of-stock", sku: "rare", ends: rejected, compensates: true},
	{name: "declined", method: "card-declined", ends: rejected, compensates: true, does: held},
	{ // F12, F13
		name: "other-method", method: "card-soft", turns: []turn{{once: "OrderPaymentMethodAwaited", do: customer("set-payment-method", `{"method_ref":"card-ok"}`)}},
		ends: completed, meets: []string{"PaymentMethodAwaited", "PaymentMethodSet"}, does: paid,
	},
	{
		name: "cancelled-early", method: "card-slow", turns: []turn{{once: "OrderReserved", do: cancels}},
		ends: []order.Status{order.Cancelled, order.Completed}, compensates: true, does: held,
	},
	{name: "no-carrier", country: "XX", ends: rejected, compensates: true, does: slices.Concat(authorised, []string{"carrier book", "PSP void"})},
	{
		name: "cancelled-late", address: "addr-slow", turns: []turn{{once: "OrderConfirmed", do: cancels}},
		ends: []order.Status{order.Cancelled, order.Completed}, compensates: true, does: authorised,
	},
	{name: "capture-refused", method: "card-capture-refused", ends: rejected, compensates: true, does: undone},
	{ // F38: the carrier gives the booking up while the money is taken, and another parcel is booked
		name: "rebooked", method: "card-slow", address: "addr-manual",
		turns: []turn{
			{once: "ShipmentSecured", do: func(l *lane, id string) {
				l.asks("/carrier/v1/shipments/"+l.fulfilment(id).ShipmentID+"/cancel", id, "{}")
			}},
			{once: "ShipmentSecured", n: 2, do: func(l *lane, id string) { l.carrierTells(id, "dispatched") }},
		},
		ends: completed, meets: []string{"ShipmentCancelled", "ShipmentRebookRequested"}, does: paid,
	},
	{ // F33b, A1c: nobody knows what became of the capture, until the provider can be asked again
		name: "retried", method: "card-capture-timeout", faults: noAnswers,
		turns: []turn{{once: "AttentionRequired", do: func(l *lane, id string) { l.partners.ClearFaults(); l.decides(id, "retry", "") }}},
		ends:  []order.Status{order.Completed, order.Rejected}, meets: []string{"OperatorIntervened"}, does: slices.Concat(paid, []string{"query to PSP"}),
	},
	{ // F33b, A3b, C6b, C7: it is undone, and the money was taken
		name: "compensated", method: "card-capture-timeout", faults: noAnswers,
		turns: []turn{{once: "AttentionRequired", do: func(l *lane, id string) { l.partners.ClearFaults(); l.decides(id, "compensate", "") }}},
		// Killed, it may take so long that the news of the capture comes first.
		ends: []order.Status{order.Rejected, order.Completed}, compensates: true, meets: []string{"OperatorIntervened", "FulfilmentRefundRequested", "RefundConfirmed"},
		does: slices.Concat(undone, []string{"query to PSP", "PSP refund"}),
	},
	{ // C3a, A2e: the carrier does not give the parcel back, but to a person
		name: "resolved", method: "card-capture-refused", faults: []partners.Fault{{Partner: "carrier", Op: "cancel", Kind: partners.KindDecline, Next: 1}},
		turns: []turn{{once: "AttentionRequired", do: func(l *lane, id string) {
			l.asks("/carrier/v1/shipments/"+l.fulfilment(id).ShipmentID+"/cancel", id, "{}")
			l.decides(id, "resolve", `,"evidence":"it is in the house again"`)
		}}},
		ends: rejected, compensates: true, meets: []string{"ShipmentCancellationRefused", "OperatorIntervened"}, does: undone,
	},
	{ // Q1, Q2
		name: "released", address: "addr-manual",
		turns: []turn{
			{once: "DispatchRequested", do: func(l *lane, id string) { l.setsAside(id); l.carrierTells(id, "dispatched") }},
			{once: "Quarantined", do: func(l *lane, id string) { l.inputWaits(id); l.decides(id, "release", "") }},
		},
		ends: completed, meets: []string{"Quarantined", "QuarantineReleased"}, does: slices.Concat(paid, []string{"inputs set aside by saga"}),
	},
	{
		name: "refunded", afterwards: customer("request-refund", `{"lines":[{"line_id":"l1","quantity":1}],"reason":"broken","restock":true}`),
		until: []string{"RefundSettled", "OrderRefunded"}, ends: completed,
		does: []string{"append to refund", "append to payment", "append to stock", "append to reservation", "append to order", "PSP refund", "news of the PSP",
			"timer saga refund step", "list of open instances", "position saga refund", "position payment payment", "position inventory inventory", "position order order"},
	},
	{ // L1: the provider authorises what it had declined
		name: "authorised-after-all", method: "card-declined", afterwards: func(l *lane, id string) {
			l.asks("/psp/v1/payments/"+l.fulfilment(id).PaymentID+"/authorise", id, `{"amount":{"amount":"49.80","currency":"EUR"},"method_ref":"card-ok"}`)
		},
		until: []string{"RefundSettled"}, ends: rejected, compensates: true, meets: []string{"LateEffectDetected", "RefundVoidRequested"},
		does: []string{"append to refund", "append to fulfilment", "append to payment", "PSP void", "news of the PSP", "timer saga refund step", "list of open instances",
			"position saga refund", "position saga fulfilment", "position payment payment"},
	},
}

var (
	completed = []order.Status{order.Completed}
	rejected  = []order.Status{order.Rejected}

	// noAnswers lets the provider be silent about what became of a capture.
	noAnswers = []partners.Fault{{Partner: "psp", Op: "status", Kind: partners.KindUnavailable, Rate: 1}, lateNews("payment.captured")}
)

// lateNews come when the order has ended, unless that takes seconds.
func lateNews(kind string) partners.Fault {
	return partners.Fault{Partner: "webhook", Op: kind, Kind: partners.KindDelay, DelayMS: 5000, Rate: 1}
}

// What lives are made of. usual is what every order does that is submitted, and the
// others what it does beyond that on its way.
var (
	usual = []string{
		"append to order", "append to fulfilment", "append to reservation", "timer saga fulfilment step", "timer saga fulfilment sla", "list of open instances",
		"position saga fulfilment", "position order order", "position inventory inventory",
	}
	held       = []string{"append to stock", "timer inventory reservation expiry", "append to payment", "PSP authorise", "news of the PSP", "position payment payment"}
	authorised = slices.Concat(held, []string{"timer payment payment authorization", "timer saga fulfilment authexp"})
	paid       = slices.Concat(authorised, []string{
		"append to shipment", "carrier book", "PSP capture", "carrier dispatch", "news of the carrier", "position shipping shipping",
	})
	undone = slices.Concat(authorised, []string{
		"append to shipment", "carrier book", "PSP capture", "carrier cancel", "PSP void", "position shipping shipping",
	})
)

// kinds are those of the points that the life cannot do without.
func (s life) kinds() []string {
	if s.afterwards != nil {
		return s.does
	}
	return slices.Concat(usual, s.does)
}

// certain are the kinds at which life n is killed in any case: one that several lives
// have is the turn of one of them.
func (s life) certain(n int, seed uint64) (some []string) {
	for i, kind := range kinds() {
		var have []int
		for n, s := range lives {
			if slices.Contains(s.kinds(), kind) {
				have = append(have, n)
			}
		}
		if have[(seed+uint64(i))%uint64(len(have))] == n {
			some = append(some, kind)
		}
	}
	return some
}

// kinds are all of them, of all lives.
func kinds() []string {
	var all []string
	for _, s := range lives {
		all = append(all, s.kinds()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s life) body(verb string) string {
	switch verb {
	case "add-item":
		return fmt.Sprintf(`{"sku":%q,"quantity":2}`, cmp.Or(s.sku, "beans"))
	case "set-shipping":
		return fmt.Sprintf(`{"address_ref":%q,"country":%q}`, cmp.Or(s.address, "addr-1"), cmp.Or(s.country, "DE"))
	case "set-payment-method":
		return fmt.Sprintf(`{"method_ref":%q}`, cmp.Or(s.method, "card-ok"))
	case "create":
		return `{"customer_id":"c-1","currency":"EUR"}`
	}
	return `{}`
}

// play places an order and follows it to its end; p is where the program is killed,
// nil is nowhere.
func (l *lane) play(s life, id string, p *point) (passed []point, sprung bool) {
	l.t.Helper()
	subject := func(verb string) string { return "cmd.order." + id + "." + verb }
	for _, verb := range []string{"create", "add-item", "set-shipping", "set-payment-method"} {
		l.must(subject(verb), "%s", s.body(verb))
	}
	l.check(l.partners.Inject(s.faults...))
	if s.afterwards == nil {
		l.trap.arm(p)
	}
	l.must(subject("submit"), `{}`)
	for _, turn := range s.turns {
		var ended bool
		l.await(id, p, "is "+turn.once, func(shop *truth.Shop) bool {
			ended = shop.Orders[id].Ended()
			return ended || l.types[id][turn.once] >= max(turn.n, 1)
		})
		if !ended {
			turn.do(l, id)
		}
	}
	l.await(id, p, "ends", func(shop *truth.Shop) bool { return shop.Orders[id].Ended() && shop.Fulfilments[id].Status.Terminal() })
	if s.afterwards != nil {
		l.trap.arm(p)
		s.afterwards(l, id)
		l.await(id, p, fmt.Sprint("is ", s.until), func(*truth.Shop) bool { return len(l.missing(id, s.until)) == 0 })
	}
	if p == nil {
		for _, kind := range l.trap.missing(s.kinds(), patience) {
			l.t.Errorf("%s, which nothing disturbed, has no %s", id, kind)
		}
	} else {
		l.trap.springs(grace)
	}
	passed, sprung = l.trap.disarm()
	l.partners.ClearFaults()
	l.mu.Lock()
	defer l.mu.Unlock()
	o, f := l.shop.Orders[id], l.shop.Fulfilments[id]
	if !slices.Contains(s.ends, o.Status) {
		l.t.Errorf("killed %v: %s ends as %s %+v, not as %v", p, id, o.Status, o.End, s.ends)
	}
	if compensates, isPaid := f.Compensation != nil, len(l.missing(id, []string{"OrderPaid"})) == 0; p == nil &&
		(o.Status != s.ends[0] || compensates != s.compensates || isPaid == s.compensates || len(l.missing(id, s.meets)) > 0) {
		l.t.Errorf("%s, which nothing disturbed, ends as %s, paid %t, without %v: %+v", id, o.Status, isPaid, l.missing(id, s.meets), f)
	}
	return passed, sprung
}

// missing returns the events that an order has not met; l.mu is locked.
func (l *lane) missing(id string, events []string) (missing []string) {
	return slices.DeleteFunc(slices.Clone(events), func(e string) bool { return l.types[id][e] > 0 })
}

// grace is how long after an order's end the program may still send what it is to be
// killed at: positions are stored four times a second.
const grace = 2 * time.Second
