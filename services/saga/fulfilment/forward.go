package fulfilment

import (
	"github.com/b144f99b/orderflow/pkg/events"
)

// Fact is one event that a row appends. It is made from the state as the row's
// earlier facts have left it.
type Fact struct {
	Type string // the event's stored type
	Note string // what the table says beside it
	Only Guard  // appended only when this holds
	Make func(Case) events.Event
}

// fact describes the event that of returns.
func fact[E events.Event](of func(Case) E) Fact {
	var e E
	return Fact{Type: e.EventType(), Make: func(c Case) events.Event { return of(c) }}
}

// when appends the fact only when g holds.
func when(g Guard, f Fact) Fact {
	f.Only = g
	return f
}

// noted says more about the fact in the table.
func noted(note string, f Fact) Fact {
	f.Note = note
	return f
}

// Starting and repeating.
var (
	fulfilmentStarted = fact(func(c Case) events.FulfilmentStarted {
		e := the[events.OrderSubmitted](c)
		return events.FulfilmentStarted{
			OrderID: c.Stream.Key, CustomerID: e.CustomerID, Currency: e.Currency, Lines: e.Lines, Total: e.Total,
			AddressRef: e.AddressRef, Country: e.Country, MethodRef: e.MethodRef,
			OrderVersion: c.Version, PolicyVersion: c.Policy.Version, PolicyDigest: c.Policy.Digest(), Deadline: c.At.Add(c.Policy.SLA),
		}
	})
	stepTimedOut = fact(func(c Case) events.StepTimedOut {
		return events.StepTimedOut{OrderID: c.State.OrderID, Step: c.State.step(), Attempt: c.State.attempt()}
	})
	stepRetried = fact(func(c Case) events.StepRetried {
		code := "timeout"
		switch e := c.Event.(type) {
		case events.ReservationRejected:
			code = e.Code
		case events.ShipmentBookingFailed:
			code = e.Code
		}
		return events.StepRetried{OrderID: c.State.OrderID, Step: c.State.step(), Attempt: c.State.attempt(), Code: code}
	})
)

// Reservation.
var (
	reservationRequested = fact(func(c Case) events.ReservationRequested {
		return events.ReservationRequested{Request: c.request(reserve), Lines: c.State.Lines,
			ExpiresAt: c.State.SLA.At.Add(c.Policy.ReservationMargin)}
	})
	reservationSucceeded = fact(func(c Case) events.ReservationSucceeded {
		e := the[events.ReservationConfirmed](c)
		return events.ReservationSucceeded{OrderID: c.State.OrderID, RequestID: e.RequestID,
			ReservationID: e.ReservationID, ExpiresAt: e.ExpiresAt}
	})
	reservationFailed = fact(func(c Case) events.ReservationFailed {
		e := the[events.ReservationRejected](c)
		return events.ReservationFailed{OrderID: c.State.OrderID, RequestID: e.RequestID, Code: e.Code, Unavailable: e.Unavailable}
	})
)

// Authorisation.
var (
	authorizationRequested = fact(func(c Case) events.AuthorizationRequested {
		id, method := c.State.PaymentID, c.State.MethodRef
		if id == "" {
			id = identity(c.State.OrderID, "payment", 1)
		}
		return requestAuthorization(c, id, method)
	})
	// authorizationByOtherMethod is another payment: the provider may still know the first one.
	authorizationByOtherMethod = noted("new payment id", fact(func(c Case) events.AuthorizationRequested {
		id := identity(c.State.OrderID, "payment", c.State.Payments+1)
		return requestAuthorization(c, id, the[events.PaymentMethodSet](c).MethodRef)
	}))
	authorizationCheckRequested = fact(func(c Case) events.AuthorizationCheckRequested {
		return events.AuthorizationCheckRequested{Request: c.request(checkAuthorization), PaymentID: c.State.PaymentID,
			Key: pspKey(c.State.PaymentID, events.OperationAuthorize, "")}
	})
	// What is captured was authorised, and does not end any more.
	authorizationSucceeded = fact(func(c Case) events.AuthorizationSucceeded {
		succeeded := events.AuthorizationSucceeded{OrderID: c.State.OrderID, PaymentID: c.Stream.Key}
		switch e := c.Event.(type) {
		case events.PaymentAuthorized:
			succeeded.RequestID, succeeded.AuthID, succeeded.Amount, succeeded.ExpiresAt = e.RequestID, e.AuthID, e.Amount, e.ExpiresAt
		case events.PaymentCaptured:
			succeeded.RequestID, succeeded.Amount = e.RequestID, e.Amount
		}
		return succeeded
	})
	authorizationFailed = fact(func(c Case) events.AuthorizationFailed {
		failed := events.AuthorizationFailed{OrderID: c.State.OrderID, PaymentID: c.Stream.Key}
		switch e := c.Event.(type) {
		case events.PaymentDeclined:
			failed.RequestID, failed.Code, failed.Class = e.RequestID, e.Code, e.Class
		case events.PaymentAuthorized:
			failed.RequestID, failed.Code = e.RequestID, causeMismatch
		case events.PaymentCaptured:
			failed.RequestID, failed.Code = e.RequestID, causeMismatch
		}
		return failed
	})
	paymentMethodAwaited = fact(func(c Case) events.PaymentMethodAwaited {
		return events.PaymentMethodAwaited{OrderID: c.State.OrderID, Until: c.At.Add(c.Policy.MethodWindow),
			Code: the[events.PaymentDeclined](c).Code}
	})
)

