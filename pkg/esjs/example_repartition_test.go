package esjs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// A store of one stream moves into four.
func ExampleRepartition() {
	withStore(func(ctx context.Context, dial esjs.Dial, old *esjs.Store) error {
		card := func(i int) esjs.StreamID { return esjs.StreamID{Category: "giftcard", Key: fmt.Sprint("card-", i)} }
		for i := range 100 {
			if _, err := old.Append(ctx, card(i%10), esjs.Any(), CardRedeemed{Cents: 100}); err != nil {
				return err
			}
		}
		move := esjs.RepartitionConfig{
			From: esjs.Config{Stream: "EVENTS"}, Dial: dial,
			To:      esjs.Config{Stream: "ORDERS", Partitions: 4, MaxBytes: 32 << 20},
			CutOver: true,
		}
		report, err := esjs.Repartition(ctx, move)
		if err != nil {
			return err
		}
		for _, p := range report.Partitions {
			fmt.Println(p.Stream, p.Commits)
		}
		fmt.Println(report.Until, "is now", report.At)

		_, err = old.Append(ctx, card(1), esjs.Any(), CardRedeemed{Cents: 100})
		fmt.Println("moved:", errors.Is(err, esjs.ErrMoved))
		store, err := esjs.Open(ctx, dial, move.To)
		if err != nil {
			return err
		}
		defer store.Close()
		added, err := store.Append(ctx, card(1), esjs.ExpectVersion(10), CardRedeemed{Cents: 100})
		fmt.Println("version", added.Revision.Version())
		return err
	})
	// Output:
	// ORDERS 20
	// ORDERS-1 30
	// ORDERS-2 30
	// ORDERS-3 20
	// 0-100 is now 0-20,1-30,2-30,3-20
	// moved: true
	// version 11
}
