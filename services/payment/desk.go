package payment

import (
	"context"
	"errors"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Books are where payments are kept.
type Books interface {
	// Load returns a payment as it is now, whoever wrote it; the zero State when there is none.
	Load(ctx context.Context, id string) (State, error)
	// Handle decides a command and stores what it causes. A command id, which m
	// has, is handled once: repeated tells that it came before, and state is then
	// the present one.
	Handle(ctx context.Context, id string, c Command, m esjs.Metadata) (state State, repeated bool, err error)
}

// Desk does what is asked of payments, at the PSP and in the books. It keeps
// nothing itself, and is safe for concurrent use.
type Desk struct {
	env   *service.Env
	psp   psp
	books Books
}

// NewDesk returns the desk of a service between its PSP and its books.
func NewDesk(env *service.Env, provider *service.Partner, books Books) Desk {
	return Desk{env: env, psp: psp{partner: provider}, books: books}
}

// Request does what an event of fulfilment or of a refund asks of us, if
// anything: it stores the attempt, asks the PSP, and stores its answer. It can be
// repeated from the start after a crash at any point.
func (d Desk) Request(ctx context.Context, e events.Event, caused esjs.Metadata) error {
	ask, ours := readRequest(e)
	if !ours {
		return nil
	}
	state, repeated, err := d.books.Handle(ctx, ask.PaymentID, ask, caused)
	if err != nil {
		return err
	}
	call, needed := ask.Call(state)
	if !needed {
		return nil
	}
	call.Look = call.Look || repeated
	answer, err := d.psp.ask(ctx, call)
	if err != nil {
		return err
	}
	if answer.Kind == Unknown {
		d.env.Log.Warn().Str("order", ask.OrderID).Str("payment", ask.PaymentID).Str("operation", string(ask.Op)).
			Str("error", answer.Error).Msg("outcome at the payment provider is unknown")
	}
	caused.CommandID += ":answer"
	_, _, err = d.books.Handle(ctx, ask.PaymentID, Tell{Ask: ask, Answer: answer}, caused)
	return err
}

// Notice stores what a webhook told. The PSP's event id makes a repeated one a
// no-op.
func (d Desk) Notice(ctx context.Context, body []byte) error {
	news, err := readNotice(body)
	if err != nil {
		return &esjs.Rejection{Code: "bad_request", Message: err.Error(), Status: http.StatusBadRequest}
	}
	ctx, span := d.env.StartNews(ctx, esjs.StreamID{Category: events.CategoryPayment, Key: news.PaymentID})
	defer span.End()
	known, err := d.books.Load(ctx, news.PaymentID)
	if err != nil {
		return err
	}
	_, _, err = d.books.Handle(ctx, news.PaymentID, news, esjs.Metadata{
		CommandID:     "psp:" + news.EventID,
		CorrelationID: known.OrderID,
	})
	return err
}

// Expire asks the PSP what became of an authorisation whose time has ended.
func (d Desk) Expire(ctx context.Context, fired esjs.Fired) error {
	id := fired.Stream.Key
	known, err := d.books.Load(ctx, id)
	if err != nil || !known.due(fired.FiredAt) {
		return err
	}
	answer, err := d.psp.look(ctx, Call{PaymentID: id})
	if err != nil {
		return err
	}
	if !known.decidedBy(answer) {
		return esjs.RetryAfter(lookAgain, errors.New("what became of the authorisation is unknown: "+answer.Error+answer.Code))
	}
	_, _, err = d.books.Handle(ctx, id, Expire{At: fired.FiredAt, Answer: answer}, esjs.Metadata{
		CommandID: fired.ID(), CausationID: fired.ID(), CorrelationID: known.OrderID,
	})
	return err
}

// stored are the books in the event store.
type stored struct {
	*esjs.CommandHandler[State, Command, events.Event]
}

func (b stored) Load(ctx context.Context, id string) (State, error) {
	loaded, err := b.CommandHandler.Load(ctx, id, esjs.Fresh())
	return loaded.State, err
}

func (b stored) Handle(ctx context.Context, id string, c Command, m esjs.Metadata) (state State, repeated bool, err error) {
	result, err := b.CommandHandler.Handle(ctx, id, c, esjs.WithMetadata(m))
	return result.State, result.Repeated, err
}
