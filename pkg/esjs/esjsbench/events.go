package esjsbench

import (
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// deposited is a small event, of the account that is loaded and appended to.
type deposited struct {
	Amount int    `json:"amount"`
	Note   string `json:"note,omitzero"`
}

func (deposited) EventType() string { return "Deposited" }

func aDeposit() deposited {
	return deposited{Amount: 1, Note: "a usual event has some text in it"}
}

func account(key string) esjs.StreamID { return esjs.StreamID{Category: "account", Key: key} }

type balance struct{ Total int }

// deposit is the command that adds its amount.
type deposit int

type (
	accountHandler = esjs.CommandHandler[balance, deposit, esjs.Event]
	snapshots      = esjs.SnapshotPolicy[balance]
)

func accounts() (esjs.Aggregate[balance, deposit, esjs.Event], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited]())
	return esjs.Aggregate[balance, deposit, esjs.Event]{
		Category: "account",
		Codec:    codec,
		Apply: func(b balance, e esjs.Event) balance {
			b.Total += e.(deposited).Amount
			return b
		},
		Decide: func(_ balance, amount deposit) ([]esjs.Event, error) {
			return []esjs.Event{deposited{Amount: int(amount), Note: strings.Repeat("x", 33)}}, nil
		},
	}, err
}

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

func (ordered) EventType() string { return "Ordered" }

func anOrder(n int) ordered {
	return ordered{
		OrderID: fmt.Sprintf("0195f1a2-7000-8000-%012d", n), Customer: "Jane Doe", Total: 4980, Currency: "EUR",
		Lines: []orderedLine{{SKU: "A-1", Quantity: 2, Cents: 1990}, {SKU: "B-2", Quantity: 1, Cents: 1000}},
		Due:   time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC),
	}
}
