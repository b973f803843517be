package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

func ExampleSubscribe() {
	var (
		ctx   context.Context // ends when the program stops
		store *esjs.Store     // from Open
		codec *esjs.Codec[esjs.Event]
		send  func(context.Context, esjs.Recorded[esjs.Event]) error
		busy  error
	)
	run := func() error {
		return esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name:   "mailer",
			Codec:  codec,
			Query:  esjs.Query{Categories: []string{"order"}, Types: []string{"OrderCompleted"}},
			Bucket: "SUBSCRIPTIONS_mailer", // one instance at a time, from a stored position
		}, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
			switch err := send(ctx, e); {
			case errors.Is(err, busy):
				return esjs.RetryAfter(time.Minute, err) // later events of this order wait
			case err != nil:
				return esjs.Park(fmt.Errorf("mail for %s: %w", e.Stream.Key, err)) // until ReleaseParked
			}
			return nil
		})
	}
	_ = run
}

func ExampleReleaseParked() {
	var (
		ctx   context.Context
		store *esjs.Store
	)
	run := func() error {
		all, err := esjs.Subscriptions(ctx, store, "SUBSCRIPTIONS_mailer")
		if err != nil {
			return err
		}
		for _, s := range all {
			for _, p := range s.Parked {
				if err := esjs.ReleaseParked(ctx, store, "SUBSCRIPTIONS_mailer", s.Name, p.Key); err != nil {
					return err
				}
			}
		}
		return nil
	}
	_ = run
}
