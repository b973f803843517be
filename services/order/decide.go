package order

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Command is something that a customer, an operator or fulfilment wants of an
// order. Deciding is pure: it returns the events that follow, none when there
// is nothing to do, or a *[esjs.Rejection].
type Command interface {
	decide(State) ([]events.Event, error)
}

// Decide is the order aggregate's decision.
func Decide(s State, c Command) ([]events.Event, error) { return c.decide(s) }

// Create opens a draft.
type Create struct {
	OrderID, CustomerID, Currency, Channel string
}

func (c Create) decide(s State) ([]events.Event, error) {
	if s.exists() {
		return nil, reject(http.StatusConflict, "order_exists", "order %s exists already, as %s; choose another id", c.OrderID, s.Status)
	}
	if err := firstOf(text("order_id", c.OrderID), text("customer_id", c.CustomerID), optional("channel", c.Channel)); err != nil {
		return nil, err
	}
	if _, err := events.NewMoney(0, c.Currency); err != nil {
		return nil, reject(http.StatusUnprocessableEntity, "unknown_currency", "%v", err)
	}
	return one(events.OrderCreated(c))
}

// Product is what the order service knows of a sku; the zero Product is
// unknown. Revision names the event that gave it its name and price.
type Product struct {
	Name     string
	Price    events.Money
	Revision string
	Listed   bool
}

// AddItem adds a quantity of a product to the draft.
type AddItem struct {
	SKU      string
	Quantity int
	Product  Product
}

func (c AddItem) decide(s State) ([]events.Event, error) {
	if err := firstOf(s.changeable(), text("sku", c.SKU), quantity(c.Quantity, 1)); err != nil {
		return nil, err
	}
	switch {
	case c.Product == Product{}:
		return nil, reject(http.StatusUnprocessableEntity, "unknown_sku", "there is no product %q; a sku must have been listed", c.SKU)
	case !c.Product.Listed:
		return nil, reject(http.StatusUnprocessableEntity, "delisted_sku", "product %q is no longer for sale", c.SKU)
	case c.Product.Price.Currency() != s.Currency:
		return nil, reject(http.StatusUnprocessableEntity, "currency_mismatch", "product %q costs %s and the order is in %s; an order has one currency", c.SKU, c.Product.Price, s.Currency)
	case c.Product.Price.Sign() <= 0:
		return nil, reject(http.StatusUnprocessableEntity, "price_not_positive", "product %q costs %s; only a price above zero can be ordered", c.SKU, c.Product.Price)
	}
	for _, l := range s.Lines {
		if l.SKU != c.SKU {
			continue
		}
		if l.UnitPrice != c.Product.Price {
			return nil, reject(http.StatusConflict, "price_changed", "line %s has %q for %s, which now costs %s; remove the line to take the new price", l.LineID, c.SKU, l.UnitPrice, c.Product.Price)
		}
		return s.setQuantity(l, l.Quantity+c.Quantity)
	}
	if len(s.Lines) >= MaxLines {
		return nil, reject(http.StatusUnprocessableEntity, "too_many_lines", "the order has %d lines; at most %d are allowed", len(s.Lines), MaxLines)
	}
	return s.within(events.ItemAdded{
		LineID: fmt.Sprintf("l%d", s.LinesAdded+1), SKU: c.SKU, Name: c.Product.Name, Quantity: c.Quantity,
		UnitPrice: c.Product.Price, ProductRevision: c.Product.Revision,
	})
}

// ChangeQuantity gives a line another quantity; 0 removes it.
type ChangeQuantity struct {
	LineID   string
	Quantity int
}

func (c ChangeQuantity) decide(s State) ([]events.Event, error) {
	l, err := s.draftLine(c.LineID)
	if err != nil {
		return nil, err
	}
	return s.setQuantity(l, c.Quantity)
}

// RemoveItem removes a line.
type RemoveItem struct {
	LineID string
}

func (c RemoveItem) decide(s State) ([]events.Event, error) {
	return ChangeQuantity{LineID: c.LineID}.decide(s)
}

func (s State) setQuantity(l Line, n int) ([]events.Event, error) {
	if err := quantity(n, 0); err != nil {
		return nil, err
	}
	switch n {
	case l.Quantity:
		return nil, nil
	case 0:
		return one(events.ItemRemoved{LineID: l.LineID, SKU: l.SKU, Quantity: l.Quantity})
	}
	return s.within(events.ItemQuantityChanged{LineID: l.LineID, Old: l.Quantity, New: n})
}

