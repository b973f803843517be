package truth

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
)

// The two ledgers are compared both ways: what only one of them has is found.
func TestLedgersAreComparedBothWays(t *testing.T) {
	now, euros := time.Now(), events.MustMoney("24.90", "EUR")
	theirs := partners.Money{Amount: "24.90", Currency: "EUR"}
	for name, c := range map[string]struct {
		ours   payment.State
		ledger map[string]partners.Payment
		wrong  int
	}{
		"captured here alone":       {ours: payment.State{Captured: euros}, wrong: 1},
		"held here alone":           {ours: payment.State{Status: payment.StatusAuthorized}, wrong: 1},
		"attempted, never heard of": {},
		"captured there alone":      {ledger: map[string]partners.Payment{"p": {Captured: theirs, Captures: 1}}, wrong: 1},
		"the same":                  {ours: payment.State{Captured: euros}, ledger: map[string]partners.Payment{"p": {Captured: theirs, Captures: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewShop()
			s.Payments["p"] = c.ours
			violations := s.Check(Ledger{Payments: c.ledger}, now)
			if len(violations) != c.wrong {
				t.Errorf("found %v, want %d", violations, c.wrong)
			}
			for _, v := range violations {
				if v.Property != "P6" {
					t.Errorf("%v; want P6", v)
				}
			}
		})
	}
}
