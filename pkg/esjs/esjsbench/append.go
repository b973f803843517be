package esjsbench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// windowFull is how many commits an aggregate has when its pointers are as many as
// they get, and a few more.
const windowFull = 70

// appends appends commits of so many events to one aggregate of its own.
func (r *rig) appends(ctx context.Context, events int) (side, error) {
	run := appendTo(ctx, r.store, r.account(), slices.Repeat([]esjs.Event{aDeposit()}, events)...)
	for range windowFull {
		if err := run(); err != nil {
			return side{}, err
		}
	}
	return side{fmt.Sprintf("append-%d", events), run}, nil
}

// appendTo appends the events to a new aggregate, at each call once more.
func appendTo(ctx context.Context, store *esjs.Store, id esjs.StreamID, events ...esjs.Event) func() error {
	var rev esjs.Revision
	return func() error {
		out, err := store.Append(ctx, id, esjs.AtRevision(rev), events...)
		rev = out.Revision
		return err
	}
}

// raw publishes the body of a commit of so many events with the client's own call
// and the same expectation.
func (r *rig) raw(ctx context.Context, events int) (side, error) {
	model := r.account()
	r.turn--
	if _, err := r.appends(ctx, events); err != nil {
		return side{}, err
	}
	stream, err := r.js.Stream(ctx, "EVENTS")
	if err != nil {
		return side{}, err
	}
	last, err := stream.GetLastMsgForSubject(ctx, "ev.account."+model.Key)
	if err != nil {
		return side{}, err
	}
	subject, sequence := "ev.account."+r.account().Key, uint64(0)
	return side{fmt.Sprintf("raw-%d", events), func() error {
		ack, err := r.js.PublishMsg(ctx, &nats.Msg{
			Subject: subject, Data: last.Data,
			Header: nats.Header{"Content-Type": []string{"application/cloudevents-batch+json"}},
		}, jetstream.WithExpectLastSequencePerSubject(sequence))
		if err == nil {
			sequence = ack.Sequence
		}
		return err
	}}, nil
}

// pair is a raw publish and an append of so many events.
func (r *rig) pair(ctx context.Context, events int) ([]side, error) {
	raw, err := r.raw(ctx, events)
	if err != nil {
		return nil, err
	}
	ours, err := r.appends(ctx, events)
	return []side{raw, ours}, err
}

func measureAppend(ctx context.Context, r *rig) (measure, error) {
	sides, err := r.pair(ctx, 1)
	if err != nil {
		return nil, err
	}
	return compare(sides), nil
}

// commitSizes are the events of a commit in bar 2.
var commitSizes = []int{5, 10, 100}

func measureCommits(ctx context.Context, r *rig) (measure, error) {
	one, err := r.appends(ctx, 1)
	if err != nil {
		return nil, err
	}
	sides, ratios := []side{one}, []ratio(nil)
	for _, events := range commitSizes {
		pair, err := r.pair(ctx, events)
		if err != nil {
			return nil, err
		}
		sides = append(sides, pair...)
		ratios = append(ratios, ratio{pair[1].name, one.name}, ratio{pair[1].name, pair[0].name})
	}
	return compare(sides, ratios...), nil
}

// measureConcurrent lets 64 writers write, and then 64 raw publishers.
func measureConcurrent(ctx context.Context, r *rig) (measure, error) {
	const writers = 64
	var raw, ours []side
	for range writers {
		pair, err := r.pair(ctx, 1)
		if err != nil {
			return nil, err
		}
		raw, ours = append(raw, pair[0]), append(ours, pair[1])
	}
	all := func(sides []side) func() error {
		return func() error {
			errs := make([]error, writers)
			var wg sync.WaitGroup
			for i, s := range sides {
				wg.Go(func() {
					for n := 0; n < r.scale.appends && errs[i] == nil; n++ {
						errs[i] = s.run()
					}
				})
			}
			wg.Wait()
			return firstError(errs)
		}
	}
	return compareRates(writers*r.scale.appends, []side{{"raw", all(raw)}, {"append", all(ours)}}), nil
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// measureAllocations counts what the whole process allocates for an append, the
// client's goroutines included.
func measureAllocations(ctx context.Context, r *rig) (measure, error) {
	s, err := r.appends(ctx, 1)
	if err != nil {
		return nil, err
	}
	return func(loop func() bool) ([]figure, error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		appends := 0
		for ; loop(); appends++ {
			if err := s.run(); err != nil {
				return nil, err
			}
		}
		runtime.ReadMemStats(&after)
		return []figure{{"allocs/append", float64((after.Mallocs - before.Mallocs) / uint64(appends))}}, nil
	}, nil
}

// measureBystander appends beside a raw writer of messages of one event, and beside
// a writer of commits of five, each as fast as it can.
func measureBystander(ctx context.Context, r *rig) (measure, error) {
	raw, err := r.raw(ctx, 1)
	if err != nil {
		return nil, err
	}
	ours, err := r.appends(ctx, 5)
	if err != nil {
		return nil, err
	}
	bystander, err := r.openStore(ctx, esjs.Config{})
	if err != nil {
		return nil, err
	}
	stand := side{"append", appendTo(ctx, bystander, r.account(), deposited{Amount: 1})}
	beside := func(writer side) (float64, error) {
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if err := writer.run(); err != nil {
					stopped <- err
					return
				}
			}
		}()
		medians, err := takeTurns(times(r.scale.appends), []side{stand})
		close(stop)
		return microseconds(medians[stand.name]), firstError([]error{err, <-stopped})
	}
	return func(loop func() bool) ([]figure, error) {
		var besideRaw, besideOurs []float64
		for loop() {
			a, err := beside(raw)
			if err != nil {
				return nil, err
			}
			b, err := beside(ours)
			if err != nil {
				return nil, err
			}
			besideRaw, besideOurs = append(besideRaw, a), append(besideOurs, b)
		}
		a, b := median(besideRaw), median(besideOurs)
		return []figure{{"beside-raw-µs", a}, {"beside-commits-µs", b}, {"commits/raw", b / a}}, nil
	}, nil
}
