package shipping

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// carrier is the client of the carrier.
type carrier struct {
	partner *service.Partner
}

// account is a shipment on the wire.
type account struct {
	Reference     string       `json:"reference"`
	Status        string       `json:"status"`
	Carrier       string       `json:"carrier"`
	Tracking      string       `json:"tracking"`
	Cost          events.Money `json:"cost"`
	ETA           time.Time    `json:"eta"`
	NothingBooked bool         `json:"nothing_booked"`
}

// reply is the body of the carrier's answers.
type reply struct {
	Shipment account `json:"shipment"`
}

// item is what a parcel holds, on the wire.
type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// cancelled is the code with which the carrier refuses what was cancelled.
const cancelled = "cancelled"

// ask asks the carrier about a shipment as we know it, and reads its answer. The
// error explains an Unknown answer; it is ctx's alone when ctx ended.
func (c carrier) ask(ctx context.Context, a Ask, known State) (Answer, error) {
	key := a.ShipmentID + ":" + string(a.Op)
	body := map[string]any{}
	switch a.Op {
	case Book:
		items := make([]item, 0, len(a.Lines))
		for _, line := range a.Lines {
			items = append(items, item{SKU: line.SKU, Quantity: line.Quantity})
		}
		body["address_ref"], body["country"], body["items"] = a.AddressRef, a.Country, items
	case Dispatch:
		// Each call has a key of its own: asking again sends nothing twice and may tell
		// what the webhook did not, and a no that the carrier keeps for a key would
		// otherwise be its answer for ever.
		key += ":" + uuid.NewString()
		body["request_reference"] = a.RequestID
	case Cancel:
		// The carrier keeps its answer to a key, a no too: after one the next key asks
		// anew. While the outcome is unknown it stays the same.
		if known.Refused > 0 {
			key += ":" + strconv.Itoa(known.Refused+1)
		}
	}
	var answer reply
	err := c.partner.Call(ctx, service.PartnerCall{
		Method: http.MethodPost,
		Path:   "/shipments/" + url.PathEscape(a.ShipmentID) + "/" + string(a.Op),
		Key:    key,
		Body:   body,
	}, &answer)
	var no *service.PartnerRefusal
	refused := errors.As(err, &no)
	missing := refused && no.Status == http.StatusNotFound
	switch told := answer.Shipment; {
	case err != nil && !refused:
		return Answer{}, err
	case !refused && told.Reference != a.ShipmentID:
		return Answer{}, fmt.Errorf("the carrier was asked about shipment %q and tells of %q", a.ShipmentID, told.Reference)
	case known.Status == StatusBooked && (missing || told.NothingBooked):
		// It took the booking: that it knows nothing of it now is no word about the goods.
		return Answer{}, errors.New("the carrier does not know the shipment that it had booked")
	case !refused:
		return Answer{Kind: Done, Account: told.read()}, nil
	case missing:
		return Answer{Kind: Missing, Code: no.Code}, nil
	case a.Op == Dispatch && no.Code != cancelled:
		// It refuses the request and not the parcel, which it still has and may
		// send: another booking would send the goods twice.
		return Answer{}, err
	default:
		return Answer{Kind: Refused, Code: no.Code}, nil
	}
}

func (a account) read() Account {
	return Account{
		Status: a.Status, Carrier: a.Carrier, Tracking: a.Tracking,
		Cost: a.Cost, ETA: a.ETA, NothingBooked: a.NothingBooked,
	}
}

// notice is a webhook of the carrier.
type notice struct {
	ID               string  `json:"id"`
	Type             string  `json:"type"`
	Shipment         account `json:"shipment"`
	RequestReference string  `json:"request_reference"`
}

// readNotice reads a webhook's body; fields that we do not know are not ours
// to refuse.
func readNotice(body []byte) (News, error) {
	var n notice
	if err := json.Unmarshal(body, &n); err != nil {
		return News{}, fmt.Errorf("the webhook is not the expected JSON: %w", err)
	}
	if n.ID == "" || n.Shipment.Reference == "" {
		return News{}, errors.New("the webhook has no id or no shipment.reference")
	}
	if err := service.WebhookID(n.ID); err != nil {
		return News{}, err
	}
	return News{
		ShipmentID: n.Shipment.Reference,
		EventID:    n.ID,
		RequestID:  n.RequestReference,
		Account:    n.Shipment.read(),
	}, nil
}
