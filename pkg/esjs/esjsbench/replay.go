package esjsbench

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go/jetstream"
)

// orders are aggregates of 20 commits, each of so many events with the metadata that a
// command handler writes.
func orders(size int) aggregates {
	key := func(aggregate int) string { return anOrder(aggregate).OrderID }
	return aggregates{
		commits: ordersCommits,
		id:      func(n int) esjs.StreamID { return esjs.StreamID{Category: "order", Key: key(n)} },
		events: func(n int) []esjs.Event {
			batch := make([]esjs.Event, size)
			for i := range batch {
				batch[i] = anOrder(n)
			}
			return batch
		},
		metadata: func(n, commit int) esjs.Metadata {
			return esjs.Metadata{
				CorrelationID: key(n), CommandID: fmt.Sprintf("command-%d-%d", n, commit),
				CommandHash: esjs.CommandHash("order", []byte(key(n))), Actor: "shop",
			}
		},
	}
}

const ordersCommits = 20

// measureReplay reads all events of commits of one and of five, and decodes them
// into their types. The baseline is an ordered consumer that looks at nothing, over
// the messages with one event. Beside them are the same readers without decoding, and
// what each takes of the processors.
func measureReplay(ctx context.Context, r *rig) (measure, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, ordered]())
	if err != nil {
		return nil, err
	}
	events := r.scale.replayed
	processors := r.processors()
	sides := []side{processors.of(side{"consume", func() error { return r.consume(ctx, "COMMITS_1", events) }})}
	for _, size := range []int{1, 5} {
		cfg := esjs.Config{Stream: fmt.Sprintf("COMMITS_%d", size), Prefix: fmt.Sprintf("commits-%d", size)}
		store, err := r.newStore(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, store, orders(size), 0, events/size/ordersCommits); err != nil {
			return nil, err
		}
		sides = append(sides,
			processors.of(side{fmt.Sprintf("replay-%d", size), func() error { return replay(ctx, store, codec, events) }}),
			processors.of(side{fmt.Sprintf("read-%d", size), func() error { return replay(ctx, store, nil, events) }}))
	}
	rates := compareRates(events, sides)
	return func(loop func() bool) ([]figure, error) {
		figures, err := rates(loop)
		if err != nil {
			return nil, err
		}
		return append(figures, processors.figures(sides, events)...), nil
	}, nil
}

// replay reads so many orders, and decodes them if there is a codec.
func replay(ctx context.Context, store *esjs.Store, codec *esjs.Codec[esjs.Event], want int) error {
	read := 0
	for r, err := range store.ReadAll(ctx, esjs.Query{}) {
		if err != nil {
			return err
		}
		read++
		if codec == nil {
			continue
		}
		e, err := codec.Decode(r)
		if err != nil {
			return err
		}
		if total := e.Event.(ordered).Total; total != 4980 {
			return fmt.Errorf("esjsbench: an order of %d was replayed", total)
		}
	}
	if read != want {
		return fmt.Errorf("esjsbench: %d events were replayed, want %d", read, want)
	}
	return nil
}

// consume reads so many messages with an ordered consumer that looks at nothing.
func (r *rig) consume(ctx context.Context, stream string, messages int) error {
	consumer, err := r.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	consuming, err := consumer.Consume(func(jetstream.Msg) {
		if messages--; messages == 0 {
			close(done)
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	consuming.Stop()
	return firstError([]error{err, r.js.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name)})
}
