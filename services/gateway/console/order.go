package console

import (
	"encoding/json"
	"net/url"
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// orderData is everything about one order.
type orderData struct {
	Order    queries.Order
	Machines [2]machine // for wide and for narrow screens
	Stories  []story
	Only     string // category whose events are told; "" for all
	More     bool   // there are more events than are shown
	History  historyData
	Saga     *queries.Saga
	Products queries.ProductPage // that can be ordered; none when nobody tells
	Oversees bool                // the visitor sees what is not the order's alone
	May      may
	Refund   refundable
}

// refundable is what can still be given back of an order.
type refundable struct {
	Left  events.Money
	Lines []refundLine
}

// refundLine is a line of which Left can still be given back.
type refundLine struct {
	queries.OrderLine
	Left int
}

// may is what the visitor can do with an order as it is.
type may struct {
	Edit, Submit, Cancel, Refund, Restock, ChoosePayment bool
}

// maxStories bounds the events that an order's page shows.
const maxStories = 1500

func orderPage(v *visit) error {
	id := v.PathValue("id")
	order, err := ask(v, queries.OrderGet, queries.OrderRequest{OrderID: id, ReadYourWrites: v.after()})
	if err != nil {
		return err
	}
	entries, more, err := v.timeline(id)
	if err != nil {
		return err
	}
	data := orderData{Order: order, More: more, May: v.may(order), Oversees: v.oversees(), Only: v.URL.Query().Get("only")}
	if data.May.Refund {
		if data.Refund, err = v.refundable(order); err != nil {
			return err
		}
		data.May.Refund = data.Refund.Left.Sign() > 0
	}
	data.Stories = slices.DeleteFunc(stories(entries), func(s story) bool { return data.Only != "" && s.Category != data.Only })
	passed := passedBy(entries, order.Version)
	data.Machines = machines(order.State, passed)
	if data.History, err = v.history(id, order.Version, entries); err != nil {
		return err
	}
	if v.oversees() {
		saga, found, err := optional(ask(v, queries.SagaGet, queries.SagaRequest{OrderID: id}))
		if err != nil {
			return err
		}
		if found {
			data.Saga = &saga
		}
	}
	if data.May.Edit {
		data.Products, _, err = optional(ask(v, queries.ProductList, queries.ProductFilter{Paging: queries.Paging{Limit: 200}}))
		if err != nil {
			return err
		}
	}
	return v.show("order", "Order "+id, "/v1/orders/"+url.PathEscape(id)+"/live", data)
}

// may says what the visitor can do. The order service decides; what it would refuse
// in this state is not offered.
func (v *visit) may(o queries.Order) may {
	if !v.who.Has(signin.Operator) && (!v.who.Has(signin.Customer) || v.who.CustomerID != o.CustomerID) {
		return may{}
	}
	draft := o.State == queries.Draft
	return may{
		Edit:          draft,
		Submit:        draft,
		Cancel:        slices.Contains([]queries.OrderState{queries.Draft, queries.Submitted, queries.Reserved, queries.Authorized, queries.Confirmed}, o.State),
		Refund:        slices.Contains([]queries.OrderState{queries.Paid, queries.Dispatched, queries.Completed}, o.State),
		Restock:       v.operates(),
		ChoosePayment: o.State == queries.Reserved && !o.PaymentMethodUntil.IsZero(),
	}
}

// refundable reads what was asked back of an order, and says what is left. The order's own
// events tell all of it, however long the timeline is that the page shows.
func (v *visit) refundable(o queries.Order) (refundable, error) {
	var requested []events.OrderRefundRequested
	request := queries.OrderEventsRequest{OrderID: o.OrderID, Limit: 500}
	for more := o.RefundRequested.Sign() > 0; more; more = request.From > 0 {
		page, err := ask(v, queries.OrderEvents, request)
		if err != nil {
			return refundable{}, err
		}
		for _, e := range page.Events {
			var r events.OrderRefundRequested
			if e.Type == r.EventType() && json.Unmarshal(e.Data, &r) == nil {
				requested = append(requested, r)
			}
		}
		request.From = page.Next
	}
	return refundableOf(o, requested), nil
}

// refundableOf is what was captured less what was asked back, and of each line what is
// neither asked back nor dearer than what is left.
func refundableOf(o queries.Order, requested []events.OrderRefundRequested) refundable {
	left, err := o.Captured.Sub(o.RefundRequested)
	if err != nil || left.Sign() <= 0 {
		return refundable{}
	}
	back := map[string]int{}
	for _, r := range requested {
		for _, l := range r.Lines {
			back[l.LineID] += l.Quantity
		}
	}
	of := refundable{Left: left}
	for _, l := range o.Lines {
		n := l.Quantity - back[l.LineID]
		if price := l.UnitPrice.Minor(); price > 0 {
			n = min(n, int(left.Minor()/price))
		}
		if n > 0 {
			of.Lines = append(of.Lines, refundLine{l, n})
		}
	}
	return of
}

// timeline reads what happened to an order.
func (v *visit) timeline(id string) (all []queries.TimelineEntry, more bool, err error) {
	request := queries.TimelineRequest{OrderID: id, ReadYourWrites: v.after()}
	for {
		page, err := ask(v, queries.OrderTimeline, request)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page.Entries...)
		if page.NextCursor == "" || len(all) >= maxStories {
			return all, page.NextCursor != "", nil
		}
		request.Cursor = page.NextCursor
	}
}
