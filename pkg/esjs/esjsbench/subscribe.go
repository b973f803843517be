package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

const positions = "SUBSCRIPTIONS_bench"

// measureLive measures from the start of an append to the call of a leased
// subscription's handler, against the append's own acknowledgement.
func measureLive(ctx context.Context, r *rig) (measure, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
	if err != nil {
		return nil, err
	}
	if err := r.bucket(ctx, positions); err != nil {
		return nil, err
	}
	subscribed, stop := context.WithCancel(ctx)
	ended, arrived, ready := make(chan error, 1), make(chan time.Time, 1), make(chan struct{})
	go func() {
		defer close(ended)
		ended <- esjs.Subscribe(subscribed, r.store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "live", Codec: codec, Bucket: positions, OnCaughtUp: func() { close(ready) },
		}, func(context.Context, esjs.Recorded[esjs.Event]) error {
			arrived <- time.Now()
			return nil
		})
	}()
	r.ending = append(r.ending, func() error {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	select {
	case <-ready:
	case err := <-ended:
		return nil, err
	}
	run := appendTo(ctx, r.store, r.account(), deposited{Amount: 1})
	return func(loop func() bool) ([]figure, error) {
		var acks, deliveries []time.Duration
		for loop() {
			start := time.Now()
			if err := run(); err != nil {
				return nil, err
			}
			acks = append(acks, time.Since(start))
			select {
			case at := <-arrived:
				deliveries = append(deliveries, at.Sub(start))
			case err := <-ended:
				return nil, err
			}
		}
		ack, delivery := median(acks), median(deliveries)
		return []figure{
			{"ack-µs", microseconds(ack)}, {"delivery-µs", microseconds(delivery)},
			{"delivery/ack", float64(delivery) / float64(ack)},
		}, nil
	}, nil
}

// takeoverLease is short, so that a crash is soon over.
const takeoverLease = 2 * time.Second

// owner is one instance of a subscription, with connections of its own.
type owner struct {
	store *esjs.Store
	link  *link
	stop  context.CancelFunc
	ended chan error
	calls chan time.Time // of the handler; holds the first
	waits waiting        // it has found another one active
}

func (r *rig) startOwner(ctx context.Context, codec *esjs.Codec[esjs.Event]) (*owner, error) {
	o := &owner{link: &link{}, ended: make(chan error, 1), calls: make(chan time.Time, 1), waits: waiting{heard: make(chan struct{}, 8)}}
	var err error
	o.store, err = r.openStore(ctx, esjs.Config{}, nats.SetCustomDialer(o.link), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, err
	}
	ctx, o.stop = context.WithCancel(ctx)
	go func() {
		defer close(o.ended)
		o.ended <- esjs.Subscribe(ctx, o.store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "takeover", Codec: codec, Bucket: positions, Lease: takeoverLease, Observer: o.waits,
		}, func(context.Context, esjs.Recorded[esjs.Event]) error {
			select {
			case o.calls <- time.Now():
			default:
			}
			return nil
		})
	}()
	return o, nil
}

// call waits for the handler's first call.
func (o *owner) call() (time.Time, error) {
	select {
	case at := <-o.calls:
		return at, nil
	case err := <-o.ended:
		return time.Time{}, fmt.Errorf("esjsbench: the subscription ended: %w", err)
	}
}

// end waits for the subscription; how a cut one ended is its own matter.
func (o *owner) end() {
	o.stop()
	for range o.ended {
	}
	o.store.Close()
}

// waiting is an observer that hears when its instance is not the active one.
type waiting struct {
	esjs.NopObserver
	heard chan struct{}
}

func (w waiting) Active(_ string, active bool) {
	if !active {
		w.heard <- struct{}{}
	}
}

// measureTakeover measures how long nobody handles a subscription: from a clean
// stop of the owner, and from its crash, to the first commit that another instance
// handles, while commits are appended all the time.
func measureTakeover(ctx context.Context, r *rig) (measure, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
	if err != nil {
		return nil, err
	}
	if err := r.bucket(ctx, positions); err != nil {
		return nil, err
	}
	return func(loop func() bool) (figures []figure, err error) {
		ctx, stop := context.WithCancel(ctx)
		written := make(chan error, 1)
		go func() { written <- r.write(ctx) }()
		defer func() {
			stop()
			err = errors.Join(err, <-written)
		}()
		active, err := r.startOwner(ctx, codec)
		if err != nil {
			return nil, err
		}
		defer func() { active.end() }()
		if _, err := active.call(); err != nil {
			return nil, err
		}
		took := map[bool][]time.Duration{}
		for loop() {
			for _, crash := range []bool{false, true} {
				standby, err := r.startOwner(ctx, codec)
				if err != nil {
					return nil, err
				}
				select {
				case <-standby.waits.heard:
				case <-ctx.Done():
					standby.end()
					return nil, ctx.Err()
				}
				began := time.Now()
				if crash {
					active.link.cut()
				} else {
					active.stop()
				}
				at, err := standby.call()
				active.end()
				active = standby
				if err != nil {
					return nil, err
				}
				took[crash] = append(took[crash], at.Sub(began))
			}
		}
		crash := median(took[true])
		return []figure{
			{"clean-ms", microseconds(median(took[false])) / 1e3}, {"crash-ms", microseconds(crash) / 1e3},
			{"crash/lease", float64(crash) / float64(takeoverLease)},
		}, nil
	}, nil
}

// write appends every 2 ms until ctx ends.
func (r *rig) write(ctx context.Context) error {
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	run := appendTo(context.WithoutCancel(ctx), r.store, r.account(), deposited{Amount: 1})
	for ctx.Err() == nil {
		if err := run(); err != nil {
			return err
		}
		<-pace.C
	}
	return nil
}
