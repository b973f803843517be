package esjs_test

import (
	"fmt"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkReplay compares reading the whole store, decoded, with an ordered
// consumer that looks at nothing, over the same number of events.
func BenchmarkReplay(b *testing.B) {
	const events = 20000
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, noted]())
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 5} {
		d := esjstest.Server(b)
		store := d.Store(b)
		for i := range events / size {
			notes := make([]esjs.Event, size)
			for j := range notes {
				notes[j] = noted{j}
			}
			id := esjs.StreamID{Category: "note", Key: fmt.Sprint(i)}
			if _, err := store.Append(b.Context(), id, esjs.NoStream(), notes...); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("read all, commits of %d", size), func(b *testing.B) {
			for b.Loop() {
				n := 0
				for r, err := range store.ReadAll(b.Context(), esjs.Query{}) {
					if err != nil {
						b.Fatal(err)
					}
					if _, err := codec.Decode(r); err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != events {
					b.Fatalf("%d events were read", n)
				}
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		if size == 1 {
			js, err := jetstream.New(d.Connect(b))
			if err != nil {
				b.Fatal(err)
			}
			b.Run("ordered consumer, commits of 1", func(b *testing.B) {
				for b.Loop() {
					consumeAll(b, js, events)
				}
				b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func consumeAll(b *testing.B, js jetstream.JetStream, n int) {
	b.Helper()
	consumer, err := js.OrderedConsumer(b.Context(), "EVENTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	consuming, err := consumer.Consume(func(jetstream.Msg) {
		if n--; n == 0 {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	<-done
	consuming.Stop()
	if err := js.DeleteConsumer(b.Context(), "EVENTS", consumer.CachedInfo().Name); err != nil {
		b.Fatal(err)
	}
}
