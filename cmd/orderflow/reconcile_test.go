package main

import (
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// A comparison that failed does not say that all is well.
func TestAReconciliationIsPrintedAsItEnded(t *testing.T) {
	ended := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	const begin = "payments at the provider: 7, compared at 2026-11-02T03:04:05Z: "
	one := []queries.Mismatch{{PaymentID: "p", OrderID: "o", Code: "held_there", Here: "voided", There: "authorised"}}
	const table = "\n\nPAYMENT  ORDER  CODE        HERE    THERE\np        o      held_there  voided  authorised\n"
	for want, r := range map[string]queries.Reconciliation{
		"payments were never compared\n": {},
		begin + "none differs\n":         {Number: 1, Payments: 7, EndedAt: ended},
		begin + "none differs, 2 pending: what became of an attempt is not known yet\n": {Number: 1, Payments: 7, EndedAt: ended, Pending: 2},
		begin + "1 differ" + table:                         {Number: 1, Payments: 7, EndedAt: ended, Found: 1, Mismatches: one},
		begin + "not completed\n":                          {Number: 1, Payments: 7, EndedAt: ended, Error: "the list of payments: 503"},
		begin + "not completed, at least 1 differ" + table: {Number: 1, Payments: 7, EndedAt: ended, Error: "payment q: 503", Found: 1, Mismatches: one},
	} {
		var out strings.Builder
		if err := printReconciliation(&out, r); err != nil || out.String() != want {
			t.Errorf("printed\n%s, %v, not\n%s", out.String(), err, want)
		}
	}
}
