package inventory

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/events"
)

var _ = flag.Bool("rewrite", false, "write the scenarios in testdata as they are now")

func script[S, C any](t *testing.T, category string, apply func(S, events.Event) S, decide func(S, C) ([]events.Event, error)) *esjstest.AggregateScript[S, C, events.Event] {
	t.Helper()
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	return esjstest.NewAggregateScript(esjs.Aggregate[S, C, events.Event]{Category: category, Codec: codec, Apply: apply, Decide: decide})
}

func TestProductScenarios(t *testing.T) {
	s := script(t, events.CategoryProduct, ApplyProduct, DecideProduct)
	s.Commands = map[string]ProductCommand{
		"list":    List{Name: "Beans", Price: events.MustMoney("24.90", "EUR")},
		"reprice": Reprice{Price: events.MustMoney("25.90", "EUR")},
		"delist":  Delist{Reason: "out of season"},
	}
	s.State = func(p Product) string {
		if p == (Product{}) {
			return "none"
		}
		return fmt.Sprintf("%s for %s, listed %t", p.Name, p.Price, p.Listed)
	}
	s.Play(t, "testdata/product.txt")
	servicetest.Told(t, "testdata/product.txt", slices.Collect(maps.Keys(productVerbs(nil)))...)
}

func TestStockScenarios(t *testing.T) {
	s := script(t, events.CategoryStock, ApplyStock, DecideStock)
	s.Commands = map[string]StockCommand{
		"register": Register{}, "receive": Receive{Quantity: 5, Reference: "PO-1"}, "adjust": Adjust{Delta: -1, Reason: "broken", By: "ops"},
	}
	s.State = func(s Stock) string { return fmt.Sprintf("%d on hand, %d reserved", s.OnHand, s.Reserved) }
	s.Play(t, "testdata/stock.txt")
	servicetest.Told(t, "testdata/stock.txt", slices.Collect(maps.Keys(stockVerbs(nil)))...)
}

// shelf is an order's reservation and the stock of the one sku that there is.
type shelf struct {
	Reservation Reservation
	Beans       Stock
}

func (s shelf) apply(e events.Event) shelf {
	if beans := ApplyStock(s.Beans, e); beans != (Stock{}) {
		s.Beans = beans
	}
	s.Reservation = ApplyReservation(s.Reservation, e)
	return s
}

// decide stores the moves of the stock and the answer together.
func (s shelf) decide(request events.Event) ([]events.Event, error) {
	answer, moves := DecideRequest(s.Reservation, request, func(sku string) Stock {
		if sku == "beans" {
			return s.Beans
		}
		return Stock{}
	})
	var decided []events.Event
	for _, m := range moves {
		decided = append(decided, m.Event)
	}
	return append(decided, answer...), nil
}

func TestReservationScenarios(t *testing.T) {
	s := script(t, events.CategoryReservation, shelf.apply, shelf.decide)
	s.Commands = map[string]events.Event{
		"ReservationRequested": reserving(1, line("beans", 2)),
		"ReleaseRequested":     releasing(2),
		"StockCommitRequested": committing(3),
		"RestockRequested":     restocking(4, "rf-1", line("beans", 1)),
		"its-time-ends":        Due{OrderID: "o-1", At: soon},
	}
	s.State = func(s shelf) string {
		status := s.Reservation.Status
		if status == "" {
			status = "none"
		}
		return fmt.Sprintf("%s; beans: %d on hand, %d reserved", status, s.Beans.OnHand, s.Beans.Reserved)
	}
	s.Play(t, "testdata/reservation.txt")
	servicetest.Told(t, "testdata/reservation.txt", append(requestTypes(t), "its-time-ends")...)
}

// requestTypes are the types of all events that ask something of the inventory.
func requestTypes(t *testing.T) (types []string) {
	for _, typ := range events.Types {
		e, err := typ.Decode([]byte(`{"order_id":"o-1"}`), func(data []byte, v any) error { return json.Unmarshal(data, v) })
		if err != nil {
			t.Fatal(err)
		}
		if asks(e) != "" {
			types = append(types, typ.Name)
		}
	}
	return types
}
