package shipping

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// askAgain is the default of [Config].Retry.
const askAgain = 5 * time.Second

// Books are where shipments are kept.
type Books interface {
	// Load returns a shipment; the zero State when there is none.
	Load(ctx context.Context, id string) (State, error)
	// Handle decides a command and stores what it causes, once for a command id,
	// which m has. It returns the state after that.
	Handle(ctx context.Context, id string, c Command, m esjs.Metadata) (State, error)
}

// Desk does what is asked of shipments, at the carrier and in the books. It keeps
// nothing itself, and is safe for concurrent use.
type Desk struct {
	env     *service.Env
	carrier carrier
	books   Books
	retry   time.Duration
}

// NewDesk returns the desk of a service between its carrier and its books.
func NewDesk(env *service.Env, partner *service.Partner, books Books) Desk {
	return Desk{env: env, carrier: carrier{partner}, books: books, retry: askAgain}
}

// Request does what an event of fulfilment asks of us, if anything: it asks the
// carrier and stores its answer. It can be repeated from the start after a crash
// at any point: the carrier knows the shipment by our id.
func (d Desk) Request(ctx context.Context, e events.Event, caused esjs.Metadata) error {
	ask, ours := readRequest(e)
	if !ours {
		return nil
	}
	state, err := d.books.Handle(ctx, ask.ShipmentID, ask, caused)
	if err != nil || !ask.NeedsCarrier(state) {
		return err
	}
	answer, err := d.carrier.ask(ctx, ask, state)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		d.env.Log.Warn().Str("order", ask.OrderID).Str("shipment", ask.ShipmentID).Str("operation", string(ask.Op)).
			Err(err).Msg("outcome at the carrier is unknown")
		var no *service.PartnerRefusal
		if errors.As(err, &no) {
			return err // it may refuse for ever: some attempts, and then the order is parked
		}
		switch left := time.Until(ask.Deadline); {
		case ask.Op == Book && left <= 2*d.retry: // is told
		case ask.Op != Book && left <= 0 && !ask.Deadline.IsZero():
			// The process asks anew by then. What the carrier never answers would otherwise stay unfinished for ever,
			// one request beside the other, until no order's are handled any more.
			return nil
		default:
			// Told at once, a moment's outage would use up all the attempts that the order's process has.
			return esjs.RetryAfter(d.retry, err)
		}
	}
	caused.CommandID += ":answer"
	_, err = d.books.Handle(ctx, ask.ShipmentID, Tell{Ask: ask, Answer: answer}, caused)
	return err
}

// Notice stores what a webhook told. The carrier's event id makes a repeated
// one a no-op.
func (d Desk) Notice(ctx context.Context, body []byte) error {
	news, err := readNotice(body)
	if err != nil {
		return &esjs.Rejection{Code: "bad_request", Message: err.Error(), Status: http.StatusBadRequest}
	}
	ctx, span := d.env.StartNews(ctx, esjs.StreamID{Category: events.CategoryShipment, Key: news.ShipmentID})
	defer span.End()
	known, err := d.books.Load(ctx, news.ShipmentID)
	if err != nil {
		return err
	}
	_, err = d.books.Handle(ctx, news.ShipmentID, news, esjs.Metadata{
		CommandID:     "carrier:" + news.EventID,
		CorrelationID: known.OrderID,
	})
	return err
}

// stored are the books in the event store.
type stored struct {
	*esjs.CommandHandler[State, Command, events.Event]
}

func (b stored) Load(ctx context.Context, id string) (State, error) {
	loaded, err := b.CommandHandler.Load(ctx, id)
	return loaded.State, err
}

func (b stored) Handle(ctx context.Context, id string, c Command, m esjs.Metadata) (State, error) {
	result, err := b.CommandHandler.Handle(ctx, id, c, esjs.WithMetadata(m))
	return result.State, err
}
