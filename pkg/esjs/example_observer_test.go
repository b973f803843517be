package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// refusals is told of everything and shows what was not stored. A program would
// count, or write to its log; it must not block.
type refusals struct {
	esjs.NopObserver // does nothing with what refusals does not override
}

func (refusals) Appended(a esjs.AppendInfo) {
	if a.Err != nil {
		fmt.Println(a.Stream, esjs.Outcome(a.Err))
	}
}

// An observer of one's own overrides what it is interested in.
func ExampleObserver() {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx, cfg := context.Background(), esjs.Config{Observer: refusals{}}
	if err := esjs.Provision(ctx, server.Dial(), cfg); err != nil {
		fmt.Println(err)
		return
	}
	store, err := esjs.Open(ctx, server.Dial(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
	for range 2 {
		_, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil && !errors.Is(err, esjs.ErrConflict) {
			fmt.Println(err)
		}
	}
	// Output: giftcard/card-1 conflict
}

// mishaps shows at which event a handler failed.
type mishaps struct{ esjs.NopObserver }

func (mishaps) Handled(subscription string, _ time.Duration, err error) {
	if at := (*esjs.EventError)(nil); errors.As(err, &at) {
		fmt.Println(subscription, "failed at", at.Stream, at.Position, "of", at.CorrelationID+":", err)
	}
}

// A line of a log that says which event was not handled, and to which story it belongs, is found by
// who looks for either.
func ExampleEventError() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		_, err := store.AppendWrite(ctx, esjs.Write{
			Stream: esjs.StreamID{Category: "giftcard", Key: "card-1"}, Expect: esjs.NoStream(),
			Events:   []esjs.Event{CardIssued{Cents: 50_00}},
			Metadata: esjs.Metadata{CorrelationID: "order-7"},
		})
		if err != nil {
			return err
		}
		if err := esjs.ProvisionBucket(ctx, dial, "SUBSCRIPTIONS_mailer", 1); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		return esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "mailer", Codec: codec, Bucket: "SUBSCRIPTIONS_mailer",
			OnCaughtUp: stop, Observer: mishaps{},
		}, func(context.Context, esjs.Recorded[esjs.Event]) error {
			return esjs.Park(errors.New("the customer has no address"))
		})
	})
	// Output: mailer failed at giftcard/card-1 0-1 of order-7: park: the customer has no address
}

// commands tells how commands end, and what that took.
type commands struct{ esjs.NopObserver }

func (commands) Loaded(l esjs.LoadInfo) {
	fmt.Println("loaded from", l.Source)
}

func (commands) Settled(id esjs.StreamID, found esjs.Settlement) {
	fmt.Println("no ack about", id, "which is", found)
}

func (commands) SnapshotStored(s esjs.SnapshotInfo) {
	if s.Err != nil {
		fmt.Println("no snapshot of", s.Stream, s.Err)
	}
}

func (commands) Decided(d esjs.DecisionInfo) {
	fmt.Println("decided", d.Attempts, "time,", d.Events, "event stored,", esjs.Outcome(d.Err))
}

// The first card's acknowledgement is lost on its way: the store finds out what became of the append,
// and the caller notices nothing.
func ExampleSettlement() {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx, cfg := context.Background(), esjs.Config{Observer: commands{}}
	if err := esjs.Provision(ctx, server.Dial(), cfg); err != nil {
		fmt.Println(err)
		return
	}
	faults := server.Faults()
	store, err := esjs.Open(ctx, faults.Dial(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	card, err := giftCard()
	if err != nil {
		fmt.Println(err)
		return
	}
	cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	faults.LoseAcks(1)
	_, err = cards.Handle(ctx, "card-1", IssueCard{Cents: 50_00})
	fmt.Println(err)
	// Output:
	// loaded from log
	// no ack about giftcard/card-1 which is stored
	// decided 1 time, 1 event stored, ok
	// <nil>
}
