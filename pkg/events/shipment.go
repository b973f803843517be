package events

import "time"

// CarrierEventID is set on what a webhook told, and makes a repeated webhook
// recognisable.

// ShipmentBooked is appended by shipping: the carrier will take the goods.
type ShipmentBooked struct {
	OrderID   string    `json:"order_id"`
	RequestID string    `json:"request_id"`
	Carrier   string    `json:"carrier"`
	Tracking  string    `json:"tracking"`
	Cost      Money     `json:"cost"`
	ETA       time.Time `json:"eta"`
}

// ShipmentBookingFailed is appended by shipping: the carrier will not take the
// goods; Transient says that asking again may help.
type ShipmentBookingFailed struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Code      string `json:"code"`
	Transient bool   `json:"transient"`
}

// ShipmentDispatched is appended by shipping: the goods left the house.
type ShipmentDispatched struct {
	OrderID        string   `json:"order_id"`
	RequestID      string   `json:"request_id,omitzero"`
	Tracking       []string `json:"tracking"`
	CarrierEventID string   `json:"carrier_event_id,omitzero"`
}

// ShipmentDelivered is appended by shipping: the customer has the goods.
type ShipmentDelivered struct {
	OrderID        string `json:"order_id"`
	RequestID      string `json:"request_id,omitzero"`
	CarrierEventID string `json:"carrier_event_id,omitzero"`
}

// ShipmentCancelled is appended by shipping: the booking is undone; without a
// RequestID the carrier did it unasked.
type ShipmentCancelled struct {
	OrderID        string `json:"order_id"`
	RequestID      string `json:"request_id,omitzero"`
	CarrierEventID string `json:"carrier_event_id,omitzero"`
}

// ShipmentCancellationRefused is appended by shipping: the goods have left.
type ShipmentCancellationRefused struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason"`
}

// ShipmentLost is appended by shipping: the carrier lost the goods.
type ShipmentLost struct {
	OrderID        string `json:"order_id"`
	RequestID      string `json:"request_id,omitzero"`
	CarrierEventID string `json:"carrier_event_id,omitzero"`
}

// ShipmentVoided is appended by shipping: a cancellation came before, or
// instead of, the booking. It stops a booking request that comes late.
type ShipmentVoided struct {
	OrderID   string `json:"order_id"`
	RequestID string `json:"request_id"`
	Cause     string `json:"cause"`
}

func (ShipmentBooked) EventType() string              { return "ShipmentBooked" }
func (ShipmentBookingFailed) EventType() string       { return "ShipmentBookingFailed" }
func (ShipmentDispatched) EventType() string          { return "ShipmentDispatched" }
func (ShipmentDelivered) EventType() string           { return "ShipmentDelivered" }
func (ShipmentCancelled) EventType() string           { return "ShipmentCancelled" }
func (ShipmentCancellationRefused) EventType() string { return "ShipmentCancellationRefused" }
func (ShipmentLost) EventType() string                { return "ShipmentLost" }
func (ShipmentVoided) EventType() string              { return "ShipmentVoided" }