// within refuses what would make the total larger than money can be.
func (s State) within(e events.Event) ([]events.Event, error) {
	if _, err := sum(Apply(s, e).Lines); err != nil {
		return nil, reject(http.StatusUnprocessableEntity, "total_out_of_range", "the order's total would be beyond what can be counted: %v", err)
	}
	return one(e)
}

// SetShipping says where to ship: a reference to an address, and its country.
type SetShipping struct {
	AddressRef, Country string
}

func (c SetShipping) decide(s State) ([]events.Event, error) {
	if err := firstOf(s.changeable(), text("address_ref", c.AddressRef), text("country", c.Country)); err != nil {
		return nil, err
	}
	if len(c.Country) != 2 || strings.Trim(c.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, reject(http.StatusUnprocessableEntity, "country_invalid", "country %q is not two capital letters of ISO 3166, such as DE", c.Country)
	}
	if s.AddressRef == c.AddressRef && s.Country == c.Country {
		return nil, nil
	}
	return one(events.ShippingAddressSet(c))
}

// SetPaymentMethod says what to pay with: a token of the payment provider. The number
// of a card is refused: what is stored stays for ever.
type SetPaymentMethod struct {
	MethodRef string
	At        time.Time // when it is asked for
}

func (c SetPaymentMethod) decide(s State) ([]events.Event, error) {
	if err := s.existing(); err != nil {
		return nil, err
	}
	awaited := s.Status == Reserved && !s.MethodAwaited.IsZero()
	if s.Status != Draft && !awaited {
		return nil, reject(http.StatusConflict, "not_draft", "order %s is %s; its payment method can be set while it is a Draft, or Reserved and awaiting another method", s.OrderID, s.Status)
	}
	if awaited && c.At.After(s.MethodAwaited) {
		return nil, reject(http.StatusConflict, "payment_window_over", "order %s awaited another payment method until %s; it ends without one, so place a new order",
			s.OrderID, s.MethodAwaited.UTC().Format(time.RFC3339))
	}
	if s.Status == Draft {
		if err := s.changeable(); err != nil {
			return nil, err
		}
	}
	if err := text("method_ref", c.MethodRef); err != nil {
		return nil, err
	}
	if isCardNumber(c.MethodRef) {
		return nil, reject(http.StatusUnprocessableEntity, "card_number_refused", "method_ref looks like the number of a card, which must not be stored; give the payment provider's token for it")
	}
	if s.MethodRef == c.MethodRef && !awaited { // while awaited, the same method may be tried again
		return nil, nil
	}
	return one(events.PaymentMethodSet{MethodRef: c.MethodRef})
}

// Submit orders: the lines are frozen and fulfilment starts.
type Submit struct{}

func (c Submit) decide(s State) ([]events.Event, error) {
	if err := s.draft(); err != nil {
		return nil, err
	}
	switch {
	case len(s.Lines) == 0:
		return nil, reject(http.StatusUnprocessableEntity, "no_items", "the order has no items; add at least one with add-item")
	case s.AddressRef == "":
		return nil, reject(http.StatusUnprocessableEntity, "shipping_missing", "the order has no shipping address; give one with set-shipping")
	case s.MethodRef == "":
		return nil, reject(http.StatusUnprocessableEntity, "payment_method_missing", "the order has no payment method; give one with set-payment-method")
	}
	total, err := sum(s.Lines)
	if err != nil {
		return nil, reject(http.StatusUnprocessableEntity, "total_out_of_range", "the order's total is beyond what can be counted: %v", err)
	}
	if total.Sign() <= 0 {
		return nil, reject(http.StatusUnprocessableEntity, "total_not_positive", "the order's total is %s; it must be above zero", total)
	}
	submitted := events.OrderSubmitted{
		OrderID: s.OrderID, CustomerID: s.CustomerID, Currency: s.Currency, Subtotal: total, Total: total,
		AddressRef: s.AddressRef, Country: s.Country, MethodRef: s.MethodRef, PriceVersion: newestRevision(s.Lines),
	}
	for _, l := range s.Lines {
		submitted.Lines = append(submitted.Lines, events.OrderLine{LineID: l.LineID, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice})
	}
	return one(submitted)
}

// newestRevision returns the product revision among the lines that was stored last.
func newestRevision(lines []Line) (newest string) {
	var at esjs.Position
	for _, l := range lines {
		r, err := esjs.ParseRevision(l.ProductRevision)
		if err == nil && r.Position().Covers(at) {
			newest, at = l.ProductRevision, r.Position()
		}
	}
	return newest
}
