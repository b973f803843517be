package desk

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/go-json-experiment/json"
)

// seenBy is what p sees of an answer: an operator and an auditor all of it, a customer
// what is listed for its type. An answer of a type that is not listed is an error.
func seenBy[A any](p signin.Principal, body []byte) ([]byte, error) {
	if oversees(p) {
		return body, nil
	}
	var answer A
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("what a customer sees of an answer: %w", err)
	}
	switch a := any(&answer).(type) {
	case *queries.OrderPage, *queries.Customer, *queries.ProductPage: // all of it is about him, or for everybody
	case *queries.Order:
		a.Cancellation.Reason, a.Cancellation.By = said(p, a.Cancellation.Reason, a.Cancellation.By)
	case *queries.Timeline:
		a.Entries = only(a.Entries, customerEntry)
	case *queries.OrderMoment:
		a.State = customerView(p, a.State)
	case *Reply[queries.OrderView]:
		a.State = customerView(p, a.State)
	case *queries.OrderDifference:
		a.From.State, a.To.State = customerView(p, a.From.State), customerView(p, a.To.State)
		if err := onlySeen(a); err != nil {
			return nil, err
		}
	case *queries.OrderEventPage:
		a.Events = only(a.Events, CustomerEvent)
	default:
		return nil, fmt.Errorf("nobody has said what a customer sees of a %T", answer)
	}
	return json.Marshal(answer, json.Deterministic(true))
}

func oversees(p signin.Principal) bool { return p.Has(Overseers()...) }

// only are those of all of which a customer sees something, as he sees them.
func only[T any](all []T, seen func(T) (T, bool)) []T {
	some := make([]T, 0, len(all))
	for _, one := range all {
		if shown, ok := seen(one); ok {
			some = append(some, shown)
		}
	}
	return some
}

// said are a reason and who gave it, when that is p himself.
func said(p signin.Principal, reason, by string) (ofReason, ofBy string) {
	if by == p.Subject {
		return reason, by
	}
	return "", ""
}

// customerView is what a customer sees of an order of his.
func customerView(p signin.Principal, v queries.OrderView) queries.OrderView {
	seen := queries.OrderView{
		OrderID: v.OrderID, Status: v.Status, CustomerID: v.CustomerID, Currency: v.Currency, Channel: v.Channel,
		Lines: v.Lines, Total: v.Total, AddressRef: v.AddressRef, Country: v.Country, MethodRef: v.MethodRef,
		PaymentID: v.PaymentID, MethodAwaited: v.MethodAwaited, Captured: v.Captured, RefundsSum: v.RefundsSum, Tracking: v.Tracking,
	}
	if v.Cancellation != nil {
		seen.Cancellation = &queries.OrderCancellation{}
		seen.Cancellation.Reason, seen.Cancellation.By = said(p, v.Cancellation.Reason, v.Cancellation.By)
	}
	for _, r := range v.Refunds {
		seen.Refunds = append(seen.Refunds, queries.OrderRefund{RefundID: r.RefundID, Amount: r.Amount, Done: r.Done})
	}
	if v.End != nil {
		seen.End = &queries.OrderEnd{Code: v.End.Code, Unavailable: v.End.Unavailable}
		seen.End.Reason, seen.End.By = said(p, v.End.Reason, v.End.By)
	}
	return seen
}

// onlySeen leaves of the changes of a difference those whose values are in its states,
// as they are there.
func onlySeen(d *queries.OrderDifference) error {
	var from, to any
	for tree, state := range map[*any]queries.OrderView{&from: d.From.State, &to: d.To.State} {
		data, err := json.Marshal(state)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, tree); err != nil {
			return err
		}
	}
	d.Changes = only(d.Changes, func(c queries.OrderChange) (queries.OrderChange, bool) {
		c.Old, c.New = valueAt(from, c.Path), valueAt(to, c.Path)
		return c, c.Old != nil || c.New != nil
	})
	return nil
}

// valueAt is the value that the path of a change names; nil when there is none.
func valueAt(tree any, path string) any {
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch at := tree.(type) {
		case map[string]any:
			tree = at[name]
		case []any:
			tree = member(at, name)
		default:
			return nil
		}
	}
	return tree
}

// member is the element of a list that a path names by its line_id, or by its place.
func member(list []any, name string) any {
	for i, e := range list {
		line, _ := e.(map[string]any)
		if id, ok := line["line_id"].(string); ok && id == name || !ok && strconv.Itoa(i) == name {
			return e
		}
	}
	return nil
}
