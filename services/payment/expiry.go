package payment

import (
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// lookAgain is the pause before a PSP that could not be reached is asked again
// what became of an authorisation whose time has ended.
const lookAgain = 5 * time.Second

// Expire is what the PSP says of an authorisation whose time has ended.
type Expire struct {
	At     time.Time // of the server
	Answer Answer    // Done or Missing
}

// due tells that an authorisation's time has ended, as far as we know.
func (s State) due(at time.Time) bool {
	return s.Status == StatusAuthorized && !s.ExpiresAt.After(at)
}

// decidedBy tells whether the PSP's answer says what became of an authorisation whose
// time has ended. That it knows of nothing is no word about a capture whose outcome is unknown.
func (s State) decidedBy(a Answer) bool {
	return a.Kind == Done || a.Kind == Missing && !s.underWay(events.OperationCapture)
}

// decide says that nothing is held any more, unless the PSP knows better: it may have
// captured, voided, or given the authorisation more time.
func (x Expire) decide(s State) []events.Event {
	if !s.due(x.At) || !s.decidedBy(x.Answer) {
		return nil
	}
	account := x.Answer.Account
	facts := learn(s, account, cause{orderID: s.OrderID})
	switch {
	case len(facts) > 0:
		return facts
	case x.Answer.Kind == Done && account.ExpiresAt.After(x.At):
		return []events.Event{events.PaymentAuthorized{OrderID: s.OrderID, AuthID: account.AuthID, Amount: account.Authorized, ExpiresAt: account.ExpiresAt}}
	}
	return []events.Event{events.AuthorizationExpired{OrderID: s.OrderID}}
}

// expiry asks what became of an authorisation when its time has ended.
// Fulfilment ends what it does with it before that; this is for what it left behind.
func (s *Service) expiry(codec *esjs.Codec[events.Event], desk Desk) service.Deadlines[events.Event] {
	return service.Deadlines[events.Event]{
		Codec:    codec,
		Category: events.CategoryPayment,
		Types:    []string{events.PaymentAuthorized{}.EventType()},
		Name:     "authorization",
		Bucket:   BucketSubscriptions,
		Lease:    s.cfg.Lease,
		At: func(e events.Event) (at time.Time) {
			if authorized, ok := e.(events.PaymentAuthorized); ok {
				at = authorized.ExpiresAt
			}
			return at
		},
		Due: desk.Expire,
	}
}
