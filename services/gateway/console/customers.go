package console

import (
	"net/url"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// customersData is the list of customers.
type customersData struct {
	Filter      queries.CustomerFilter
	Customers   []queries.Customer
	Next, First string
}

func customerList(v *visit) error {
	q := v.URL.Query()
	data := customersData{Filter: queries.CustomerFilter{Text: q.Get("q"), Paging: queries.Paging{Limit: 50, Cursor: q.Get("cursor")}}}
	data.Filter.ReadYourWrites = v.after()
	page, err := ask(v, queries.CustomerList, data.Filter)
	if err != nil {
		return err
	}
	data.Customers = page.Customers
	data.Next, data.First = pages(v.URL, page.NextCursor)
	live := v.everything()
	if data.First != "" {
		live = ""
	}
	return v.show("customers", "Customers", live, data)
}

// customerData is one customer with his orders.
type customerData struct {
	Customer    queries.Customer
	Orders      []queries.OrderSummary
	Next, First string
}

func customerPage(v *visit) error {
	id := v.PathValue("id")
	var data customerData
	var err error
	if data.Customer, err = ask(v, queries.CustomerGet, queries.CustomerRequest{CustomerID: id, ReadYourWrites: v.after()}); err != nil {
		return err
	}
	page, err := ask(v, queries.OrderList, queries.OrderFilter{CustomerID: id, Paging: queries.Paging{Limit: 25, Cursor: v.URL.Query().Get("cursor")}, ReadYourWrites: v.after()})
	if err != nil {
		return err
	}
	data.Orders = page.Orders
	data.Next, data.First = pages(v.URL, page.NextCursor)
	return v.show("customer", "Customer "+id, customerLive(id), data)
}

// customerLive is the stream that tells what happens to a customer's orders.
func customerLive(id string) string { return "/v1/customers/" + url.PathEscape(id) + "/live" }
