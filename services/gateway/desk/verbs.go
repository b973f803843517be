package desk

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// Categories of what operators decide about.
const (
	CategorySaga       = "saga"       // whose key is the order's id
	CategoryProjection = "projection" // whose key is a version's full name, "orders_v2", and for rebuild the view's
)

// Verbs returns every command that may be sent, those of a category together.
func Verbs() []Verb {
	const order, product, stock = events.CategoryOrder, events.CategoryProduct, events.CategoryStock
	buyers := []signin.Role{signin.Customer, signin.Operator}
	operators := []signin.Role{signin.Operator}
	type orderView = queries.OrderView
	return []Verb{
		verb[CreateOrder, orderView](order, "create", "Open a draft", buyers).creates(),
		verb[AddItem, orderView](order, "add-item", "Add a product to a draft", buyers),
		verb[ChangeQuantity, orderView](order, "change-quantity", "Change how many of a line are ordered; 0 removes it", buyers).replaces(),
		verb[RemoveItem, orderView](order, "remove-item", "Remove a line from a draft", buyers),
		verb[SetShipping, orderView](order, "set-shipping", "Say where an order goes", buyers).replaces(),
		verb[SetPaymentMethod, orderView](order, "set-payment-method", "Say how an order is paid", buyers).replaces(),
		verb[Nothing, orderView](order, "submit", "Place a draft as an order", buyers),
		verb[Because, orderView](order, "cancel", "Cancel an order that is not paid yet", buyers),
		verb[RequestRefund, orderView](order, "request-refund", "Ask for money back", buyers),

		verb[ListProduct, ProductState](product, "list", "Offer a product", operators),
		verb[Reprice, ProductState](product, "reprice", "Change a product's price", operators).replaces(),
		verb[Because, ProductState](product, "delist", "Offer a product no longer", operators),

		verb[Nothing, StockState](stock, "register", "Begin to keep stock of a product", operators),
		verb[Receive, StockState](stock, "receive", "Receive goods", operators),
		verb[Adjust, StockState](stock, "adjust", "Correct the stock after counting", operators),

		verb[Decide, SagaState](CategorySaga, "retry", "Have the step that waits tried anew, now", operators),
		verb[Resolve, SagaState](CategorySaga, "resolve", "Say that the step is done, as is known from elsewhere", operators),
		verb[Decision, SagaState](CategorySaga, "compensate", "Give a fulfilment up and undo what it has done", operators),
		verb[Decide, SagaState](CategorySaga, "release", "Let a saga that was set aside go on", operators),

		verb[Rebuild, queries.ProjectionStatus](CategoryProjection, "rebuild", "Build a new version of a view beside the one that answers, which it then replaces", operators),
		verb[Promote, queries.ProjectionStatus](CategoryProjection, "promote", "Let a version answer queries, or go back to it", operators),
		verb[Nothing, queries.ProjectionStatus](CategoryProjection, "pause", "Stop building a version", operators),
		verb[Nothing, queries.ProjectionStatus](CategoryProjection, "resume", "Go on building a version, or try again one that failed", operators),
		verb[Nothing, Nothing](CategoryProjection, "drop", "Remove a version that does not answer queries", operators),
		verb[Parked, queries.ProjectionStatus](CategoryProjection, "release", "Apply what waits of an aggregate that was parked", operators),
	}
}

