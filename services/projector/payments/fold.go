package payments

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Fold applies one event of the payment. It is total and pure.
func Fold(p queries.Payment, r esjs.Recorded[events.Event]) queries.Payment {
	if p.Version == 0 {
		p.PaymentID, p.CreatedAt = r.Stream.Key, r.Time
	}
	p.Version, p.UpdatedAt = r.Version, r.Time
	switch e := r.Event.(type) {
	case events.PaymentInitiated:
		p.OrderID, p.Amount, p.MethodRef, p.State = e.OrderID, e.Amount, e.MethodRef, queries.PaymentInitiated
	case events.PaymentAuthorized:
		p = known(p, events.OperationAuthorize)
		p.OrderID, p.Authorized, p.DeclineCode = e.OrderID, e.Amount, ""
		if p.Captured.Sign() == 0 {
			p.State, p.Outstanding, p.ExpiresAt = queries.PaymentAuthorized, e.Amount, e.ExpiresAt
		}
	case events.PaymentDeclined:
		p = known(p, events.OperationAuthorize)
		p.OrderID, p.DeclineCode, p.LastError = e.OrderID, e.Code, e.Code
		if p.State == "" || p.State == queries.PaymentInitiated {
			p.State = queries.PaymentDeclined
		}
	case events.PaymentOutcomeUnknown:
		p.OrderID, p.Unknown, p.LastError = e.OrderID, e.Op, e.Error
	case events.PaymentNotFound:
		p = known(p, e.Op)
		p.OrderID = e.OrderID
	case events.PaymentCaptured:
		p = released(known(p, events.OperationCapture))
		p.OrderID, p.Captured, p.State = e.OrderID, e.Amount, queries.PaymentCaptured
	case events.PaymentCaptureFailed:
		p = known(p, events.OperationCapture)
		p.OrderID, p.LastError = e.OrderID, e.Code
	case events.PaymentVoided:
		p = released(known(p, events.OperationVoid))
		p.OrderID = e.OrderID
		if p.State != queries.PaymentDeclined && p.State != queries.PaymentExpired {
			p.State = queries.PaymentVoided
		}
	case events.PaymentVoidFailed:
		p = known(p, events.OperationVoid)
		p.OrderID, p.LastError = e.OrderID, e.Code
	case events.PaymentRefunded:
		p = known(p, events.OperationRefund)
		p.OrderID, p.Refunded = e.OrderID, e.TotalRefunded
		if p.Refunded == p.Captured {
			p.State = queries.PaymentRefunded
		}
	case events.PaymentRefundFailed:
		p = known(p, events.OperationRefund)
		p.OrderID, p.LastError = e.OrderID, e.Code
	case events.AuthorizationExpired:
		p = released(p)
		p.OrderID, p.State = e.OrderID, queries.PaymentExpired
	case events.PaymentDisputed:
		p.OrderID, p.Disputed, p.LastError = e.OrderID, e.Amount, e.Reason
	}
	return p
}

// known notes that the outcome of an operation is known now.
func known(p queries.Payment, op events.PaymentOperation) queries.Payment {
	if p.Unknown == op {
		p.Unknown = ""
	}
	return p
}

// released notes that the provider holds nothing any more that could be captured.
func released(p queries.Payment) queries.Payment {
	p.Outstanding, p.ExpiresAt = events.Money{}, time.Time{}
	return p
}
