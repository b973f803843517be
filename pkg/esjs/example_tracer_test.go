package esjs_test

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// told is a tracer that prints what ends. Package esjsotel has one for OpenTelemetry.
type told struct{}

func (told) Start(ctx context.Context, span esjs.Span) (context.Context, func(error)) {
	return ctx, func(err error) {
		if span.Operation != esjs.OperationLoad { // how a state is found is not of interest here
			fmt.Println(span.Operation, span.Stream, esjs.Outcome(err))
		}
	}
}

func (told) TraceParent(context.Context) string { return "" }

// A command is a span, and within it are the load and the append.
func ExampleTracer() {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx, cfg := context.Background(), esjs.Config{Tracer: told{}}
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
	for _, command := range []any{IssueCard{Cents: 50_00}, RedeemCard{Cents: 60_00}} {
		_, _ = cards.Handle(ctx, "card-1", command) // the spans say how it ends
	}
	// Output:
	// append giftcard/card-1 ok
	// handle giftcard/card-1 ok
	// handle giftcard/card-1 rejected
}

// The context carries the trace of whoever called, and the events keep it.
func ExampleWithTraceParent() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		ctx = esjs.WithTraceParent(ctx, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") // of a request's header
		if _, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00}); err != nil {
			return err
		}
		for r, err := range store.Read(ctx, card, 0, 0) {
			if err != nil {
				return err
			}
			fmt.Println(r.Type, r.Metadata.TraceParent)
		}
		return nil
	})
	// Output: CardIssued 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}