// The bodies of commands, as the services read them.
type (
	// Nothing is the body of a command that says everything by its verb.
	Nothing struct{}

	// Because says why.
	Because struct {
		Reason string `json:"reason,omitzero" jsonschema:"for the record"`
	}

	// CreateOrder opens a draft.
	CreateOrder struct {
		CustomerID string `json:"customer_id"`
		Currency   string `json:"currency" jsonschema:"code of the currency, such as EUR"`
		Channel    string `json:"channel,omitzero" jsonschema:"where the order comes from"`
	}

	// AddItem adds a product to a draft.
	AddItem struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity" jsonschema:"from 1 to 9999"`
	}

	// ChangeQuantity changes how many of a line are ordered.
	ChangeQuantity struct {
		LineID   string `json:"line_id" jsonschema:"such as l1"`
		Quantity int    `json:"quantity" jsonschema:"from 0 to 9999; 0 removes the line"`
	}

	// RemoveItem removes a line.
	RemoveItem struct {
		LineID string `json:"line_id" jsonschema:"such as l1"`
	}

	// SetShipping says where an order goes.
	SetShipping struct {
		AddressRef string `json:"address_ref"`
		Country    string `json:"country" jsonschema:"two capital letters, such as DE"`
	}

	// SetPaymentMethod says how an order is paid.
	SetPaymentMethod struct {
		MethodRef string `json:"method_ref" jsonschema:"such as card-ok"`
	}

	// RequestRefund asks for money back, for lines or an amount.
	RequestRefund struct {
		Lines    []RefundLine `json:"lines,omitzero" jsonschema:"whose goods are given back"`
		Amount   string       `json:"amount,omitzero" jsonschema:"instead of lines, with the currency's decimals"`
		Currency string       `json:"currency,omitzero" jsonschema:"of the amount, when it is to be checked"`
		Reason   string       `json:"reason,omitzero" jsonschema:"for the record"`
		Restock  bool         `json:"restock,omitzero" jsonschema:"put the goods of the lines back into stock"`
	}

	// RefundLine is a part of a line that is given back.
	RefundLine struct {
		LineID   string `json:"line_id" jsonschema:"such as l1"`
		Quantity int    `json:"quantity" jsonschema:"above 0"`
	}

	// Reprice changes what a product costs.
	Reprice struct {
		Price    string `json:"price" jsonschema:"with the currency's decimals, such as 24.90"`
		Currency string `json:"currency" jsonschema:"code of the currency, such as EUR"`
	}

	// ListProduct offers a product.
	ListProduct struct {
		Name string `json:"name"`
		Reprice
	}

	// Receive puts goods into stock.
	Receive struct {
		Quantity  int    `json:"quantity" jsonschema:"above 0"`
		Reference string `json:"reference,omitzero" jsonschema:"of the delivery"`
	}

	// Adjust corrects the stock.
	Adjust struct {
		Delta  int    `json:"delta" jsonschema:"negative when goods are missing"`
		Reason string `json:"reason" jsonschema:"for the record"`
	}

	// Decision is an operator's about a fulfilment.
	Decision struct {
		Reason string `json:"reason" jsonschema:"for the record, 1 to 500 bytes"`
	}

	// Decide is an operator's decision about a fulfilment, or a refund of the order.
	Decide struct {
		Decision
		RefundID string `json:"refund_id,omitzero" jsonschema:"of the refund that it is about; without it, it is about the fulfilment"`
	}

	// Resolve says that a step is done.
	Resolve struct {
		Decide
		Evidence string      `json:"evidence" jsonschema:"how it is known, 1 to 2000 bytes"`
		Step     events.Step `json:"step,omitzero" jsonschema:"that is done; without it, the one that waits"`
	}
)

// The bodies of commands to views.
type (
	// Rebuild begins a new version of a view.
	Rebuild struct {
		ByHand bool `json:"by_hand,omitzero" jsonschema:"it does not take over by itself; promote does"`
	}

	// Promote lets a version answer.
	Promote struct {
		Reason string `json:"reason,omitzero" jsonschema:"why it may answer although rows of it differ from the live version's"`
	}

	// Parked names an aggregate whose events could not be applied.
	Parked struct {
		Key string `json:"key" jsonschema:"of an aggregate that is parked, such as order/o-1"`
	}
)

// What replies show.
type (
	// ProductState is a product as inventory decides on it.
	ProductState struct {
		SKU    string       `json:"sku"`
		Name   string       `json:"name"`
		Price  events.Money `json:"price"`
		Listed bool         `json:"listed"`
	}

	// StockState is a product's level.
	StockState struct {
		SKU       string `json:"sku"`
		OnHand    int    `json:"on_hand"`
		Reserved  int    `json:"reserved"`
		Available int    `json:"available"`
	}

	// SagaState is a fulfilment or a refund after a decision about it.
	SagaState struct {
		OrderID     string    `json:"order_id"`
		RefundID    string    `json:"refund_id,omitzero"`
		State       string    `json:"state"`
		Attention   string    `json:"attention,omitzero" jsonschema:"code of what asks for an operator"`
		Quarantined string    `json:"quarantined,omitzero" jsonschema:"why it is set aside"`
		Due         time.Time `json:"due,omitzero" jsonschema:"when the step is tried again"`
	}
)
