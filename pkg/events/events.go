// Package events is the published language of the order system: every event
// that a service stores, as plain values of the standard library.
//
// A type's stored name is what its EventType method returns. It and the JSON
// of a version, which testdata holds for every one of them, never change: what
// must change becomes a new type or a new schema version beside the old one.
//
// Every event of a participant carries the order_id that it belongs to and the
// request_id that it answers (empty when the partner spoke unasked); order
// events leave order_id to the key of their stream.
package events

// Event is the payload of one fact.
type Event interface {
	// EventType returns the stored name, unique over all categories.
	EventType() string
}

// Type describes one stored event type. Its fields are those of an
// esjs.EventType[events.Event], which it converts to.
type Type struct {
	Name          string
	SchemaVersion int

	// Decode turns stored data into the event, by value.
	Decode func(data []byte, unmarshal func([]byte, any) error) (Event, error)
}

// Categories of streams.
const (
	CategoryOrder       = "order"
	CategoryProduct     = "product"
	CategoryStock       = "stock"
	CategoryReservation = "reservation"
	CategoryPayment     = "payment"
	CategoryShipment    = "shipment"
	CategoryFulfilment  = "fulfilment"
	CategoryRefund      = "refund"
)

// Categories returns all of them.
func Categories() []string {
	return []string{
		CategoryOrder, CategoryProduct, CategoryStock, CategoryReservation, CategoryPayment, CategoryShipment, CategoryFulfilment, CategoryRefund,
	}
}

func typeOf[T Event]() Type {
	var zero T
	return Type{
		Name:          zero.EventType(),
		SchemaVersion: 1,
		Decode: func(data []byte, unmarshal func([]byte, any) error) (Event, error) {
			var e T
			if err := unmarshal(data, &e); err != nil {
				return nil, err
			}
			return e, nil
		},
	}
}
