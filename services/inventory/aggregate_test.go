package inventory

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

// What esjs demands of every aggregate.
func TestAggregates(t *testing.T) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	all := esjstest.ReadSamples(t, codec, "../../pkg/events/testdata/*.json")
	beans, dear := events.MustMoney("24.90", "EUR"), events.MustMoney("30.00", "EUR")
	t.Run("product", func(t *testing.T) {
		esjstest.CheckAggregate(t, productAggregate(codec), esjstest.Samples[ProductCommand, events.Event]{
			Events: all,
			Commands: []ProductCommand{
				List{"Beans", beans}, List{"Peas", beans}, List{}, Reprice{dear}, Reprice{events.MustMoney("1.00", "USD")}, Delist{Reason: "season"},
			},
		})
	})
	t.Run("stock", func(t *testing.T) {
		esjstest.CheckAggregate(t, stockAggregate(codec), esjstest.Samples[StockCommand, events.Event]{
			Events: all,
			Commands: []StockCommand{
				Register{}, Receive{Quantity: 5}, Receive{}, Adjust{Delta: -2, Reason: "broken"}, Adjust{Reason: "count"}, Adjust{Delta: 1},
			},
			// Goods that come twice are more goods: command ids tell them apart.
			AddsUp: func(c StockCommand) bool { _, registers := c.(Register); return !registers },
		})
	})
	t.Run("reservation", func(t *testing.T) {
		esjstest.CheckAggregate(t, reservationAggregate(codec), esjstest.Samples[busy, events.Event]{
			Events:   all,
			Commands: []busy{{reserving(1, line("a", 2))}, {reserving(2, line("a", 2))}},
			Histories: [][]events.Event{
				{events.ReservationConfirmed{OrderID: "o-1", RequestID: "r-1"}, events.ReservationReleased{OrderID: "o-1", RequestID: "r-3"}},
				{events.ReservationRejected{OrderID: "o-1", RequestID: "r-2"}, events.ReservationVoided{OrderID: "o-1", RequestID: "r-3"}},
			},
		})
	})
}
