package simulation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/go-json-experiment/json"
)

// outside are the payment provider and the carrier: the partners' real program, and
// the wires between it and us.
type outside struct {
	w        *world
	server   *partners.Server
	payments http.Handler // that take webhooks
	carriers http.Handler

	refused string // the last webhook that was not taken, and why
	arrived chan *webhook
	inbox   []*webhook // on their way to us, in an order that depends on nothing but what they are
	stop    func() error
}

// webhook is a request of the partners that waits for its answer.
type webhook struct {
	request *http.Request
	body    []byte
	about   partners.Webhook
	answer  chan int // status
}

// secret is what the partners sign with.
var secret = []byte("simulation")

// open starts the partners; ends with the bubble.
func (w *world) open(ctx context.Context, seed uint64) error {
	o := &outside{w: w, arrived: make(chan *webhook, 1000)}
	var err error
	o.server, err = partners.New(partners.Config{
		Listener: nobody{make(chan struct{})}, Transport: webhookWire{o}, Seed: seed, WebhookSecret: secret,
		PSPWebhookURL: "http://payment/", CarrierWebhookURL: "http://shipping/", DeliverAfter: time.Duration(seed%2) * 48 * time.Hour,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- o.server.Run(ctx) }()
	o.stop = func() error { cancel(); return <-ended }

	provider := service.NewPartner(service.PartnerConfig{URL: "http://partners/psp/v1", Transport: requestWire{o}})
	carrier := service.NewPartner(service.PartnerConfig{URL: "http://partners/carrier/v1", Transport: requestWire{o}})
	takings, dispatch := payment.NewDesk(env("payment"), provider, paymentBooks{w}), shipping.NewDesk(env("shipping"), carrier, shipmentBooks{w})
	o.payments = service.Webhooks{Env: env("payment"), Secret: secret, Handle: takings.Notice}
	o.carriers = service.Webhooks{Env: env("shipping"), Secret: secret, Handle: dispatch.Notice}
	w.authorizationDue = takings.Expire
	w.partners = o
	w.addParticipants(takings, dispatch)

	for _, f := range []partners.Fault{
		{Partner: "psp", Kind: partners.KindTimeout}, {Partner: "psp", Kind: partners.KindLost}, {Partner: "psp", Kind: partners.KindReset},
		{Partner: "psp", Kind: partners.KindError}, {Partner: "psp", Kind: partners.KindUnavailable}, {Partner: "psp", Kind: partners.KindBusy},
		{Partner: "psp", Kind: partners.KindDelay, DelayMS: 3000}, {Partner: "psp", Kind: partners.KindThrottled},
		{Partner: "psp", Kind: partners.KindDecline}, {Partner: "carrier", Kind: partners.KindDecline},
		{Partner: "carrier", Kind: partners.KindTimeout}, {Partner: "carrier", Kind: partners.KindReset}, {Partner: "carrier", Kind: partners.KindError},
		{Partner: "carrier", Kind: partners.KindUnavailable}, {Partner: "carrier", Kind: partners.KindLost},
		{Partner: "webhook", Kind: partners.KindDelay, DelayMS: 20_000}, {Partner: "webhook", Kind: partners.KindLost}, {Partner: "webhook", Kind: partners.KindDuplicate},
	} {
		if w.rand.IntN(2) == 0 {
			f.Rate = w.rand.Float64() * w.rand.Float64() / 3
			if err := o.server.Inject(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// requestWire carries our requests to the partners.
type requestWire struct{ o *outside }

func (t requestWire) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	w := t.o.w
	ctx := r.Context()
	if err := w.mortal(ctx); err != nil {
		return nil, err
	}
	body := []byte{}
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	asked := httptest.NewRequestWithContext(ctx, r.Method, r.URL.String(), bytes.NewReader(body))
	asked.Header = w.defect.ofHeader(r.Header)
	recorded := httptest.NewRecorder()
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == any(http.ErrAbortHandler):
			answer, err = nil, errors.New("connection reset")
		default:
			panic(p)
		}
		if dead := w.mortal(ctx); dead != nil {
			answer, err = nil, dead
		}
	}()
	t.o.server.ServeHTTP(recorded, asked)
	if recorded.Code == http.StatusPaymentRequired || recorded.Code == http.StatusUnprocessableEntity {
		w.refused[r.URL.Path] = true
	}
	return recorded.Result(), ctx.Err()
}

// webhookWire carries the partners' requests into the inbox, where they wait until
// chance lets them arrive, or their sender gives up.
type webhookWire struct{ o *outside }

func (t webhookWire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	hook := &webhook{request: r, body: body, answer: make(chan int, 1)}
	if err := json.Unmarshal(body, &hook.about); err != nil {
		return nil, err
	}
	t.o.arrived <- hook
	select {
	case status := <-hook.answer:
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// listen takes what has arrived by now into the inbox.
func (o *outside) listen() {
	synctest.Wait()
	for {
		select {
		case hook := <-o.arrived:
			o.inbox = append(o.inbox, hook)
			continue
		default:
		}
		break
	}
	slices.SortStableFunc(o.inbox, func(a, b *webhook) int {
		return cmp.Or(cmp.Compare(a.reference(), b.reference()), a.about.Created.Compare(b.about.Created), cmp.Compare(a.about.Type, b.about.Type))
	})
}

func (h *webhook) reference() string {
	if h.about.Payment != nil {
		return h.about.Payment.Reference
	}
	return h.about.Shipment.Reference
}

// deliver lets one webhook arrive; it may have been given up by its sender, who
// then sends it again.
func (o *outside) deliver(ctx context.Context, i int) {
	hook := o.inbox[i]
	o.inbox = slices.Delete(o.inbox, i, i+1)
	ctx, end := o.w.live(ctx)
	defer end()
	handler := o.payments
	if hook.about.Shipment != nil {
		handler = o.carriers
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(hook.body))
	r.Header = hook.request.Header
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, r)
	if hook.answer <- recorded.Code; recorded.Code/100 != 2 {
		o.refused = hook.about.Type + " of " + hook.reference() + ": " + recorded.Body.String()
	}
}

// owes tells that the partners have news that we have not accepted.
func (o *outside) owes() bool { return o.server.Untold() > 0 }

// pass lets time go on, as long as nothing arrives.
func (o *outside) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case hook := <-o.arrived:
		o.inbox = append(o.inbox, hook)
	}
}

// heal ends all faults that come by rate.
func (o *outside) heal() { o.admin(http.MethodDelete, "/admin/faults") }

// admin tells whether it was possible.
func (o *outside) admin(method, path string) bool { return o.adminOf(method, path, http.NoBody) }

func (o *outside) adminOf(method, path string, body io.Reader) bool {
	recorded := httptest.NewRecorder()
	o.server.ServeHTTP(recorded, httptest.NewRequest(method, path, body))
	return recorded.Code/100 == 2
}

// changesItsMind lets the provider authorise, or even capture, one of the order's payments that
// it had declined, whether or not another card took its place meanwhile.
func (o *outside) changesItsMind(order, news string) {
	for _, id := range sortedKeys(o.w.payments.states) {
		p := o.w.payments.states[id]
		if p.OrderID != order || p.Status != payment.StatusDeclined {
			continue
		}
		body := fmt.Sprintf(`{"amount":{"amount":%q,"currency":%q}}`, p.Amount.Amount(), p.Amount.Currency())
		if o.adminOf(http.MethodPost, "/admin/payments/"+id+"/"+news, strings.NewReader(body)) {
			o.w.latecomers[id] = true
			return
		}
	}
}

// happens lets the carrier tell something of the order's newest parcel.
func (o *outside) happens(order, news string) {
	if id := o.w.newest(events.CategoryShipment, order); id != "" {
		o.admin(http.MethodPost, "/admin/shipments/"+id+"/"+news)
	}
}

// disputes lets the bank tell that the customer does not know of the payment.
func (o *outside) disputes(payment string) {
	if payment != "" && o.admin(http.MethodPost, "/admin/payments/"+payment+"/disputed") {
		o.w.disputed[payment] = true
	}
}

// givesBack lets somebody at the provider give back money of a payment that nobody asked for.
func (o *outside) givesBack(payment, amount string) {
	body := fmt.Sprintf(`{"amount":{"amount":%q,"currency":"EUR"}}`, amount)
	if payment != "" && o.adminOf(http.MethodPost, "/admin/payments/"+payment+"/refunded", strings.NewReader(body)) {
		o.w.givenBack[payment] = true
	}
}

// newest is the last stream of a category that is about an order.
func (w *world) newest(category, order string) (key string) {
	for _, e := range w.log {
		if e.Stream.Category != category {
			continue
		}
		if s, ok := w.shipments.states[e.Stream.Key]; ok && s.OrderID == order {
			key = e.Stream.Key
		}
	}
	return key
}

// nobody is a listener at which nobody calls: requests come by requestWire.
type nobody struct{ closed chan struct{} }

func (n nobody) Accept() (net.Conn, error) { <-n.closed; return nil, net.ErrClosed }
func (n nobody) Close() error              { close(n.closed); return nil }
func (n nobody) Addr() net.Addr            { return &net.TCPAddr{} }
