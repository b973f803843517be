package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// InvoiceSent and InvoicePaid are what the process reads.
type InvoiceSent struct {
	Due time.Time `json:"due"`
}

type InvoicePaid struct{}

// DunningStarted, ReminderRequested and DunningEnded are what it decides.
type DunningStarted struct {
	Due time.Time `json:"due"`
}

type ReminderRequested struct{}

type DunningEnded struct{}

func (InvoiceSent) EventType() string       { return "InvoiceSent" }
func (InvoicePaid) EventType() string       { return "InvoicePaid" }
func (DunningStarted) EventType() string    { return "DunningStarted" }
func (ReminderRequested) EventType() string { return "ReminderRequested" }
func (DunningEnded) EventType() string      { return "DunningEnded" }

// dunning is what the process knows of one invoice.
type dunning struct {
	Due   time.Time `json:"due"`
	Since uint64    `json:"since"` // version of the event that set Due
	Ended bool      `json:"ended"`
}

func applyDunning(d dunning, event esjs.Event) dunning {
	switch e := event.(type) {
	case DunningStarted:
		return dunning{Due: e.Due, Since: 1}
	case ReminderRequested, DunningEnded:
		d.Ended = true
	}
	return d
}

func reactDunning(d dunning, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
	switch {
	case d.Ended:
		return nil, nil
	case in.Timer != nil:
		return []esjs.Event{ReminderRequested{}}, nil
	case in.Event == nil:
		return nil, esjs.Unexpected("open", fmt.Sprintf("%T", in.Command))
	}
	switch e := in.Event.Event.(type) {
	case InvoiceSent:
		return []esjs.Event{DunningStarted{Due: e.Due}}, nil
	case InvoicePaid:
		return []esjs.Event{DunningEnded{}}, nil
	}
	return nil, esjs.Unexpected("open", in.Event.Type)
}

// dunningProcess asks for a reminder when an invoice was not paid in time.
func dunningProcess() (esjs.Process[dunning, esjs.Event, esjs.Event], error) {
	codec, err := esjs.NewCodec(
		esjs.TypeOf[esjs.Event, InvoiceSent](), esjs.TypeOf[esjs.Event, InvoicePaid](),
		esjs.TypeOf[esjs.Event, DunningStarted](), esjs.TypeOf[esjs.Event, ReminderRequested](), esjs.TypeOf[esjs.Event, DunningEnded](),
	)
	return esjs.Process[dunning, esjs.Event, esjs.Event]{
		Name: "dunning", Category: "dunning", In: codec, Out: codec,
		Inputs: esjs.Query{Categories: []string{"invoice"}},
		Key:    func(e esjs.Recorded[esjs.Event]) string { return e.Stream.Key },
		Apply:  applyDunning,
		React:  reactDunning,
		Timers: func(d dunning) []esjs.Timer {
			if d.Since == 0 || d.Ended {
				return nil
			}
			return []esjs.Timer{{Name: "due", At: d.Due, Version: d.Since}}
		},
		Done: func(d dunning) bool { return d.Ended },
	}, err
}

// Of two invoices one is paid and one is overdue.
func ExampleProcess() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		for _, bucket := range []string{"SUBSCRIPTIONS_billing", "INSTANCES_billing"} {
			if err := esjs.ProvisionBucket(ctx, dial, bucket, 1); err != nil {
				return err
			}
		}
		if err := esjs.ProvisionTimers(ctx, dial, 1); err != nil {
			return err
		}
		paid := esjs.StreamID{Category: "invoice", Key: "i-1"}
		overdue := esjs.StreamID{Category: "invoice", Key: "i-2"}
		if _, err := store.Append(ctx, paid, esjs.NoStream(), InvoiceSent{Due: time.Now().Add(time.Hour)}, InvoicePaid{}); err != nil {
			return err
		}
		if _, err := store.Append(ctx, overdue, esjs.NoStream(), InvoiceSent{Due: time.Now()}); err != nil {
			return err
		}
		process, err := dunningProcess()
		if err != nil {
			return err
		}
		runner, err := esjs.NewProcess(ctx, store, process, esjs.ProcessConfig{
			Service: "billing", Bucket: "SUBSCRIPTIONS_billing", Instances: "INSTANCES_billing",
		})
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()

		open := 2
		err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "show", EveryInstance: true, Codec: process.Out, Query: esjs.Query{Categories: []string{"dunning"}}, Workers: 1,
		}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			fmt.Println(e.Stream.Key, e.Type)
			if e.Type != "DunningStarted" {
				open--
			}
			if open == 0 {
				stop()
			}
			return nil
		})
		stop()
		if err != nil {
			return err
		}
		return <-ended
	})
	// Unordered output:
	// i-1 DunningStarted
	// i-1 DunningEnded
	// i-2 DunningStarted
	// i-2 ReminderRequested
}