func requestAuthorization(c Case, paymentID, method string) events.AuthorizationRequested {
	return events.AuthorizationRequested{Request: c.request(authorize), PaymentID: paymentID, Amount: c.State.Total,
		MethodRef: method, Key: pspKey(paymentID, events.OperationAuthorize, "")}
}

// Confirmation and booking.
var (
	confirmationRequested = fact(func(c Case) events.ConfirmationRequested {
		return events.ConfirmationRequested{Request: c.request(confirm)}
	})
	confirmationAccepted = fact(func(c Case) events.ConfirmationAccepted {
		return events.ConfirmationAccepted{OrderID: c.State.OrderID, RequestID: the[events.OrderConfirmed](c).RequestID}
	})
	shipmentBookingRequested = fact(func(c Case) events.ShipmentBookingRequested {
		id := c.State.ShipmentID
		if id == "" {
			id = identity(c.State.OrderID, "shipment", 1)
		}
		return events.ShipmentBookingRequested{Request: c.request(book), ShipmentID: id,
			AddressRef: c.State.AddressRef, Country: c.State.Country, Lines: c.State.Lines}
	})
	shipmentSecured = fact(func(c Case) events.ShipmentSecured {
		e := the[events.ShipmentBooked](c)
		return events.ShipmentSecured{OrderID: c.State.OrderID, RequestID: e.RequestID, ShipmentID: c.Stream.Key,
			Carrier: e.Carrier, Tracking: e.Tracking}
	})
)

// Capture: the pivot.
var (
	captureRequested = fact(func(c Case) events.CaptureRequested {
		return events.CaptureRequested{Request: c.request(capture), PaymentID: c.State.PaymentID, Amount: c.State.Total,
			Key: pspKey(c.State.PaymentID, events.OperationCapture, "")}
	})
	captureCheckRequested = fact(func(c Case) events.CaptureCheckRequested {
		return events.CaptureCheckRequested{Request: c.request(checkCapture), PaymentID: c.State.PaymentID,
			Key: pspKey(c.State.PaymentID, events.OperationCapture, "")}
	})
	captureSucceeded = fact(func(c Case) events.CaptureSucceeded {
		e := the[events.PaymentCaptured](c)
		return events.CaptureSucceeded{OrderID: c.State.OrderID, RequestID: e.RequestID, PaymentID: c.Stream.Key,
			CaptureID: e.CaptureID, Amount: e.Amount}
	})
	captureFailed = fact(func(c Case) events.CaptureFailed {
		e := the[events.PaymentCaptureFailed](c)
		return events.CaptureFailed{OrderID: c.State.OrderID, RequestID: e.RequestID, PaymentID: c.Stream.Key, Code: e.Code}
	})
)

// Dispatch, the stock's commitment, completion.
var (
	dispatchRequested = fact(func(c Case) events.DispatchRequested {
		return events.DispatchRequested{Request: c.request(dispatch), ShipmentID: c.State.ShipmentID}
	})
	dispatchConfirmed = fact(func(c Case) events.DispatchConfirmed {
		e := the[events.ShipmentDispatched](c)
		return events.DispatchConfirmed{OrderID: c.State.OrderID, RequestID: e.RequestID, ShipmentID: c.State.ShipmentID,
			Tracking: e.Tracking, By: c.Operator.By}
	})
	shipmentRebookRequested = noted("new shipment id", fact(func(c Case) events.ShipmentRebookRequested {
		return requestRebooking(c, identity(c.State.OrderID, "shipment", c.State.Shipments+1), c.State.ShipmentID)
	}))
	shipmentRebookRepeated = fact(func(c Case) events.ShipmentRebookRequested {
		return requestRebooking(c, c.State.ShipmentID, identity(c.State.OrderID, "shipment", c.State.Shipments-1))
	})
	stockCommitRequested = fact(func(c Case) events.StockCommitRequested {
		return events.StockCommitRequested{Request: c.request(commit), ReservationID: c.State.ReservationID, ShipmentID: c.State.TakesFor}
	})
	// otherGoodsRequested is for the parcel that is booked next: those of the lost one are gone.
	otherGoodsRequested = noted("for the new shipment", fact(func(c Case) events.StockCommitRequested {
		return events.StockCommitRequested{Request: c.request(commit), ReservationID: c.State.ReservationID,
			ShipmentID: identity(c.State.OrderID, "shipment", c.State.Shipments+1)}
	}))
	stockCommitConfirmed = fact(func(c Case) events.StockCommitConfirmed {
		return events.StockCommitConfirmed{OrderID: c.State.OrderID, RequestID: the[events.ReservationCommitted](c).RequestID, By: c.Operator.By}
	})
	completionRequested = fact(func(c Case) events.CompletionRequested {
		return events.CompletionRequested{Request: c.request(complete)}
	})
	fulfilmentCompleted = fact(func(c Case) events.FulfilmentCompleted {
		return events.FulfilmentCompleted{OrderID: c.State.OrderID}
	})
)

func requestRebooking(c Case, id, replaces string) events.ShipmentRebookRequested {
	return events.ShipmentRebookRequested{Request: c.request(rebook), ShipmentID: id, Replaces: replaces,
		AddressRef: c.State.AddressRef, Country: c.State.Country, Lines: c.State.Lines}
}
