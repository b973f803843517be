package shop

import (
	"encoding/json"
	"net/http"
	"testing"
)

// Partners is the URL of the stand-ins for the payment provider and the carrier.
type Partners string

// Captured is what the provider's own ledger has captured of each payment; "": nothing.
func (p Partners) Captured(t *testing.T) (amounts []string) {
	t.Helper()
	var page struct {
		Payments []struct {
			Captured struct {
				Amount string `json:"amount"`
			} `json:"captured"`
		} `json:"payments"`
	}
	status, answer := Ask(http.MethodGet, string(p)+"/psp/v1/payments?limit=1000", "")
	if status != http.StatusOK || json.Unmarshal(answer, &page) != nil {
		t.Fatalf("the provider's ledger: %d %s", status, answer)
	}
	for _, p := range page.Payments {
		amounts = append(amounts, p.Captured.Amount)
	}
	return amounts
}
