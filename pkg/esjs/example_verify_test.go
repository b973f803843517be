package esjs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// After a restore, and now and then: is everything as it was written?
func ExampleVerify() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		if err := esjs.ProvisionBucket(ctx, dial, "SNAPSHOTS_shop", 1); err != nil {
			return err
		}
		card, err := giftCard()
		if err != nil {
			return err
		}
		policy := esjs.SnapshotPolicy[Card]{Bucket: "SNAPSHOTS_shop", StateVersion: 1, Every: 2}
		cards, err := esjs.NewCommandHandler(ctx, store, card, esjs.HandlerConfig[Card]{Snapshots: &policy})
		if err != nil {
			return err
		}
		for _, command := range []any{IssueCard{Cents: 50_00}, RedeemCard{Cents: 12_50}} {
			if _, err := cards.Handle(ctx, "card-1", command); err != nil {
				return err
			}
		}
		if err := cards.Close(ctx); err != nil {
			return err
		}
		report, err := esjs.Verify(ctx, store, card.Codec, esjs.VerifyConfig{
			Snapshots: []esjs.SnapshotCheck{esjs.CheckSnapshots(card, policy)},
		})
		if err != nil {
			return err
		}
		fmt.Println(report.Sound(), report.Commits, "commits,", report.Snapshots, "snapshot")
		for _, finding := range report.Findings {
			fmt.Println(finding)
		}
		return nil
	})
	// Output: true 2 commits, 1 snapshot
}

// Somebody has published what is not a commit under an aggregate's subject. Verify goes on behind it
// and says what it is; who reads that aggregate is told the same.
func ExampleFinding() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		good := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if _, err := store.Append(ctx, good, esjs.NoStream(), CardIssued{Cents: 50_00}); err != nil {
			return err
		}
		if _, err := store.Conn().RequestWithContext(ctx, "ev.giftcard.card-2", []byte(`{"cents":1}`)); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		report, err := esjs.Verify(ctx, store, codec, esjs.VerifyConfig{})
		if err != nil {
			return err
		}
		for _, category := range report.Categories {
			fmt.Println(category.Category, category.Aggregates, "aggregate,", category.Events, "event")
		}
		for _, finding := range report.Findings {
			fmt.Println(finding.Kind == esjs.FindingUnreadable, finding.Stream, finding.Position)
		}
		return nil
	})
	// Output:
	// giftcard 1 aggregate, 1 event
	// true giftcard/card-2 0-2
}

// A damaged place is named, and never read over.
func ExampleCorruptError() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if _, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00}); err != nil {
			return err
		}
		if _, err := store.Conn().RequestWithContext(ctx, "ev.giftcard.card-1", []byte(`[]`)); err != nil {
			return err
		}
		for _, err := range store.Read(ctx, card, 0, 0) {
			var corrupt *esjs.CorruptError
			if errors.As(err, &corrupt) {
				fmt.Println(corrupt.Stream, "is damaged at", corrupt.Position)
			}
		}
		return nil
	})
	// Output: giftcard/card-1 is damaged at 0-2
}
