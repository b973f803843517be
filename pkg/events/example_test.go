package events_test

import (
	"encoding/json"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/events"
)

func ExampleMoney() {
	price, _ := events.ParseMoney("24.9", "EUR")
	total, _ := price.Mul(3)
	data, _ := json.Marshal(total)
	fmt.Println(total, string(data))

	_, err := events.ParseMoney("24.905", "EUR")
	fmt.Println(err)
	yen, _ := events.ParseMoney("500", "JPY")
	_, err = price.Add(yen)
	fmt.Println(err)
	// Output:
	// 74.70 EUR {"amount":"74.70","currency":"EUR"}
	// amount "24.905" has 3 decimals, EUR allows at most 2
	// currency: 24.90 EUR and 500 JPY do not mix
}

func ExampleMoney_Split() {
	discount, _ := events.ParseMoney("10.00", "EUR")
	parts, _ := discount.Split(1, 1, 1)
	fmt.Println(parts)
	// Output:
	// [3.34 EUR 3.33 EUR 3.33 EUR]
}

// A codec is built from the list without this package knowing of it.
func ExampleType() {
	for _, t := range events.Types[:1] {
		event, err := t.Decode([]byte(`{"order_id":"o-1","customer_id":"c-1","currency":"EUR"}`), json.Unmarshal)
		fmt.Println(t.Name, t.SchemaVersion, event.(events.OrderCreated).OrderID, err)
	}
	// Output:
	// OrderCreated 1 o-1 <nil>
}
