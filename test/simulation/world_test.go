// Package simulation runs the whole order system in memory, thousands of orders in
// a minute, under faults that chance chooses, and checks what must hold of every order.
//
// Real are: every decision and fold of orders, stock, reservations, payments and
// shipments; both sagas with their tables; the desks of payment and shipping, with
// their HTTP clients and circuit breakers; the partners' program with its ledger,
// its faults by rate and its webhooks, which are signed and verified; the events'
// JSON, in which everything is stored and from which everybody reads.
//
// Not real are the store and its subscriptions (one log, and readers that go through
// it at their own pace, die, and read again what they had handled), the network, and
// the clock, which is testing/synctest's: a week passes in a moment.
//
// One seed is one shop: the same orders, faults and interleaving every time.
package simulation

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/b144f99b/orderflow/test/truth"
)

// world is one shop: its events, who reads them, and what is outside of it.
type world struct {
	rand   *rand.Rand
	codec  *esjs.Codec[events.Event]
	defect defect
	calm   bool // nothing fails any more

	log      []esjs.Recorded[events.Event]
	versions map[esjs.StreamID]uint64
	commands map[string]bool // command ids that caused something, with their stream

	orders       kept[order.State]
	stocks       kept[inventory.Stock]
	reservations kept[inventory.Reservation]
	payments     kept[payment.State]
	shipments    kept[shipping.State]
	shop         *truth.Shop // what everything comes to, and what is wrong with it

	readers   []*reader
	timers    []*timer
	sagas     []saga
	vain      map[esjs.StreamID]int // attempts of those that have attention, since then
	customers []*customer
	partners  *outside
	refused   map[string]bool // requests to partners, by path, that got a definite no
	disputed  map[string]bool // payments
	givenBack map[string]bool // payments of which somebody at the provider gave money back, unasked
	// latecomers are payments that the provider declined, and authorised or captured after that.
	latecomers map[string]bool

	decisions    []decision // of operators, that were accepted
	lastDecision int
	operators    map[string]int // how often they might do what, and might not

	authorizationDue func(context.Context, esjs.Fired) error // of payment's desk

	lifeLeft int    // steps of a handler until its program dies; 0: it does not
	die      func() // ends the handler's context
}

func (w *world) violated(property, format string, args ...any) {
	w.shop.Violations = append(w.shop.Violations, truth.Violation{Property: property, Text: fmt.Sprintf(format, args...)})
}

// kept is what a service remembers of its aggregates: their folded states.
type kept[S any] struct {
	category string
	apply    func(S, events.Event) S
	states   map[string]S
}

func keep[S any](category string, apply func(S, events.Event) S) kept[S] {
	return kept[S]{category, apply, map[string]S{}}
}

// chance is true once in n times, and never when all is calm.
func (w *world) chance(n int) bool { return !w.calm && w.rand.IntN(n) == 0 }

// store appends what a service decided, as one commit, and lets its state follow.
func store[S any](w *world, k kept[S], key, command string, decided ...events.Event) {
	id := esjs.StreamID{Category: k.category, Key: key}
	for _, e := range decided {
		data, err := esjs.MarshalInClear(e)
		if err != nil {
			panic(err)
		}
		w.versions[id]++
		recorded, err := w.codec.Decode(esjs.Record{
			ID: fmt.Sprint("e", len(w.log)+1), Type: e.EventType(), SchemaVersion: 1, Stream: id, Version: w.versions[id],
			Time: time.Now().UTC(), Metadata: esjs.Metadata{CommandID: command, CorrelationID: key}, Data: data,
		})
		if err != nil {
			panic(err)
		}
		w.log = append(w.log, recorded)
		k.states[key] = k.apply(k.states[key], recorded.Event)
		w.shop.Apply(recorded)
		for _, r := range w.readers {
			r.offer(recorded)
		}
		w.arm(recorded)
	}
	if command != "" && len(decided) > 0 {
		w.commands[id.String()+" "+command] = true
	}
}

// repeated tells that a command id has caused something already.
func (w *world) repeated(category, key, command string) bool {
	return command != "" && w.commands[esjs.StreamID{Category: category, Key: key}.String()+" "+command]
}

// run lets everything happen in an order that chance chooses, then lets it
// come to rest without faults, and checks what became of it.
func (w *world) run(ctx context.Context, steps int) {
	for i := range steps {
		if i == steps/2 {
			for _, c := range w.customers {
				c.place()
			}
		}
		w.step(ctx)
	}
	w.calm = true
	w.partners.heal()
	w.release(ctx)
	w.settle(ctx)
	if w.rand.IntN(2) == 0 { // people look at what asks for them
		for range 4 * len(w.customers) {
			w.operate(ctx)
		}
		w.settle(ctx)
	}
	w.checkAll(ctx)
}

