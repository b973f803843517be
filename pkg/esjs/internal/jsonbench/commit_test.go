package jsonbench

import (
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	jsonv2 "github.com/go-json-experiment/json"
)

// ordered is an event of the usual size, with something of everything.
type ordered struct {
	OrderID  string        `json:"order_id"`
	Customer string        `json:"customer"`
	Lines    []orderedLine `json:"lines"`
	Total    int           `json:"total"`
	Currency string        `json:"currency"`
	Due      time.Time     `json:"due"`
	Express  bool          `json:"express"`
}

type orderedLine struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"`
}

var order = ordered{
	OrderID: "0195f1a2-7000-8000-000000000001", Customer: "Jane Doe", Total: 4980, Currency: "EUR",
	Lines: []orderedLine{{SKU: "A-1", Quantity: 2, Cents: 1990}, {SKU: "B-2", Quantity: 1, Cents: 1000}},
	Due:   time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC),
}

// commit is a commit of so many events as it is stored, with the metadata that
// a command handler writes.
func commit(events int) []byte {
	data, err := jsonv2.Marshal(order)
	if err != nil {
		panic(err)
	}
	all := make([]wire.Event, events)
	for i := range all {
		all[i] = wire.Event{
			ID: fmt.Sprintf("5b3f6f0e-9d0a-5c39-8f5e-1a2b3c4d%04x", i), Type: "Ordered", Source: "/order", Subject: order.OrderID,
			Time: time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC), Sequence: uint64(i + 11),
			CorrelationID: order.OrderID, CommandID: "0195f1a2-7000-8000-000000000003", Actor: "shop", Data: data,
		}
	}
	all[0].CommandHash = "Zs1gU6nYF2c2sLqkSdNcDs3ZdWFbzqH7r2Fh5pXoYb0"
	body, err := wire.AppendCommit(nil, []uint64{1871, 1800, 1700, 1650, 1604, 1500, 1400, 3, 2, 1}, all)
	if err != nil {
		panic(err)
	}
	return body
}
