package truth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/go-json-experiment/json"
)

// Ledger is what the payment provider and the carrier say they did, by reference.
type Ledger struct {
	Payments  map[string]partners.Payment
	Shipments map[string]partners.Shipment
}

// ReadLedger asks the partners at a URL for all that they have.
func ReadLedger(ctx context.Context, client *http.Client, base string) (Ledger, error) {
	l := Ledger{map[string]partners.Payment{}, map[string]partners.Shipment{}}
	for _, path := range []string{"/psp/v1/payments", "/carrier/v1/shipments"} {
		for after := ""; ; {
			page, err := read(ctx, client, base+path+"?limit=1000&after="+url.QueryEscape(after))
			if err != nil {
				return l, err
			}
			for _, p := range page.Payments {
				l.Payments[p.Reference] = p
			}
			for _, s := range page.Shipments {
				l.Shipments[s.Reference] = s
			}
			if after = page.Next; after == "" {
				break
			}
		}
	}
	return l, nil
}

type page struct {
	Payments  []partners.Payment  `json:"payments"`
	Shipments []partners.Shipment `json:"shipments"`
	Next      string              `json:"next"`
}

func read(ctx context.Context, client *http.Client, address string) (p page, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return p, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return p, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return p, fmt.Errorf("GET %s: %s", address, answer.Status)
	}
	return p, json.UnmarshalRead(answer.Body, &p)
}

// money is an amount of the partners' in minor units.
func money(m partners.Money) int64 {
	if m.Amount == "" {
		return 0
	}
	return events.MustMoney(m.Amount, m.Currency).Minor()
}

// holds tells that the PSP keeps an authorisation that can be captured.
func holds(p partners.Payment, now time.Time) bool {
	return p.Status == "authorised" && now.Before(p.CaptureBefore)
}
