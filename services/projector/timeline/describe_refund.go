package timeline

import "github.com/b144f99b/orderflow/pkg/events"

func refund(e events.Event) string {
	switch e := e.(type) {
	case events.RefundOpened:
		if e.Amount == (events.Money{}) {
			return sentence("An authorisation came late and is to be voided%s", because(e.Reason))
		}
		return sentence("A refund of %s began%s", e.Amount, because(e.Reason))
	case events.RefundRequested:
		return sentence("Payment is asked to give %s back%s", e.Amount, attempt(e.Attempt))
	case events.RefundVoidRequested:
		return sentence("Payment is asked to let go of what was authorised late%s", attempt(e.Attempt))
	case events.RefundPaid:
		return sentence("It is confirmed that %s went back%s", e.Amount, by(e.By))
	case events.RestockRequested:
		return sentence("Inventory is asked to put back %s%s", goods(e.Lines), attempt(e.Attempt))
	case events.RestockConfirmed:
		return sentence("It is confirmed that the goods are back in stock%s", by(e.By))
	case events.RefundSettled:
		return sentence("The refund is settled: %s", e.Outcome)
	}
	return ""
}
