package esjs_test

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

type invoiceSent struct {
	Due time.Time `json:"due"`
}

type reminderRequested struct{}

func (invoiceSent) EventType() string       { return "InvoiceSent" }
func (reminderRequested) EventType() string { return "ReminderRequested" }

// dunning is what the process knows of one invoice.
type dunning struct {
	Due      time.Time
	Reminded bool
	version  uint64
}

// A process that asks for a reminder when an invoice was not paid in time: for
// brevity it takes the invoice's own event as its own first one.
func ExampleNewProcess() {
	run := func(ctx context.Context, store *esjs.Store) error {
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, invoiceSent](), esjs.TypeOf[esjs.Event, reminderRequested]())
		if err != nil {
			return err
		}
		process := esjs.Process[dunning, esjs.Event, esjs.Event]{
			Name: "dunning", Category: "dunning", In: codec, Out: codec,
			Inputs: esjs.Query{Categories: []string{"invoice"}},
			Key:    func(e esjs.Recorded[esjs.Event]) string { return e.Stream.Key },
			Apply: func(d dunning, event esjs.Event) dunning {
				d.version++
				switch e := event.(type) {
				case invoiceSent:
					d.Due = e.Due
				case reminderRequested:
					d.Reminded = true
				}
				return d
			},
			React: func(d dunning, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				switch {
				case in.Timer != nil:
					return []esjs.Event{reminderRequested{}}, nil
				case in.Event != nil && d.version == 0:
					return []esjs.Event{in.Event.Event}, nil
				}
				return nil, esjs.Unexpected("open", "another invoice")
			},
			Timers: func(d dunning) []esjs.Timer {
				if d.version == 0 || d.Reminded {
					return nil
				}
				return []esjs.Timer{{Name: "due", At: d.Due, Version: 1}}
			},
			Done: func(d dunning) bool { return d.Reminded },
		}
		runner, err := esjs.NewProcess(ctx, store, process, esjs.ProcessConfig{
			Service: "billing", Bucket: "SUBSCRIPTIONS_billing", Instances: "INSTANCES_billing",
		})
		if err != nil {
			return err
		}
		return runner.Run(ctx)
	}
	_ = run // with a store that was opened by esjs.Open
}

// An aggregate's service can have timers without a process: it sets them after
// its append and follows the fired ones.
func ExampleTimers() {
	run := func(ctx context.Context, store *esjs.Store, expire func(context.Context, esjs.Fired) error) error {
		timers, err := esjs.OpenTimers(ctx, store, "billing")
		if err != nil {
			return err
		}
		id := esjs.StreamID{Category: "quote", Key: "q-1"}
		if err := timers.Set(ctx, id, esjs.Timer{Name: "expiry", At: time.Now().Add(time.Hour), Version: 1}); err != nil {
			return err
		}
		return timers.Subscribe(ctx, esjs.TimerSubscription{
			Name: "quote-expiry", Category: "quote", Bucket: "SUBSCRIPTIONS_billing",
		}, expire)
	}
	_ = run // with a store that was opened by esjs.Open
}
