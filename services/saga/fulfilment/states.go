package fulfilment

// Status names where a fulfilment stands. The names are stored in no event:
// every event implies the status that it leads to, and Apply derives it.
type Status string

// The states of domain.md 3, in the order in which an order passes them.
const (
	New            Status = "NEW"
	Reserving      Status = "RESERVING"
	Authorizing    Status = "AUTHORIZING"
	AuthUnknown    Status = "AUTH_UNKNOWN"
	AwaitingMethod Status = "AWAITING_METHOD"
	Confirming     Status = "CONFIRMING"
	Booking        Status = "BOOKING"
	Capturing      Status = "CAPTURING"
	CaptureUnknown Status = "CAPTURE_UNKNOWN"
	Dispatching    Status = "DISPATCHING"
	Completing     Status = "COMPLETING"
	Completed      Status = "COMPLETED"

	CompShipment Status = "COMP_SHIPMENT"
	CompPayment  Status = "COMP_PAYMENT"
	CompStock    Status = "COMP_STOCK"
	CompOrder    Status = "COMP_ORDER"
	Compensated  Status = "COMPENSATED"
)

// Statuses returns every status, in the order of the table.
func Statuses() []Status {
	return []Status{
		New, Reserving, Authorizing, AuthUnknown, AwaitingMethod, Confirming, Booking,
		Capturing, CaptureUnknown, Dispatching, Completing, Completed,
		CompShipment, CompPayment, CompStock, CompOrder, Compensated,
	}
}

// Terminal tells that a fulfilment in this status has ended.
func (s Status) Terminal() bool { return s == Completed || s == Compensated }

// Compensating tells that the fulfilment is being undone.
func (s Status) Compensating() bool {
	return s == CompShipment || s == CompPayment || s == CompStock || s == CompOrder
}

// Paid tells that the pivot is passed: from here on there is only forward.
func (s Status) Paid() bool { return s == Dispatching || s == Completing || s == Completed }
