package inventory_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/inventory"
)

// BenchmarkReservations reports how many waiting orders of three skus an instance
// answers in a second, from its start on: deciding them in groups, and, as the
// baseline, one reservation in each atomic append. The two take turns; medians
// and their ratio are reported. With "1-hot" every order wants the same three skus.
// What runs once shows only that it works, with a tenth of the orders.
func BenchmarkReservations(b *testing.B) {
	waiting := 2000
	if flag.Lookup("test.benchtime").Value.String() == "1x" {
		waiting /= 10
	}
	for _, deployment := range []struct {
		name  string
		start func(testing.TB, ...esjstest.Option) *esjstest.Deployment
	}{{"R1", esjstest.Server}, {"R3", esjstest.Cluster}} {
		for _, skus := range []struct {
			name string
			n    int
		}{{"1-hot", 3}, {"1000", 1000}} {
			b.Run(deployment.name+"/skus="+skus.name, func(b *testing.B) {
				h := houseOn(b, deployment.start(b))
				for i := range skus.n {
					h.receive(fmt.Sprint("s-", i), 1_000_000)
				}
				answers := h.Follow(esjs.Query{Categories: []string{events.CategoryReservation}})
				var groups, single []float64
				for b.Loop() {
					turn := fmt.Sprint(len(groups))
					groups = append(groups, h.rate("g"+turn, skus.n, waiting, inventory.Config{}, answers))
					single = append(single, h.rate("s"+turn, skus.n, waiting/20, inventory.Config{Batch: 1}, answers))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(groups), "reservations/s")
				b.ReportMetric(median(single), "single/s")
				b.ReportMetric(median(groups)/median(single), "ratio")
			})
		}
	}
}

// rate returns how many orders an instance answers in a second.
func (h *house) rate(name string, skus, orders int, cfg inventory.Config, answers *servicetest.Feed[events.Event]) float64 {
	h.T.Helper()
	var asking errgroup.Group
	asking.SetLimit(32)
	for i := range orders {
		asking.Go(func() error {
			var lines []events.StockLine
			for n := range 3 {
				lines = append(lines, events.StockLine{SKU: fmt.Sprint("s-", (3*i+n)%skus), Quantity: 1})
			}
			order := fmt.Sprint(name, "-", i)
			_, err := h.Store.Append(h.T.Context(), esjs.StreamID{Category: events.CategoryFulfilment, Key: order}, esjs.Any(),
				events.ReservationRequested{Request: ask(order, 1), Lines: lines, ExpiresAt: time.Now().Add(time.Hour)})
			return err
		})
	}
	h.Check(asking.Wait())
	started, confirmed := time.Now(), 0
	stop := h.runAs(cfg)
	answers.Find("all orders are answered", func(e esjs.Recorded[events.Event]) bool {
		if _, ok := e.Event.(events.ReservationConfirmed); ok && strings.HasPrefix(e.Stream.Key, name+"-") {
			confirmed++
		}
		return confirmed == orders
	})
	rate := float64(orders) / time.Since(started).Seconds()
	// The other's turn does not pay for the timers of this one.
	deadlines, _ := service.DeadlineSubscriptions(events.CategoryReservation)
	h.Until("the timers are set", func() bool {
		all, err := esjs.Subscriptions(h.T.Context(), h.Store, inventory.BucketSubscriptions)
		h.Check(err)
		return slices.ContainsFunc(all, func(s esjs.SubscriptionStatus) bool { return s.Name == deadlines && s.Lag == 0 })
	})
	stop()
	return rate
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
