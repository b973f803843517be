package timeline

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/b144f99b/orderflow/pkg/events"
)

// Describe says in one sentence what an event tells.
func Describe(e events.Event) string {
	for _, describe := range []func(events.Event) string{order, reservation, payment, shipment, fulfilment, requests, conclusions, compensation, refund} {
		if sentence := describe(e); sentence != "" {
			return sentence
		}
	}
	return words(e.EventType())
}

func order(e events.Event) string {
	switch e := e.(type) {
	case events.OrderCreated:
		return sentence("The customer %s opened an order in %s", e.CustomerID, e.Currency)
	case events.ItemAdded:
		return sentence("%d × %s (%s) at %s each was added", e.Quantity, e.Name, e.SKU, e.UnitPrice)
	case events.ItemQuantityChanged:
		return sentence("The quantity of line %s changed from %d to %d", e.LineID, e.Old, e.New)
	case events.ItemRemoved:
		return sentence("%d × %s was removed", e.Quantity, e.SKU)
	case events.ShippingAddressSet:
		return sentence("It is to be shipped to %s in %s", e.AddressRef, e.Country)
	case events.PaymentMethodSet:
		return sentence("It is to be paid with %s", e.MethodRef)
	case events.OrderSubmitted:
		return sentence("The order was submitted: %s, %s in all", count(len(e.Lines), "line"), e.Total)
	case events.OrderReserved:
		return "All lines are held in stock."
	case events.OrderPaymentMethodAwaited:
		return sentence("The customer may choose another payment method until %s", at(e.Until))
	case events.OrderPaymentAuthorized:
		return sentence("The payment of %s is authorised", e.Amount)
	case events.OrderConfirmed:
		return "The order is confirmed."
	case events.OrderConfirmationRefused:
		return sentence("The order is not confirmed%s", because(e.Reason))
	case events.OrderPaid:
		return sentence("The order is paid: %s", e.Captured)
	case events.OrderDispatched:
		return sentence("The goods are on their way%s", tracking(e.Tracking))
	case events.OrderCompleted:
		return "The order is complete."
	case events.OrderCancellationRequested:
		return sentence("A cancellation was requested%s%s", by(e.By), because(e.Reason))
	case events.OrderCancellationRefused:
		return sentence("The cancellation is refused%s", because(e.Reason))
	case events.OrderCancelled:
		return sentence("The order is cancelled%s%s", by(e.By), because(e.Reason))
	case events.OrderRejected:
		return sentence("The order is rejected%s%s", because(e.Code), missing(e.Unavailable))
	case events.OrderExpired:
		return "The order expired: nobody acted in time."
	case events.OrderRefundRequested:
		return sentence("A refund of %s was requested%s", e.Amount, because(e.Reason))
	case events.OrderRefunded:
		return sentence("The customer has %s back", e.Amount)
	}
	return ""
}

func reservation(e events.Event) string {
	switch e := e.(type) {
	case events.ReservationConfirmed:
		return sentence("Inventory holds %s until %s", goods(e.Lines), at(e.ExpiresAt))
	case events.ReservationRejected:
		return sentence("Inventory holds nothing%s%s", because(e.Code), missing(e.Unavailable))
	case events.ReservationRestocked:
		return sentence("Inventory put back %s", goods(e.Lines))
	case events.ReservationRestockFailed:
		return sentence("Inventory put nothing back%s", because(e.Code))
	case events.ReservationReleased:
		if e.NothingHeld {
			return "Inventory held nothing that could be released."
		}
		return sentence("Inventory released what it held%s", because(e.Cause))
	case events.ReservationCommitted:
		if e.ShipmentID != "" {
			return "Other goods left the stock, in the place of lost ones."
		}
		return "The goods left the stock."
	case events.ReservationCommitFailed:
		return sentence("The goods could not be taken out of stock%s", because(e.Code))
	case events.ReservationExpired:
		return "The reservation's time ended, and inventory released it."
	case events.ReservationVoided:
		return sentence("Inventory will hold nothing for the order%s", because(e.Cause))
	}
	return ""
}

