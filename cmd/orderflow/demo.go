package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// scenarioTime bounds one order; each takes a second or two, and the one with an outage six.
const scenarioTime = 90 * time.Second

// viewPause is how long after an answer a read model is asked again.
const viewPause = 20 * time.Millisecond

// demo places the scenarios' orders, one after the other, and prints what
// happens to them while it happens and as their timelines tell it afterwards.
type demo struct {
	client   client
	store    *esjs.Store
	partners string // URL of the scripted partners
	out      io.Writer
	run      string // in the ids, so that the demo can be repeated on the same data
	sku      string
}

// outcome is what became of one scenario.
type outcome struct {
	scenario scenario
	order    queries.Order
	timeline queries.Timeline
	err      error // why it did not end as it should
}

// runDemo fails with [exitDemoFailed] unless every order ended as it should. partners is the URL of the scripted ones.
func runDemo(ctx context.Context, dial esjs.Dial, cfg esjs.Config, partners string, out io.Writer) error {
	store, err := esjs.Open(ctx, dial, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	run := time.Now().UTC().Format("0102-150405")
	d := demo{client: client{store.Conn()}, store: store, partners: partners, out: out, run: run, sku: "beans-" + run}
	if err := d.stockUp(ctx); err != nil {
		return fail(exitDemoFailed, "the demo's shop cannot be opened: %w", err)
	}
	var outcomes []outcome
	for i, s := range scenarios() {
		fmt.Fprintf(out, "\n%d. %s (order %s)\n   %s\n", i+1, s.name, d.orderID(s), s.story)
		o := outcome{scenario: s}
		o.order, o.timeline, o.err = d.play(ctx, s)
		if ctx.Err() != nil {
			return fail(exitDemoFailed, "the demo was interrupted: %d of %d scenarios had ended", i, len(scenarios()))
		}
		outcomes = append(outcomes, o)
	}
	if err := d.showSagas(ctx, outcomes); err != nil {
		return fail(exitDemoFailed, "the sagas of the demo cannot be listed: %w", err)
	}
	return d.report(outcomes)
}

func (d demo) orderID(s scenario) string { return "demo-" + d.run + "-" + s.name }

// stockUp lists the product and receives what there is of it.
func (d demo) stockUp(ctx context.Context) error {
	fmt.Fprintf(d.out, "\nThe shop opens: %d bags of Espresso beans at 24.90 EUR (%s).\n", demoStock, d.sku)
	return d.open(ctx, demoStock, "demo")
}

// open lists the product and receives so many bags of it.
func (d demo) open(ctx context.Context, bags int, reference string) error {
	for _, step := range []struct {
		category, verb string
		body           map[string]any
	}{
		{events.CategoryProduct, "list", map[string]any{"name": "Espresso beans 1 kg", "price": "24.90", "currency": "EUR"}},
		{events.CategoryStock, "receive", map[string]any{"quantity": bags, "reference": reference}},
	} {
		if _, err := d.client.command(ctx, esjs.StreamID{Category: step.category, Key: d.sku}, step.verb, step.body, commandOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// play places one order and follows it to its end.
func (d demo) play(ctx context.Context, s scenario) (o queries.Order, t queries.Timeline, err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioTime)
	defer cancel()
	id := d.orderID(s)
	follow, err := d.follow(ctx, id)
	if err != nil {
		return o, t, err
	}
	defer follow.stop()
	if s.outage {
		if err := d.breakProvider(ctx); err != nil {
			return o, t, err
		}
	}
	if err := d.place(ctx, s, id); err != nil {
		return o, t, err
	}
	err = follow.untilEnded(ctx, d.out, func(event string) error {
		if event != s.cancelOn {
			return nil
		}
		return d.cancel(ctx, id)
	})
	if err != nil {
		return o, t, err
	}
	if o, t, err = d.read(ctx, id); err != nil {
		return o, t, err
	}
	return o, t, s.check(o, t)
}

// breakProvider makes the payment provider answer 503 to the next request for money, and to the first question what
// became of it.
func (d demo) breakProvider(ctx context.Context) error {
	const outage = `{"faults":[{"partner":"psp","op":"authorise","kind":"unavailable","next":1},{"partner":"psp","op":"status","kind":"unavailable","next":1}]}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.partners+"/admin/faults", strings.NewReader(outage))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the partners' faults: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the partners' faults are answered %s", answer.Status)
	}
	return nil
}

// place does what the customer does.
func (d demo) place(ctx context.Context, s scenario, id string) error {
	return d.placeBy(ctx, s, id, func(string, time.Time) {})
}

// placeBy is place, which tells of each command that was answered, and when it was sent.
func (d demo) placeBy(ctx context.Context, s scenario, id string, answered func(verb string, sent time.Time)) error {
	type body = map[string]any
	steps := []struct {
		verb string
		body body
	}{
		{"create", body{"customer_id": "demo-customer", "currency": "EUR", "channel": "demo"}},
		{"add-item", body{"sku": d.sku, "quantity": s.quantity}},
		{"set-shipping", body{"address_ref": "addr-1", "country": "DE"}},
		{"set-payment-method", body{"method_ref": s.method}},
		{"submit", body{}},
	}
	for _, step := range steps {
		sent := time.Now()
		if _, err := d.client.command(ctx, esjs.StreamID{Category: events.CategoryOrder, Key: id}, step.verb, step.body, commandOptions{}); err != nil {
			return fmt.Errorf("%s: %w", step.verb, err)
		}
		answered(step.verb, sent)
	}
	return nil
}

// cancel is the customer's change of mind.
func (d demo) cancel(ctx context.Context, id string) error {
	_, err := d.client.command(ctx, esjs.StreamID{Category: events.CategoryOrder, Key: id}, "cancel",
		map[string]any{"reason": "changed_mind"}, commandOptions{actor: "demo-customer"})
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}

// following sees what is stored for one order, as it is stored.
type following struct {
	types chan string
	ended chan error // once, why it sees nothing more
	stop  func()
}

// follow begins with the next event of the order or of its fulfilment.
func (d demo) follow(ctx context.Context, order string) (*following, error) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return nil, err
	}
	from, err := d.store.Last(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &following{types: make(chan string), ended: make(chan error, 1)}
	done := make(chan struct{})
	f.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		f.ended <- esjs.Subscribe(ctx, d.store, esjs.SubscriptionConfig[events.Event]{
			Name:          "demo",
			EveryInstance: true,
			Codec:         codec,
			Query:         esjs.Query{Streams: []esjs.StreamID{{Category: events.CategoryOrder, Key: order}, {Category: events.CategoryFulfilment, Key: order}}},
			From:          from,
			Key:           func(esjs.Recorded[events.Event]) string { return order },
			Workers:       1,
		}, func(ctx context.Context, e esjs.Recorded[events.Event]) error {
			select {
			case f.types <- e.Type:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return f, nil
}

// untilEnded prints the order's own events, and tells on of them, until the
// order's fulfilment has ended.
func (f *following) untilEnded(ctx context.Context, out io.Writer, on func(event string) error) error {
	fmt.Fprint(out, "   ")
	defer fmt.Fprintln(out)
	for {
		select {
		case name := <-f.types:
			if strings.HasPrefix(name, "Order") {
				fmt.Fprintf(out, "%s ", strings.TrimPrefix(name, "Order"))
			}
			if err := on(name); err != nil {
				return err
			}
			if name == "FulfilmentCompleted" || name == "FulfilmentCompensated" {
				return nil
			}
		case err := <-f.ended:
			return errors.Join(errors.New("the order cannot be followed"), err)
		case <-ctx.Done():
			return errors.New("the order did not end in time")
		}
	}
}

// read waits until the read models show the end of the fulfilment, which they do a moment after it is stored, each
// view at its own time.
func (d demo) read(ctx context.Context, id string) (o queries.Order, t queries.Timeline, err error) {
	of := map[string]any{"order_id": id}
	for {
		o, t = queries.Order{}, queries.Timeline{}
		err = errors.Join(d.client.query(ctx, "query.orders.timeline", of, &t), d.client.query(ctx, "query.orders.get", of, &o))
		ended := happened(t, "FulfilmentCompleted") || happened(t, "FulfilmentCompensated")
		if err == nil && ended && o.Version >= orderVersion(t) {
			return o, t, nil
		}
		select {
		case <-time.After(viewPause):
		case <-ctx.Done():
			return o, t, errors.Join(errors.New("the read models do not show the end of the order"), err)
		}
	}
}

// orderVersion is that of the last event of the order itself.
func orderVersion(t queries.Timeline) (version uint64) {
	for _, e := range t.Entries {
		if e.Category == events.CategoryOrder {
			version = max(version, e.Version)
		}
	}
	return version
}

func happened(t queries.Timeline, name string) bool {
	return slices.ContainsFunc(t.Entries, func(e queries.TimelineEntry) bool { return e.Type == name })
}

// check says in what an order did not end as the scenario wants.
func (s scenario) check(o queries.Order, t queries.Timeline) error {
	var wrong []string
	if o.State != s.ends {
		wrong = append(wrong, fmt.Sprintf("it is %s and not %s", o.State, s.ends))
	}
	for _, name := range s.happens {
		if !happened(t, name) {
			wrong = append(wrong, name+" did not happen")
		}
	}
	for _, name := range s.never {
		if happened(t, name) {
			wrong = append(wrong, name+" happened")
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// showSagas prints the table of the orders' sagas, as "orderflow saga list" does, when it shows the end of those that have ended.
func (d demo) showSagas(ctx context.Context, outcomes []outcome) error {
	ctx, cancel := context.WithTimeout(ctx, scenarioTime)
	defer cancel()
	var all []queries.Saga
	for _, o := range outcomes {
		var page queries.SagaPage
		for {
			if err := d.client.query(ctx, queries.SagaList.Subject, queries.SagaFilter{OrderID: d.orderID(o.scenario)}, &page); err != nil {
				return err
			}
			if o.err != nil || len(page.Sagas) > 0 && !page.Sagas[0].EndedAt.IsZero() {
				break
			}
			select {
			case <-time.After(viewPause):
			case <-ctx.Done():
				return errors.New("the read models do not show their end")
			}
		}
		all = append(all, page.Sagas...)
	}
	fmt.Fprint(d.out, "\nThe sagas of these orders (orderflow saga list):\n\n")
	return printSagas(d.out, all, "")
}

// report prints every order's timeline and then how each of them ended.
func (d demo) report(outcomes []outcome) error {
	for _, o := range outcomes {
		fmt.Fprintf(d.out, "\n%s: what happened to order %s\n\n", o.scenario.name, d.orderID(o.scenario))
		printTimeline(d.out, o.timeline)
	}
	fmt.Fprintln(d.out)
	failed := 0
	for _, o := range outcomes {
		if o.err != nil {
			failed++
			fmt.Fprintf(d.out, "  FAILED  %-14s %v\n", o.scenario.name, plainError(o.err))
			continue
		}
		took := o.order.EndedAt.Sub(o.order.SubmittedAt).Round(time.Millisecond)
		fmt.Fprintf(d.out, "  ok      %-14s ended as it should: %s, %v after it was submitted\n", o.scenario.name, o.order.State, took)
	}
	fmt.Fprintln(d.out)
	if failed > 0 {
		return fail(exitDemoFailed, "%d of %d orders of the demo did not end as they should", failed, len(outcomes))
	}
	return nil
}

// printTimeline writes one line per event: when after the first one, of what,
// and what it was.
func printTimeline(out io.Writer, t queries.Timeline) {
	if len(t.Entries) == 0 {
		fmt.Fprintln(out, "  nothing")
		return
	}
	first := t.Entries[0].Time
	for _, e := range t.Entries {
		fmt.Fprintf(out, "  %+8.3fs  %-11s %2d  %-28s %s\n", e.Time.Sub(first).Seconds(), plain(e.Category), e.Version, plain(e.Type), plain(e.What))
	}
}
