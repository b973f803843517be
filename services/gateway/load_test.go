package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/live"
)

var (
	loadStreams = flag.Int("load.streams", 200, "live streams that are open at the same time")
	loadRate    = flag.Int("load.rate", 100, "requests per second beside them")
	loadSeconds = flag.Int("load.seconds", 3, "for so long")
)

// Many look on while others ask, and now and then break off and come back: nobody
// misses anything, and the gateway does not grow: at no time is more alive in the heap
// than before, and what the queues of all streams may hold. One minute of it:
//
//	go test ./services/gateway -run Load -load.seconds 60 -v
func TestLoad(t *testing.T) {
	const queue = 256
	r := newRig(t, gateway.Config{Live: live.Config{PerSubject: 10_000, Queue: queue}})
	r.serveOrders(t, created)
	clients := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *loadRate}}
	requests := *loadRate * *loadSeconds
	const orders = 10 // of which each stream sees one

	// Each request is followed by a commit of two events.
	var (
		watching sync.WaitGroup
		begun    sync.WaitGroup
		returns  atomic.Int64
		largest  atomic.Int64 // event, in bytes as it is sent
	)
	want := uint64(2 * requests / orders)
	begun.Add(*loadStreams)
	for i := range *loadStreams {
		watching.Go(func() {
			path := fmt.Sprintf("/v1/orders/o-%d/live", i%orders)
			s, _ := r.live(t, path)
			s.beat()
			begun.Done()
			for version := uint64(0); version < want; {
				e := s.next()
				last := e.last
				if size := int64(e.size); size > largest.Load() {
					largest.Store(size)
				}
				if e.Version <= version {
					continue // of a commit that had come in part
				}
				if version++; e.Version != version {
					t.Errorf("stream %d: after version %d came %d", i, version-1, e.Version)
					return
				}
				if version%(uint64(i)+7) == 0 { // comes back where it was, also within a commit
					s.close()
					returns.Add(1)
					if s, _ = r.live(t, path, "Last-Event-ID", last); s == nil {
						t.Errorf("stream %d: is not let in again", i)
						return
					}
				}
			}
			s.close()
		})
	}
	begun.Wait()
	before := heap()
	highest := watchHeap(t)
	tick := time.NewTicker(time.Second / time.Duration(*loadRate))
	defer tick.Stop()
	var asking sync.WaitGroup
	for n := range requests {
		<-tick.C
		asking.Go(func() {
			answer, err := clients.Get(r.url + "/v1/orders/o-1")
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("request %d: %v %v", n, answer, err)
				return
			}
			answer.Body.Close()
		})
		r.Append("order", fmt.Sprintf("o-%d", n%orders), events.ItemRemoved{LineID: "l1"}, events.ItemRemoved{LineID: "l2"})
	}
	asking.Wait()
	watching.Wait()
	r.Until("all streams are closed", func() bool { return r.metric(t, "http_live_streams") == "0" })
	after := heap()
	peak := max(highest(), after)
	bound := before + uint64(*loadStreams)*queue*2*uint64(largest.Load()) // commits of two events
	t.Logf("%d streams saw %d events each, came back %d times, beside %d requests; alive in the heap were %d KiB, at most %d KiB, and are %d KiB; the bound is %d KiB",
		*loadStreams, want, returns.Load(), requests, before>>10, peak>>10, after>>10, bound>>10)
	if peak > bound {
		t.Errorf("the heap has grown from %d to %d MiB; what the queues may hold makes it %d MiB", before>>20, peak>>20, bound>>20)
	}
}

// heap is what is alive in the heap.
func heap() uint64 {
	runtime.GC()
	return alive()
}

// alive is what the last collection has found to be in use.
func alive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watchHeap returns what tells the most that any collection since has found in use.
func watchHeap(t *testing.T) (highest func() uint64) {
	var most atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			most.Store(max(most.Load(), alive()))
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	})
	return func() uint64 {
		stop()
		watching.Wait()
		return most.Load()
	}
}
