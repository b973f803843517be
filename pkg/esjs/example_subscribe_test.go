package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// With a bucket one instance at a time is active, and goes on where the last
// one stopped. Subscribe blocks until its context ends.
func ExampleSubscribe() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if err := appendDays(ctx, store, card); err != nil {
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
			Name:       "mailer",
			Codec:      codec,
			Query:      esjs.Query{Categories: []string{"giftcard"}},
			Bucket:     "SUBSCRIPTIONS_mailer",
			OnCaughtUp: stop, // a service goes on with what is appended from now on
		}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			switch event := e.Event.(type) {
			case CardIssued:
				fmt.Println("mail: your card", e.Stream.Key, "is worth", event.Cents)
			case CardRedeemed:
				fmt.Println("mail: you have used", event.Cents)
			}
			return nil
		})
	})
	// Output:
	// mail: your card card-1 is worth 5000
	// mail: you have used 1250
	// mail: you have used 3750
}

// Every instance sees all events, from the first one on at every start: for
// what each of them keeps in memory.
func ExampleSubscribe_everyInstance() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: "card-1"}); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		used := 0
		err = esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "used", EveryInstance: true, Codec: codec, Workers: 1, // one at a time: used needs no lock
			Query:      esjs.Query{Types: []string{"CardRedeemed"}},
			OnCaughtUp: stop,
		}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			used += e.Event.(CardRedeemed).Cents
			return nil
		})
		fmt.Println(used)
		return err
	})
	// Output: 5000
}

// A batch holds the next commit of every key that is ready: what is done for
// all of them together costs once.
func ExampleSubscribeBatch() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		for _, key := range []string{"card-1", "card-2", "card-3"} {
			if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: key}); err != nil {
				return err
			}
		}
		if err := esjs.ProvisionBucket(ctx, dial, "SUBSCRIPTIONS_ledger", 1); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		booked := 0
		err = esjs.SubscribeBatch(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "ledger", Codec: codec, Bucket: "SUBSCRIPTIONS_ledger",
			Query:      esjs.Query{Types: []string{"CardIssued"}},
			OnCaughtUp: stop,
		}, 100, func(_ context.Context, batch []esjs.Delivery[esjs.Event]) []error {
			for _, commit := range batch {
				for _, e := range commit.Events {
					booked += e.Event.(CardIssued).Cents
				}
			}
			return nil // all of them are done
		})
		fmt.Println(booked)
		return err
	})
	// Output: 15000
}

// A key whose commit cannot be handled is set aside with all that comes later
// for it, while other keys go on. Releasing it handles what waits, in order.
func ExampleSubscription_Release() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: "card-1"}); err != nil {
			return err
		}
		const bucket = "SUBSCRIPTIONS_mailer"
		if err := esjs.ProvisionBucket(ctx, dial, bucket, 1); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		address := ""
		mail := func(caughtUp bool) error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			cfg := esjs.SubscriptionConfig[esjs.Event]{
				Name: "mailer", Codec: codec, Bucket: bucket, Query: esjs.Query{Categories: []string{"giftcard"}},
			}
			if caughtUp {
				cfg.OnCaughtUp = stop
			}
			return esjs.Subscribe(ctx, store, cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
				if address == "" {
					return esjs.Park(errors.New("the customer has no address"))
				}
				fmt.Println("mail:", e.Type)
				if e.Version == 3 {
					stop()
				}
				return nil
			})
		}
		if err := mail(true); err != nil {
			return err
		}
		mailer := esjs.Subscription{Store: store, Bucket: bucket, Name: "mailer"}
		status, err := mailer.Status(ctx)
		if err != nil {
			return err
		}
		for _, parked := range status.Parked {
			fmt.Println(status.Name, parked.Key, parked.Reason, parked.Count)
			if err := mailer.Release(ctx, parked.Key); err != nil {
				return err
			}
		}
		address = "a@example.com"
		return mail(false)
	})
	// Output:
	// mailer giftcard/card-1 park: the customer has no address 3
	// mail: CardIssued
	// mail: CardRedeemed
	// mail: CardRedeemed
}

// A subscription is rewound while it runs, or stands still: it handles again what comes after the
// place, here all that was stored since a time. Forward it passes over what it has not handled.
func ExampleSubscription_Rewind() {
	withStore(func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error {
		if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: "card-1"}); err != nil {
			return err
		}
		const bucket = "SUBSCRIPTIONS_mailer"
		if err := esjs.ProvisionBucket(ctx, dial, bucket, 1); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		mail := func() error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			return esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
				Name: "mailer", Codec: codec, Bucket: bucket, OnCaughtUp: stop,
			}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
				fmt.Println("mail:", e.Type, e.Version)
				return nil
			})
		}
		if err := mail(); err != nil {
			return err
		}
		mailer := esjs.Subscription{Store: store, Bucket: bucket, Name: "mailer"}
		since, err := store.LastBefore(ctx, time.Now().Add(-time.Hour))
		if err != nil {
			return err
		}
		if err := mailer.Rewind(ctx, since); err != nil {
			return err
		}
		return mail()
	})
	// Output:
	// mail: CardIssued 1
	// mail: CardRedeemed 2
	// mail: CardRedeemed 3
	// mail: CardIssued 1
	// mail: CardRedeemed 2
	// mail: CardRedeemed 3
}
