package console

import (
	"net/url"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// ordersData is the list of orders.
type ordersData struct {
	Filter   queries.OrderFilter
	From, To string // days, as they were given
	States   []queries.OrderState
	Page     queries.OrderPage
	Next     string // the page after this one; "" on the last
	First    string // the first page; "" on it
	Filtered bool
	Buys     bool
	Own      bool // the visitor sees his own orders only
}

func orderList(v *visit) error {
	q := v.URL.Query()
	data := ordersData{
		States: queries.OrderStates(), From: q.Get("from"), To: q.Get("to"), Buys: v.buys(), Own: !v.oversees(),
		Filter: queries.OrderFilter{
			Text: q.Get("q"), State: queries.OrderState(q.Get("state")), CustomerID: q.Get("customer"),
			Paging: queries.Paging{Limit: 25, Cursor: q.Get("cursor")},
		},
	}
	var err error
	if data.Filter.CreatedFrom, err = day("from", data.From); err != nil {
		return err
	}
	if data.Filter.CreatedBefore, err = day("to", data.To); err != nil {
		return err
	}
	if !data.Filter.CreatedBefore.IsZero() {
		data.Filter.CreatedBefore = data.Filter.CreatedBefore.AddDate(0, 0, 1) // the day is meant whole
	}
	data.Filter.ReadYourWrites = v.after()
	if data.Page, err = ask(v, queries.OrderList, data.Filter); err != nil {
		return err
	}
	data.Next, data.First = pages(v.URL, data.Page.NextCursor)
	for _, name := range []string{"q", "state", "customer", "from", "to"} {
		data.Filtered = data.Filtered || q.Get(name) != ""
	}
	live := v.everything()
	if data.Own {
		live = customerLive(v.who.CustomerID)
	}
	if data.First != "" {
		live = "" // a page further back stays as it was read
	}
	return v.show("orders", "Orders", live, data)
}

// day reads a date that a form gave; "" is none.
func day(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, refuse(400, "bad_request", "%q is %.40q; it must be a day such as 2026-03-01", field, text)
	}
	return t, nil
}

// pager leads to the next and to the first page of a list; "" is where there is none
// or it is this one.
type pager struct {
	Next, First string
}

// pages are the addresses of the next and of the first page of a page's list.
func pages(u *url.URL, next string) (after, first string) {
	p := pagerOf(u, "cursor", next)
	return p.Next, p.First
}

// pagerOf is the pager of the list whose cursor has that name in the address.
func pagerOf(u *url.URL, name, next string) (p pager) {
	q := u.Query()
	if q.Get(name) != "" {
		q.Del(name)
		p.First = u.Path + "?" + q.Encode()
	}
	if next != "" {
		q.Set(name, next)
		p.Next = u.Path + "?" + q.Encode()
	}
	return p
}
