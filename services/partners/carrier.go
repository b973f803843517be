package partners

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Shipment is the carrier's own account of one booking.
type Shipment struct {
	Reference  string    `json:"reference"` // the shipper's id
	Status     string    `json:"status"`    // booked, dispatched, delivered, cancelled, lost
	AddressRef string    `json:"address_ref,omitzero"`
	Country    string    `json:"country,omitzero"`
	Items      []Item    `json:"items,omitzero"`
	Carrier    string    `json:"carrier,omitzero"`
	Tracking   string    `json:"tracking,omitzero"`
	Cost       Money     `json:"cost,omitzero"`
	ETA        time.Time `json:"eta,omitzero"`
	// NothingBooked marks a cancellation of a reference never seen; it refuses a later booking.
	NothingBooked bool `json:"nothing_booked,omitzero"`
	Bookings      int  `json:"bookings"`
	Dispatches    int  `json:"dispatches"`
}

// Item is what a parcel holds.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// shipmentRequest is the body of every operation of the carrier.
type shipmentRequest struct {
	AddressRef string `json:"address_ref,omitzero"`
	Country    string `json:"country,omitzero"`
	Items      []Item `json:"items,omitzero"`
	// RequestReference of a dispatch is repeated in its webhook.
	RequestReference string `json:"request_reference,omitzero"`
}

// check returns what is wrong with the request of an operation.
func (r shipmentRequest) check(op string) error {
	if op != "book" {
		return nil
	}
	if r.AddressRef == "" || r.Country == "" || len(r.Items) == 0 {
		return fmt.Errorf("address_ref, country and items are needed")
	}
	for _, item := range r.Items {
		if item.SKU == "" || item.Quantity < 1 {
			return fmt.Errorf("an item needs a sku and a quantity of at least 1")
		}
	}
	return nil
}

// operate decides one operation on a shipment; the zero Shipment is one that
// the carrier has never seen.
func (s Shipment) operate(op string, r shipmentRequest, script Script, now time.Time) (Shipment, Refusal) {
	if script.Op == op && script.Refusal != (Refusal{}) {
		return s, script.Refusal
	}
	switch op {
	case "book":
		return s.book(r, now)
	case "dispatch":
		if s.Status == "cancelled" {
			return s, Refusal{Code: "cancelled", Message: "the booking was cancelled"}
		}
		return s, Refusal{}
	default:
		return s.cancel()
	}
}

// book is idempotent by reference, whatever the key.
func (s Shipment) book(r shipmentRequest, now time.Time) (Shipment, Refusal) {
	if s.Status == "cancelled" {
		return s, Refusal{Code: "cancelled", Message: "the reference was cancelled"}
	}
	if s.Status != "" {
		return s, Refusal{}
	}
	s.Status = "booked"
	s.AddressRef, s.Country, s.Items = r.AddressRef, r.Country, r.Items
	s.Carrier = "parcel-post"
	s.Tracking = "PP" + strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")[:12])
	s.Cost = Money{Amount: "4.90", Currency: "EUR"}
	s.ETA = now.Add(2 * 24 * time.Hour).UTC()
	s.Bookings++
	return s, Refusal{}
}

func (s Shipment) cancel() (Shipment, Refusal) {
	switch s.Status {
	case "cancelled":
	case "":
		s.Status, s.NothingBooked = "cancelled", true
	case "booked":
		s.Status = "cancelled"
	default:
		return s, Refusal{Code: "goods_left", Message: "the goods have left"}
	}
	return s, Refusal{}
}

// happen is news that the carrier tells on its own: dispatched, delivered, lost.
func (s Shipment) happen(news string) (Shipment, bool) {
	switch {
	case news == "dispatched" && s.Status == "booked":
		s.Dispatches++
	case (news == "delivered" || news == "lost") && s.Status == "dispatched":
	default:
		return s, false
	}
	s.Status = news
	return s, true
}

// ship performs one operation under the ledger's lock. A booked shipment that
// is asked to go goes at once: the webhooks are part of the same effect.
func (l *ledger) ship(
	op string, reference string, key idempotencyKey, r shipmentRequest, declined Refusal, cfg Config, scripts map[string]Script,
) (keptAnswer, bool, error) {
	return l.once("carrier."+op, key, func() (entry, keptAnswer) {
		shipment, known := l.shipments[reference]
		if !known && op == "dispatch" {
			return entry{}, refusal(404, Refusal{Code: "not_found", Message: "no shipment has this reference"}, nil)
		}
		now := time.Now().UTC()
		shipment.Reference = reference
		shipment, no := shipment.operate(op, r, shipmentScript(scripts, shipment, r).declining(op, declined), now)
		if no != (Refusal{}) {
			return entry{}, refusal(422, no, map[string]any{"shipment": shipment})
		}
		if op != "dispatch" {
			return entry{Shipment: &shipment}, answer(200, map[string]any{"shipment": shipment})
		}
		// What was accepted is told by webhook; only who asks again is told here.
		accepted := answer(202, map[string]any{"shipment": shipment})
		left, news := shipment.leave(r.RequestReference, cfg, now)
		return entry{Shipment: &left, Webhooks: news}, accepted
	})
}

// leave dispatches a booked shipment and plans what follows, as its address says.
func (s Shipment) leave(request string, cfg Config, now time.Time) (Shipment, []Webhook) {
	if s.AddressRef == "addr-manual" {
		return s, nil
	}
	var news []Webhook
	tell := func(what string, at time.Time) bool {
		next, ok := s.happen(what)
		if ok {
			s = next
			told := s
			news = append(news, newWebhook("shipment."+what, at, Webhook{Shipment: &told, RequestReference: request}))
		}
		return ok
	}
	if !tell("dispatched", now) && s.Status != "booked" {
		// Asked again: the same news again, for a request that waits for it.
		told := s
		return s, []Webhook{newWebhook("shipment.dispatched", now, Webhook{Shipment: &told, RequestReference: request})}
	}
	if s.AddressRef == "addr-lost" {
		tell("lost", now)
	} else if cfg.DeliverAfter > 0 {
		// The status changes with the dispatch; only the news comes later.
		tell("delivered", now.Add(cfg.DeliverAfter))
	}
	return s, news
}

func shipmentScript(scripts map[string]Script, s Shipment, r shipmentRequest) Script {
	for _, reference := range []string{r.Country, r.AddressRef, s.AddressRef} {
		if script, ok := scripts[reference]; ok {
			return script
		}
	}
	return Script{}
}
