package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go/jetstream"
)

// A command id makes a command safe to repeat: the second call changes nothing
// and answers as the first one did. The same id with another body is refused.
func ExampleCommandHandler_Handle() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card, err := giftCard()
		if err != nil {
			return err
		}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{})
		if err != nil {
			return err
		}
		if _, err := cards.Handle(ctx, "card-1", IssueCard{Cents: 50_00}); err != nil {
			return err
		}
		redeem := func(cents int) (esjs.Result[Card], error) {
			return cards.Handle(ctx, "card-1", RedeemCard{Cents: cents}, esjs.WithMetadata(esjs.Metadata{
				CommandID:   "till-3/receipt-811", // chosen by who sends the command, and sent again with a retry
				CommandHash: esjs.CommandHash("redeem", fmt.Append(nil, cents)),
				Actor:       "till-3",
			}))
		}
		first, err := redeem(12_50)
		if err != nil {
			return err
		}
		again, err := redeem(12_50)
		if err != nil {
			return err
		}
		fmt.Println(again.State.Cents, again.Version, again.Repeated, again.EventIDs[0] == first.EventIDs[0])
		_, err = redeem(99)
		fmt.Println(errors.Is(err, esjs.ErrCommandReused))
		return nil
	})
	// Output:
	// 3750 2 true true
	// true
}

// IfVersion is for a user who decided on what he saw (HTTP's If-Match): when
// the aggregate has changed since, the command is refused and not decided.
func ExampleIfVersion() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card, err := giftCard()
		if err != nil {
			return err
		}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{})
		if err != nil {
			return err
		}
		seen, err := cards.Handle(ctx, "card-1", IssueCard{Cents: 50_00})
		if err != nil {
			return err
		}
		if _, err := cards.Handle(ctx, "card-1", RedeemCard{Cents: 1_00}); err != nil {
			return err
		}
		_, err = cards.Handle(ctx, "card-1", RedeemCard{Cents: 2_00}, esjs.IfVersion(seen.Version))
		fmt.Println(err)
		return nil
	})
	// Output: esjs: conflict: giftcard/card-1 is at version 2, not 1
}

// Time travel: the state after an event, or at a moment.
func ExampleCommandHandler_Load() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: "card-1"}); err != nil {
			return err
		}
		card, err := giftCard()
		if err != nil {
			return err
		}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{})
		if err != nil {
			return err
		}
		for _, option := range []esjs.LoadOption{
			esjs.AtVersion(1),
			esjs.AsOf(time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC)),
			esjs.Fresh(), // now, as the leader knows it
		} {
			loaded, err := cards.Load(ctx, "card-1", option)
			if err != nil {
				return err
			}
			fmt.Println(loaded.Revision.Version(), loaded.State.Cents, loaded.Time.Format(time.DateOnly))
		}
		return nil
	})
	// Output:
	// 1 5000 2026-03-01
	// 2 3750 2026-03-02
	// 3 0 2026-03-03
}

// Snapshots are wiring: the aggregate knows nothing of them. They are written
// behind the callers' backs, and losing all of them only costs time.
func ExampleSnapshotPolicy() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		if err := esjs.ProvisionBucket(ctx, dial, "SNAPSHOTS_shop", 1, esjs.MaxBytes(128<<20)); err != nil {
			return err
		}
		card, err := giftCard()
		if err != nil {
			return err
		}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{
			Snapshots: &esjs.SnapshotPolicy[Card]{
				Bucket:       "SNAPSHOTS_shop",
				Every:        100, // commits
				StateVersion: 1,   // raised when Card or applyCard changes
				Terminal:     func(card Card) bool { return card.Issued && card.Cents == 0 },
			},
		})
		if err != nil {
			return err
		}
		for _, command := range []any{IssueCard{Cents: 50_00}, RedeemCard{Cents: 50_00}} {
			if _, err := cards.Handle(ctx, "card-1", command); err != nil {
				return err
			}
		}
		if err := cards.Close(ctx); err != nil { // writes what waits
			return err
		}
		js, err := jetstream.New(store.Conn())
		if err != nil {
			return err
		}
		bucket, err := js.KeyValue(ctx, "SNAPSHOTS_shop")
		if err != nil {
			return err
		}
		keys, err := bucket.Keys(ctx)
		fmt.Println(keys, err)
		return nil
	})
	// Output: [giftcard.card-1] <nil>
}

// What several aggregates decide together is stored together: each is loaded,
// and each guards its own part.
func ExampleCommandHandler_Write() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card, err := giftCard()
		if err != nil {
			return err
		}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{})
		if err != nil {
			return err
		}
		if _, err := cards.Handle(ctx, "card-1", IssueCard{Cents: 50_00}); err != nil {
			return err
		}
		from, err := cards.Load(ctx, "card-1")
		if err != nil {
			return err
		}
		to, err := cards.Load(ctx, "card-2") // not issued: the zero state
		if err != nil {
			return err
		}
		move := esjs.Metadata{CommandID: "move-1"}
		if _, err := store.AppendAll(ctx,
			cards.Write(from, move, time.Time{}, CardRedeemed{Cents: 20_00}),
			cards.Write(to, move, time.Time{}, CardIssued{Cents: 20_00}),
		); err != nil {
			return err
		}
		for _, key := range []string{"card-1", "card-2"} {
			loaded, err := cards.Load(ctx, key)
			if err != nil {
				return err
			}
			fmt.Println(key, loaded.State.Cents)
		}
		return nil
	})
	// Output:
	// card-1 3000
	// card-2 2000
}
