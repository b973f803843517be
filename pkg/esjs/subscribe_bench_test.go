package esjs_test

import (
	"context"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// BenchmarkLiveDelivery measures from the start of an append to the call of a
// leased subscription's handler, against the append's own acknowledgement.
func BenchmarkLiveDelivery(b *testing.B) {
	onBothSyncs(b, func(n *bench) {
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
		n.check(err)
		n.check(esjs.ProvisionBucket(n.ctx, esjs.DialURL(n.nc.ConnectedUrl()), "SUBSCRIPTIONS_bench", 1))
		ctx, stop := context.WithCancel(n.ctx)
		ended, arrived, ready := make(chan error, 1), make(chan time.Time, 1), make(chan struct{})
		go func() {
			ended <- esjs.Subscribe(ctx, n.store, esjs.SubscriptionConfig[esjs.Event]{
				Name: "live", Codec: codec, Bucket: "SUBSCRIPTIONS_bench", OnCaughtUp: func() { close(ready) },
			}, func(context.Context, esjs.Recorded[esjs.Event]) error {
				arrived <- time.Now()
				return nil
			})
		}()
		<-ready
		id := n.account()
		var rev esjs.Revision
		var acks, deliveries []time.Duration
		for n.b.Loop() {
			start := time.Now()
			out, err := n.store.Append(n.ctx, id, esjs.AtRevision(rev), deposited{Amount: 1})
			n.check(err)
			acks = append(acks, time.Since(start))
			rev = out.Revision
			deliveries = append(deliveries, (<-arrived).Sub(start))
		}
		stop()
		n.check(<-ended)
		ack, delivery := median(acks), median(deliveries)
		n.b.ReportMetric(float64(ack.Nanoseconds())/1e3, "ack-µs")
		n.b.ReportMetric(float64(delivery.Nanoseconds())/1e3, "delivery-µs")
		n.b.ReportMetric(float64(delivery)/float64(ack), "delivery/ack")
	})
}

// BenchmarkSubscribeCatchUp measures how fast a subscription goes through
// history with a handler that does nothing.
func BenchmarkSubscribeCatchUp(b *testing.B) {
	const commits = 50_000
	n := newBench(b)
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
	n.check(err)
	n.check(esjs.ProvisionBucket(n.ctx, esjs.DialURL(n.nc.ConnectedUrl()), "SUBSCRIPTIONS_bench", 1))
	write := make(chan int)
	failed := make(chan error, 64)
	for range 64 {
		id := n.account()
		go func() {
			var err error
			for range write {
				if err == nil {
					_, err = n.store.Append(n.ctx, id, esjs.Any(), deposited{Amount: 1, Note: "a usual event has some text in it"})
				}
			}
			failed <- err
		}()
	}
	for i := range commits {
		write <- i
	}
	close(write)
	for range 64 {
		n.check(<-failed)
	}
	var took time.Duration
	for b.Loop() {
		ctx, stop := context.WithCancel(n.ctx)
		start := time.Now()
		err := esjs.Subscribe(ctx, n.store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "history", Codec: codec, OnCaughtUp: stop,
		}, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
		took += time.Since(start)
		n.check(err)
	}
	b.ReportMetric(float64(commits*b.N)/took.Seconds(), "commits/s")
}