// An operator sets one invoice aside: what comes for it waits, in order, and
// other invoices go on.
func ExampleProcessRunner_Quarantine() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		for _, bucket := range []string{"SUBSCRIPTIONS_billing", "INSTANCES_billing"} {
			if err := esjs.ProvisionBucket(ctx, dial, bucket, 1); err != nil {
				return err
			}
		}
		if err := esjs.ProvisionTimers(ctx, dial, 1); err != nil {
			return err
		}
		process, err := dunningProcess()
		if err != nil {
			return err
		}
		runner, err := esjs.NewProcess(ctx, store, process, esjs.ProcessConfig{
			Service: "billing", Bucket: "SUBSCRIPTIONS_billing", Instances: "INSTANCES_billing",
		})
		if err != nil {
			return err
		}
		if err := runner.Quarantine(ctx, "i-1", errors.New("the amount is disputed")); err != nil {
			return err
		}
		for _, invoice := range []string{"i-1", "i-2"} {
			id := esjs.StreamID{Category: "invoice", Key: invoice}
			if _, err := store.Append(ctx, id, esjs.NoStream(), InvoiceSent{Due: time.Now().Add(time.Hour)}, InvoicePaid{}); err != nil {
				return err
			}
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()

		err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "show", EveryInstance: true, Codec: process.Out, Query: esjs.Query{Types: []string{"DunningEnded"}}, Workers: 1,
		}, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
			fmt.Println(e.Stream.Key, e.Type)
			if e.Stream.Key == "i-1" {
				stop()
				return nil
			}
			waiting, err := runner.Quarantined(ctx)
			if err != nil {
				return err
			}
			for _, instance := range waiting {
				fmt.Println(instance.Key, "waits:", instance.Reason)
				if err := runner.Release(ctx, instance.Key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return <-ended
	})
	// Output:
	// i-2 DunningEnded
	// i-1 waits: the amount is disputed
	// i-1 DunningEnded
}

// A service has timers without a process too: it sets them after its append,
// and follows the ones that have fired.
func ExampleTimers() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		if err := esjs.ProvisionBucket(ctx, dial, "SUBSCRIPTIONS_sales", 1); err != nil {
			return err
		}
		if err := esjs.ProvisionTimers(ctx, dial, 1); err != nil {
			return err
		}
		timers, err := esjs.OpenTimers(ctx, store, "sales")
		if err != nil {
			return err
		}
		quote := esjs.StreamID{Category: "quote", Key: "q-1"}
		expiry := esjs.Timer{Name: "expiry", At: time.Now().Add(10 * time.Millisecond), Version: 3}
		for range 2 { // again changes nothing
			if err := timers.Set(ctx, quote, expiry); err != nil {
				return err
			}
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		return timers.Subscribe(ctx, esjs.TimerSubscriptionConfig{
			Name: "quote-expiry", Category: "quote", Bucket: "SUBSCRIPTIONS_sales",
		}, func(_ context.Context, fired esjs.Fired) error {
			// Version tells whether the quote still waits for this timer.
			fmt.Println(fired.Stream, fired.Name, fired.Version, fired.FiredAt.Before(fired.At))
			stop()
			return nil
		})
	})
	// Output: quote/q-1 expiry 3 false
}

// An input that a process does not know in its state changes nothing. It is no error, and the observer
// is told; an operator who has given such a command is refused.
func ExampleUnexpected() {
	_, err := reactDunning(dunning{}, esjs.Input[esjs.Event]{
		Event: &esjs.Recorded[esjs.Event]{Record: esjs.Record{Type: "CardIssued"}, Event: CardIssued{}},
	})
	var unexpected *esjs.UnexpectedError
	fmt.Println(errors.As(err, &unexpected), err)
	// Output: true esjs: CardIssued is not expected in state open
}

// Each commit of a process names the input that it is the answer to.
func ExampleInputRef() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		invoice := esjs.StreamID{Category: "invoice", Key: "i-1"}
		sent, err := store.Append(ctx, invoice, esjs.NoStream(), InvoiceSent{})
		if err != nil {
			return err
		}
		input := esjs.InputRef{ID: sent.EventIDs[0], Source: "/invoice", Position: sent.Revision.Position(), Version: 1}
		answer := esjs.StreamID{Category: "dunning", Key: "i-1"}
		_, err = store.AppendWrite(ctx, esjs.Write{ // as a process does it
			Stream: answer, Events: []esjs.Event{DunningStarted{}}, Metadata: esjs.Metadata{Input: input},
		})
		if err != nil {
			return err
		}
		for r, err := range store.Read(ctx, answer, 0, 0) {
			if err != nil {
				return err
			}
			fmt.Println(r.Type, "because of", r.Metadata.Input.Source, r.Metadata.Input.Position, r.Metadata.Input.ID == sent.EventIDs[0])
		}
		return nil
	})
	// Output: DunningStarted because of /invoice 0-1 true
}