func payment(e events.Event) string {
	switch e := e.(type) {
	case events.PaymentInitiated:
		return sentence("A payment of %s with %s began", e.Amount, e.MethodRef)
	case events.AuthorizationAttempted:
		return sentence("The payment provider is asked to authorise%s", attempt(e.Attempt))
	case events.PaymentAuthorized:
		return sentence("The payment provider holds %s until %s", e.Amount, at(e.ExpiresAt))
	case events.PaymentDeclined:
		return sentence("The payment provider declined (%s)%s", e.Class, because(e.Code))
	case events.PaymentOutcomeUnknown:
		return sentence("It is not known whether the payment provider did it (%s): %s", e.Op, e.Error)
	case events.PaymentNotFound:
		return sentence("The payment provider never did it (%s)", e.Op)
	case events.CaptureAttempted:
		return sentence("The payment provider is asked to capture%s", attempt(e.Attempt))
	case events.PaymentCaptured:
		return sentence("The payment provider captured %s", e.Amount)
	case events.PaymentCaptureFailed:
		return sentence("The payment provider did not capture%s", because(e.Code))
	case events.VoidAttempted:
		return sentence("The payment provider is asked to void%s", attempt(e.Attempt))
	case events.PaymentVoided:
		if e.NothingHeld {
			return "Nothing of the customer's money was held."
		}
		return "The payment provider holds nothing of the customer's money any more."
	case events.PaymentVoidFailed:
		return sentence("The payment provider did not void%s", because(e.Code))
	case events.RefundAttempted:
		return sentence("The payment provider is asked to refund %s%s", e.Amount, attempt(e.Attempt))
	case events.PaymentRefunded:
		return sentence("The payment provider refunded %s, %s in all", e.Amount, e.TotalRefunded)
	case events.PaymentRefundFailed:
		return sentence("The payment provider did not refund%s", because(e.Code))
	case events.AuthorizationExpired:
		return "The payment provider no longer holds the customer's money."
	case events.PaymentDisputed:
		return sentence("The customer's bank claims %s back%s", e.Amount, because(e.Reason))
	}
	return ""
}

func shipment(e events.Event) string {
	switch e := e.(type) {
	case events.ShipmentBooked:
		return sentence("%s will take the goods, tracking %s", e.Carrier, e.Tracking)
	case events.ShipmentBookingFailed:
		return sentence("The carrier will not take the goods%s", because(e.Code))
	case events.ShipmentDispatched:
		return sentence("The carrier has taken the goods%s", tracking(e.Tracking))
	case events.ShipmentDelivered:
		return "The carrier delivered the goods."
	case events.ShipmentCancelled:
		return "The carrier's booking is cancelled."
	case events.ShipmentCancellationRefused:
		return sentence("The carrier did not cancel%s", because(e.Reason))
	case events.ShipmentLost:
		return "The carrier lost the goods."
	case events.ShipmentVoided:
		return sentence("No carrier will be booked%s", because(e.Cause))
	}
	return ""
}

func sentence(format string, args ...any) string { return fmt.Sprintf(format, args...) + "." }

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func by(actor string) string {
	if actor == "" {
		return ""
	}
	return " by " + actor
}

// attempt says which attempt it is, except that the first one goes without saying.
func attempt(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(", attempt %d", n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func tracking(numbers []string) string {
	if len(numbers) == 0 {
		return ""
	}
	return ", tracking " + strings.Join(numbers, ", ")
}

func goods(lines []events.StockLine) string {
	all := make([]string, len(lines))
	for i, l := range lines {
		all[i] = fmt.Sprintf("%d × %s", l.Quantity, l.SKU)
	}
	return strings.Join(all, ", ")
}

func missing(all []events.Unavailable) string {
	var b strings.Builder
	for _, u := range all {
		fmt.Fprintf(&b, "; of %s %d are wanted and %d available", u.SKU, u.Wanted, u.Available)
	}
	return b.String()
}

// words takes a type's name apart: "OrderCreated" is "Order created."
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String() + "."
}
