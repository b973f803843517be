package events

import "time"

// OrderCreated is appended by the order service: a customer opened a draft.
type OrderCreated struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Currency   string `json:"currency"`
	Channel    string `json:"channel,omitzero"`
}

// ItemAdded is appended by the order service: a line entered the draft, with
// the name and price that the product had at ProductRevision.
type ItemAdded struct {
	LineID          string `json:"line_id"`
	SKU             string `json:"sku"`
	Name            string `json:"name"`
	Quantity        int    `json:"quantity"`
	UnitPrice       Money  `json:"unit_price"`
	ProductRevision string `json:"product_revision"`
}

// ItemQuantityChanged is appended by the order service: a line of the draft
// has another quantity, because of change-quantity or because the same sku was
// added again at the same price.
type ItemQuantityChanged struct {
	LineID string `json:"line_id"`
	Old    int    `json:"old"`
	New    int    `json:"new"`
}

// ItemRemoved is appended by the order service: a line left the draft.
type ItemRemoved struct {
	LineID   string `json:"line_id"`
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// ShippingAddressSet is appended by the order service: where to ship. The
// address itself is personal data and stays behind its reference.
type ShippingAddressSet struct {
	AddressRef string `json:"address_ref"`
	Country    string `json:"country"`
}

// PaymentMethodSet is appended by the order service: what to pay with, in the
// draft or while another method is awaited. No card data, only its token.
type PaymentMethodSet struct {
	MethodRef string `json:"method_ref"`
}

// OrderLine is one line of a submitted order.
type OrderLine struct {
	LineID    string `json:"line_id"`
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitPrice Money  `json:"unit_price"`
}

// OrderSubmitted is appended by the order service: the customer ordered, the
// lines are frozen and fulfilment starts. PriceVersion is the newest product
// revision that a price was taken from.
type OrderSubmitted struct {
	OrderID      string      `json:"order_id"`
	CustomerID   string      `json:"customer_id"`
	Currency     string      `json:"currency"`
	Lines        []OrderLine `json:"lines"`
	Subtotal     Money       `json:"subtotal"`
	Total        Money       `json:"total"`
	AddressRef   string      `json:"address_ref"`
	Country      string      `json:"country"`
	MethodRef    string      `json:"method_ref"`
	PriceVersion string      `json:"price_version"`
}

// OrderReserved is appended by the order service: all lines are held in stock.
type OrderReserved struct {
	ReservationID string `json:"reservation_id"`
}

// OrderPaymentMethodAwaited is appended by the order service: the payment
// method was declined, and the customer may set another one until Until.
type OrderPaymentMethodAwaited struct {
	Until time.Time `json:"until"`
}

// OrderPaymentAuthorized is appended by the order service: the total is
// authorised on the customer's payment method.
type OrderPaymentAuthorized struct {
	PaymentID string `json:"payment_id"`
	Amount    Money  `json:"amount"`
}

// OrderConfirmed is appended by the order service, the arbiter between
// confirmation and cancellation: no cancellation was open, so the order goes on.
type OrderConfirmed struct {
	RequestID string `json:"request_id"`
}

// OrderConfirmationRefused is appended by the order service instead of
// OrderConfirmed: a cancellation is open.
type OrderConfirmationRefused struct {
	RequestID string `json:"request_id"`
	Reason    string `json:"reason"`
}

// OrderPaid is appended by the order service: the total was captured. From
// here on an order is not cancelled but refunded.
type OrderPaid struct {
	PaymentID string `json:"payment_id"`
	Captured  Money  `json:"captured"`
}

// OrderDispatched is appended by the order service: the goods are on their way. It comes
// again for a parcel in the place of a lost one.
type OrderDispatched struct {
	Tracking []string `json:"tracking"`
}

// OrderCompleted is appended by the order service: all is done.
type OrderCompleted struct {
	RequestID string `json:"request_id"`
}

// OrderCancellationRequested is appended by the order service: the customer
// wants to cancel an order that is being fulfilled; fulfilment decides whether
// that is still possible.
type OrderCancellationRequested struct {
	Reason string `json:"reason,omitzero"`
	By     string `json:"by,omitzero"`
}

// OrderCancellationRefused is appended by the order service: the cancellation
// came too late, for example because the order was already paid.
type OrderCancellationRefused struct {
	Reason string `json:"reason"`
}

// OrderCancelled is appended by the order service: the order ended at the
// customer's wish, as a draft or after everything was undone (then RequestID
// names the request that it answers).
type OrderCancelled struct {
	RequestID string `json:"request_id,omitzero"`
	Reason    string `json:"reason,omitzero"`
	By        string `json:"by,omitzero"`
}

// OrderRejected is appended by the order service: the order could not be
// fulfilled, and everything was undone.
type OrderRejected struct {
	RequestID   string        `json:"request_id"`
	Code        string        `json:"code"`
	Unavailable []Unavailable `json:"unavailable,omitzero"`
}

// OrderExpired is appended by the order service: the customer did not act in
// time, and everything was undone.
type OrderExpired struct {
	RequestID string `json:"request_id"`
}

// RefundLine is a quantity of a line that is to be refunded.
type RefundLine struct {
	LineID   string `json:"line_id"`
	Quantity int    `json:"quantity"`
}

// OrderRefundRequested is appended by the order service: Amount of the
// captured money shall go back, for Lines or, without lines, as a goodwill amount.
// Restock lists the goods of Lines that are put back into stock.
type OrderRefundRequested struct {
	RefundID  string       `json:"refund_id"`
	PaymentID string       `json:"payment_id"`
	Amount    Money        `json:"amount"`
	Lines     []RefundLine `json:"lines,omitzero"`
	Reason    string       `json:"reason,omitzero"`
	Restock   []StockLine  `json:"restock,omitzero"`
}

// OrderRefunded is appended by the order service: the customer has the Amount
// of a requested refund back.
type OrderRefunded struct {
	RefundID string `json:"refund_id"`
	Amount   Money  `json:"amount"`
}

func (OrderCreated) EventType() string               { return "OrderCreated" }
func (ItemAdded) EventType() string                  { return "ItemAdded" }
func (ItemQuantityChanged) EventType() string        { return "ItemQuantityChanged" }
func (ItemRemoved) EventType() string                { return "ItemRemoved" }
func (ShippingAddressSet) EventType() string         { return "ShippingAddressSet" }
func (PaymentMethodSet) EventType() string           { return "PaymentMethodSet" }
func (OrderSubmitted) EventType() string             { return "OrderSubmitted" }
func (OrderReserved) EventType() string              { return "OrderReserved" }
func (OrderPaymentMethodAwaited) EventType() string  { return "OrderPaymentMethodAwaited" }
func (OrderPaymentAuthorized) EventType() string     { return "OrderPaymentAuthorized" }
func (OrderConfirmed) EventType() string             { return "OrderConfirmed" }
func (OrderConfirmationRefused) EventType() string   { return "OrderConfirmationRefused" }
func (OrderPaid) EventType() string                  { return "OrderPaid" }
func (OrderDispatched) EventType() string            { return "OrderDispatched" }
func (OrderCompleted) EventType() string             { return "OrderCompleted" }
func (OrderCancellationRequested) EventType() string { return "OrderCancellationRequested" }
func (OrderCancellationRefused) EventType() string   { return "OrderCancellationRefused" }
func (OrderCancelled) EventType() string             { return "OrderCancelled" }
func (OrderRejected) EventType() string              { return "OrderRejected" }
func (OrderExpired) EventType() string               { return "OrderExpired" }
func (OrderRefundRequested) EventType() string       { return "OrderRefundRequested" }
func (OrderRefunded) EventType() string              { return "OrderRefunded" }
