package payment

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// contradicts refuses news of an account that cannot be of this payment: nothing is
// learned from it, and the PSP's next status query tells what is true. What was
// never asked for has no amount to compare with.
func (n News) contradicts(s State) error {
	a := n.Account
	contradiction := func(code, format string, args ...any) error {
		return &esjs.Rejection{
			Code:    code,
			Message: fmt.Sprintf("event %s of payment %s: ", n.EventID, n.PaymentID) + fmt.Sprintf(format, args...),
			Status:  http.StatusUnprocessableEntity,
		}
	}
	if n.Disputed && a.Captured.Sign() == 0 && s.Captured.Sign() == 0 {
		return contradiction("amount_mismatch", "nothing is captured, and it is said to be disputed")
	}
	if s.Amount == (events.Money{}) {
		return n.overRefunds(s, contradiction)
	}
	told := []events.Money{a.Authorized, a.Captured, a.Refunded}
	for _, r := range a.Refunds {
		told = append(told, r.Amount)
	}
	for _, m := range told {
		switch {
		case m == (events.Money{}): // not told
		case m.Currency() != s.Amount.Currency():
			return contradiction("currency_mismatch", "the payment is in %s, and the news are of %s", s.Amount.Currency(), m)
		case m.Sign() < 0 || m.Minor() > s.Amount.Minor():
			return contradiction("amount_mismatch", "the payment is of %s, and the news are of %s", s.Amount, m)
		}
	}
	switch {
	case a.Authorized.Sign() != 0 && a.Authorized != s.Amount:
		return contradiction("amount_mismatch", "the payment is of %s, and %s are said to be authorised", s.Amount, a.Authorized)
	case a.Captured.Sign() > 0 && a.Refunded.Minor() > a.Captured.Minor():
		return contradiction("amount_mismatch", "%s are said to be captured, and %s of it refunded", a.Captured, a.Refunded)
	}
	return n.overRefunds(s, contradiction)
}

// overRefunds refuses news of a refund that differs from what we know of it, or that
// is more than is left of the capture.
func (n News) overRefunds(s State, contradiction func(code, format string, args ...any) error) error {
	for _, e := range learn(s, n.Account, cause{}) {
		s = Apply(s, e)
	}
	for _, r := range n.Account.Refunds {
		if !slices.Contains(s.Refunds, r) {
			return contradiction("amount_mismatch", "%s of %s are captured and %s refunded, and the refund %s is said to be of %s",
				amount(s.Captured), s.Amount, amount(s.Refunded), r.ID, r.Amount)
		}
	}
	return nil
}
