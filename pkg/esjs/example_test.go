package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// CardIssued and CardRedeemed are what can happen to a gift card.
type CardIssued struct {
	Cents int `json:"cents"`
}

type CardRedeemed struct {
	Cents int `json:"cents"`
}

func (CardIssued) EventType() string   { return "CardIssued" }
func (CardRedeemed) EventType() string { return "CardRedeemed" }

// IssueCard and RedeemCard are what can be asked of a gift card.
type IssueCard struct{ Cents int }

type RedeemCard struct{ Cents int }

// Card is what the events of one gift card add up to. The zero Card was not
// issued yet.
type Card struct {
	Issued bool `json:"issued"`
	Cents  int  `json:"cents"`
}

// applyCard folds one event into the state.
func applyCard(card Card, event esjs.Event) Card {
	switch e := event.(type) {
	case CardIssued:
		return Card{Issued: true, Cents: e.Cents}
	case CardRedeemed:
		card.Cents -= e.Cents
	}
	return card
}

// decideCard says which events a command causes, or why it is refused.
func decideCard(card Card, command any) ([]esjs.Event, error) {
	switch c := command.(type) {
	case IssueCard:
		switch {
		case card.Issued:
			return nil, esjs.Reject("issued", "the card was issued before")
		case c.Cents <= 0:
			return nil, esjs.Reject("amount", "a card is issued for at least 1 cent, not for %d", c.Cents)
		}
		return []esjs.Event{CardIssued{Cents: c.Cents}}, nil
	case RedeemCard:
		switch {
		case c.Cents <= 0:
			return nil, esjs.Reject("amount", "at least 1 cent is redeemed, not %d", c.Cents)
		case c.Cents > card.Cents:
			return nil, esjs.Reject("insufficient", "the card is worth %d cents", card.Cents)
		}
		return []esjs.Event{CardRedeemed{Cents: c.Cents}}, nil
	}
	return nil, esjs.Reject("unknown", "%T is not a command of a gift card", command)
}

// cardCodec knows the stored names of the events.
func cardCodec() (*esjs.Codec[esjs.Event], error) {
	return esjs.NewCodec(
		esjs.TypeOf[esjs.Event, CardIssued](),
		esjs.TypeOf[esjs.Event, CardRedeemed](),
	)
}

// giftCard puts the parts together under the name that the events are stored under.
func giftCard() (esjs.Aggregate[Card, any, esjs.Event], error) {
	codec, err := cardCodec()
	return esjs.Aggregate[Card, any, esjs.Event]{
		Category: "giftcard",
		Codec:    codec,
		Apply:    applyCard,
		Decide:   decideCard,
	}, err
}

// openStore creates the store's stream where it is missing, and opens the store. What
// goes wrong behind it, in a projection or a subscription, is logged.
func openStore(ctx context.Context, url string) (*esjs.Store, error) {
	dial := esjs.DialURL(url)
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return nil, err
	}
	return esjs.Open(ctx, dial, esjs.Config{Observer: esjs.LogObserver(slog.Default())})
}

// useCard gives four commands to one gift card.
func useCard(ctx context.Context, store *esjs.Store) error {
	aggregate, err := giftCard()
	if err != nil {
		return err
	}
	cards, err := esjs.NewCommandHandler(ctx, store, aggregate, esjs.HandlerConfig[Card]{})
	if err != nil {
		return err
	}
	for _, command := range []any{IssueCard{Cents: 50_00}, RedeemCard{Cents: 12_50}, RedeemCard{Cents: 40_00}, RedeemCard{Cents: 37_50}} {
		result, err := cards.Handle(ctx, "card-1", command)
		var refusal *esjs.Rejection
		switch {
		case errors.As(err, &refusal):
			fmt.Println("refused:", refusal.Message)
		case err != nil:
			return err
		default:
			fmt.Printf("version %d: %d cents\n", result.Version, result.State.Cents)
		}
	}
	return nil
}

// An aggregate is a category, a codec and two pure functions; the command
// handler loads it, decides and appends.
func Example() {
	server, stop, err := esjstest.Start() // a nats-server inside this process; yours has a URL of its own
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	store, err := openStore(ctx, server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := useCard(ctx, store); err != nil {
		fmt.Println(err)
	}
	// Output:
	// version 1: 5000 cents
	// version 2: 3750 cents
	// refused: the card is worth 3750 cents
	// version 3: 0 cents
}
