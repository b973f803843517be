package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/google/uuid"
)

// newOrderData is the form that opens an order.
type newOrderData struct {
	OrderID    string
	CustomerID string
	Own        bool // it can be for nobody else
	Currency   string
	CommandID  string
}

func newOrder(v *visit) error {
	data := newOrderData{
		OrderID: "o-" + uuid.NewString()[:8], CustomerID: v.who.CustomerID, Own: !v.operates(),
		Currency: "EUR", CommandID: v.commandID(),
	}
	if v.Method == http.MethodPost { // it was refused: what was written stays
		data.OrderID, data.CustomerID, data.Currency = v.PostFormValue("order_id"), v.PostFormValue("customer_id"), v.PostFormValue("currency")
	}
	return v.show("new", "New order", "", data)
}

// placeOrder opens a draft.
func placeOrder(v *visit) error {
	id := strings.TrimSpace(v.PostFormValue("order_id"))
	reply, err := v.command(service.Command{Category: events.CategoryOrder, Key: id, Verb: "create"}, desk.CreateOrder{
		CustomerID: v.PostFormValue("customer_id"), Currency: v.PostFormValue("currency"), Channel: "console",
	})
	if err != nil {
		return v.again(err, Root+"orders/new", newOrder)
	}
	return v.see(orderPath(id) + "?after=" + url.QueryEscape(reply.Revision))
}

func orderPath(id string) string { return Root + "orders/" + url.PathEscape(id) }

// commandOrder sends what a form of an order's page says.
func commandOrder(v *visit) error {
	id, verb := v.PathValue("id"), v.PathValue("verb")
	body, err := v.orderBody(verb)
	if err != nil {
		return v.again(err, orderPath(id), orderPage)
	}
	reply, err := v.command(service.Command{Category: events.CategoryOrder, Key: id, Verb: verb}, body)
	if err != nil {
		return v.again(err, orderPath(id), orderPage)
	}
	return v.see(orderPath(id) + "?after=" + url.QueryEscape(reply.Revision))
}

// orderBody reads the fields of a command's form.
func (v *visit) orderBody(verb string) (any, error) {
	form := v.PostFormValue
	switch verb {
	case "add-item":
		n, err := v.number("quantity")
		return desk.AddItem{SKU: strings.TrimSpace(form("sku")), Quantity: n}, err
	case "change-quantity":
		n, err := v.number("quantity")
		return desk.ChangeQuantity{LineID: form("line_id"), Quantity: n}, err
	case "remove-item":
		return desk.RemoveItem{LineID: form("line_id")}, nil
	case "set-shipping":
		return desk.SetShipping{AddressRef: form("address_ref"), Country: strings.ToUpper(strings.TrimSpace(form("country")))}, nil
	case "set-payment-method":
		return desk.SetPaymentMethod{MethodRef: form("method_ref")}, nil
	case "cancel":
		return desk.Because{Reason: form("reason")}, nil
	case "request-refund":
		return v.refund()
	}
	return desk.Nothing{}, nil
}

// refund reads for which lines, or which amount, money is asked back.
func (v *visit) refund() (any, error) {
	body := desk.RequestRefund{Reason: v.PostFormValue("reason"), Restock: v.PostFormValue("restock") != ""}
	if body.Amount = strings.TrimSpace(v.PostFormValue("amount")); body.Amount != "" {
		body.Restock = false
		return body, nil
	}
	for name := range v.PostForm {
		line, ok := strings.CutPrefix(name, "line-")
		if !ok || v.PostFormValue(name) == "" || v.PostFormValue(name) == "0" {
			continue
		}
		n, err := v.number(name)
		if err != nil {
			return nil, err
		}
		body.Lines = append(body.Lines, desk.RefundLine{LineID: line, Quantity: n})
	}
	return body, nil
}

func (v *visit) number(field string) (int, error) {
	text := strings.TrimSpace(v.PostFormValue(field))
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, refuse(http.StatusUnprocessableEntity, "field_invalid", "%q is %.40q; it must be a whole number", field, text)
	}
	return n, nil
}

// command sends a command with the id and the expected version of the form.
func (v *visit) command(cmd service.Command, body any) (desk.Reply[json.RawMessage], error) {
	if cmd.ID == "" {
		cmd.ID = v.PostFormValue("command_id")
	}
	if cmd.ID == "" {
		return desk.Reply[json.RawMessage]{}, refuse(http.StatusBadRequest, "bad_request", "the form has no command id; load the page again")
	}
	if text := v.PostFormValue("version"); text != "" && cmd.ExpectedVersion == nil {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return desk.Reply[json.RawMessage]{}, refuse(http.StatusBadRequest, "bad_request", "the form's version is %.40q, which is none; load the page again", text)
		}
		cmd.ExpectedVersion = &n
	}
	var reply desk.Reply[json.RawMessage]
	var err error
	if cmd.Body, err = json.Marshal(body); err != nil {
		return reply, err
	}
	ctx, cancel := context.WithTimeout(v.Context(), v.console.timeout)
	defer cancel()
	answer, err := v.console.desk.Send(ctx, cmd)
	if err != nil {
		return reply, expected(err)
	}
	return reply, json.Unmarshal(answer, &reply)
}

// expected says in the words of a page that another writer was faster.
func expected(err error) error {
	p := new(service.Problem)
	if !errors.As(err, &p) || p.Code != "conflict" {
		return err
	}
	said := *p
	said.Status, said.Title = http.StatusPreconditionFailed, http.StatusText(http.StatusPreconditionFailed)
	said.Detail = "Somebody else, or the system, was faster: this has changed since you opened the page. Nothing of yours was done. You now see it as it is; decide again."
	return &said
}

// again shows the page at a path with why what was tried on it was refused.
func (v *visit) again(err error, path string, page handler) error {
	p, level := service.ProblemOf(err)
	v.console.log.WithLevel(level).Err(err).Str("path", v.URL.EscapedPath()).Str("code", p.Code).Msg("console command refused")
	v.problem, v.at, v.seen = p, path, v.reached()
	return page(v)
}