// step lets one of those who could do something do it.
func (w *world) step(ctx context.Context) {
	w.partners.listen()
	type act struct {
		weight int
		do     func()
	}
	var acts []act
	for _, r := range w.readers {
		if ready := r.ready(); len(ready) > 0 {
			acts = append(acts, act{4 * min(len(ready), 4), func() { r.next(ctx, ready[w.rand.IntN(len(ready))]) }})
		}
	}
	if n := len(w.partners.inbox); n > 0 {
		acts = append(acts, act{4, func() { w.partners.deliver(ctx, w.rand.IntN(n)) }})
	}
	if due := w.due(); len(due) > 0 {
		acts = append(acts, act{6, func() { w.fire(ctx, due[w.rand.IntN(len(due))]) }})
	}
	if !w.calm {
		acts = append(acts, act{2, func() { w.customers[w.rand.IntN(len(w.customers))].wish() }})
		acts = append(acts, act{1, func() { w.readers[w.rand.IntN(len(w.readers))].crash() }})
		acts = append(acts, act{1, func() { w.operate(ctx) }})
		if w.chance(60) {
			acts = append(acts, act{1, func() { w.failsSomewhere() }})
		}
	}
	switch {
	case len(acts) == 0 || w.chance(150):
		w.wait()
		return
	case w.chance(4):
		w.partners.pass(time.Duration(w.rand.IntN(800)) * time.Millisecond)
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := w.rand.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			a.do()
			return
		}
	}
}

// settle lets everything happen that still can, until nothing does but hourly
// attempts of what asked for attention.
func (w *world) settle(ctx context.Context) {
	most := 40_000
	if w.defect == newKeys { // the PSP repeats for ever what is not taken, and by then the defect shows
		most = 4_000
	}
	for range most {
		w.step(ctx)
		if w.atRest() {
			return
		}
	}
	w.violated("P4", "it never comes to rest: %s", w.unsettled())
}

// atRest: nobody has anything to read, nothing is on its way from the partners, and
// the timers that are left only ask again what people must decide.
func (w *world) atRest() bool {
	w.partners.listen()
	if len(w.partners.inbox) > 0 || w.partners.owes() {
		return false
	}
	for _, r := range w.readers {
		if len(r.queues) > 0 {
			return false
		}
	}
	for _, t := range w.timers {
		if !w.patient(t) {
			return false
		}
	}
	return true
}

func (w *world) unsettled() string {
	var out []string
	for _, r := range w.readers {
		for _, key := range r.keys {
			e := w.log[r.queues[key][0]]
			out = append(out, fmt.Sprintf("%s has yet to handle %s of %s (%d failures: %v)", r.name, e.Type, e.Stream, r.failures[key], r.last))
		}
	}
	for _, t := range w.timers {
		if !w.patient(t) {
			out = append(out, fmt.Sprintf("timer %s of %s at %v", t.name, t.stream, t.at))
		}
	}
	if n := w.partners.server.Untold(); n > 0 {
		out = append(out, fmt.Sprintf("%d webhooks are not taken, such as %s", n, w.partners.refused))
	}
	return strings.Join(out[:min(len(out), 10)], "; ")
}

// wait lets time pass until something happens.
func (w *world) wait() {
	at := time.Now().Add(7 * 24 * time.Hour)
	for _, t := range w.timers {
		if t.at.Before(at) && !w.patient(t) {
			at = t.at
		}
	}
	for _, r := range w.readers {
		for _, key := range r.keys {
			if again := r.again[key]; again.After(time.Now()) && again.Before(at) {
				at = again
			}
		}
	}
	w.partners.pass(max(time.Until(at), time.Millisecond))
}

// story is what happened, for who looks for the reason.
func (w *world) story(about string) string {
	var b strings.Builder
	for _, e := range w.log {
		if about == "" || strings.Contains(e.Stream.Key+string(e.Data), about) {
			fmt.Fprintf(&b, "%s %-50s %3d %-28s %s\n", e.Time.Format("01-02 15:04:05.000"), e.Stream, e.Version, e.Type, e.Data)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	return keys
}

// live makes the context of one handler, whose program may die under it.
func (w *world) live(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.lifeLeft, w.die = 0, cancel
	if w.chance(25) {
		w.lifeLeft = 1 + w.rand.IntN(7)
	}
	return ctx, cancel
}

// mortal is passed at each step of a handler that others can see: the program
// may die here.
func (w *world) mortal(ctx context.Context) error {
	if w.lifeLeft > 0 {
		if w.lifeLeft--; w.lifeLeft == 0 {
			w.die()
		}
	}
	return ctx.Err()
}

func newWorld(t testing.TB, seed uint64, d defect) *world {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 0)), codec: codec, defect: d,
		versions: map[esjs.StreamID]uint64{}, commands: map[string]bool{}, shop: truth.NewShop(), vain: map[esjs.StreamID]int{},
		refused: map[string]bool{}, disputed: map[string]bool{}, givenBack: map[string]bool{}, latecomers: map[string]bool{}, operators: map[string]int{},
		orders:       keep(events.CategoryOrder, order.Apply),
		stocks:       keep(events.CategoryStock, inventory.ApplyStock),
		reservations: keep(events.CategoryReservation, inventory.ApplyReservation),
		payments:     keep(events.CategoryPayment, payment.Apply),
		shipments:    keep(events.CategoryShipment, shipping.Apply),
	}
	return w
}
