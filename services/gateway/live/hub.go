package live

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// Config bounds what clients may cost. The zero value works.
type Config struct {
	Streams    int // open at the same time; default 1,000
	PerSubject int // of one subject; default 50
	Queue      int // commits that may wait for one client; default 256
	// Behind is how many commits of the whole store a client may have missed and
	// still be given them; default 100,000. Reading them takes a second.
	Behind    uint64
	Heartbeat time.Duration // default 15 s
	// Patience is how long a client may take to receive what is written; default 10 s.
	Patience time.Duration
	// CatchUp is how long a client may take in all to receive what he had missed; then his stream ends,
	// and he comes back for the rest. Default 60 s.
	CatchUp time.Duration
	// Owner returns whose an order is, "" when it is nobody's. Topics of a customer
	// need it; it is asked once about a commit, however many look at it.
	Owner func(ctx context.Context, orderID string) (customerID string, err error)
	// ForCustomer is what a customer sees of an event of his order; ok is false when it is
	// nothing. Who is neither operator nor auditor is given that; without it, nothing.
	ForCustomer func(e queries.StoredEvent) (seen queries.StoredEvent, ok bool)
}

func (c Config) withDefaults() Config {
	setDefault(&c.Streams, 1000)
	setDefault(&c.PerSubject, 50)
	setDefault(&c.Queue, 256)
	setDefault(&c.Behind, 100_000)
	setDefault(&c.Heartbeat, 15*time.Second)
	setDefault(&c.Patience, 10*time.Second)
	setDefault(&c.CatchUp, 60*time.Second)
	if c.ForCustomer == nil {
		c.ForCustomer = func(queries.StoredEvent) (queries.StoredEvent, bool) { return queries.StoredEvent{}, false }
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Why a client's stream ends, other than by his own doing.
var (
	errSlow        = errors.New("the client was too slow")
	errStopping    = errors.New("the gateway stops")
	errInterrupted = errors.New("the end of the event stream is not followed")
)

// Hub follows the end of the event stream for all clients. It is safe for
// concurrent use.
type Hub struct {
	store   *esjs.Store
	codec   *esjs.Codec[events.Event]
	cfg     Config
	metrics *Metrics
	reading chan struct{} // bounds how many read of the store what they missed at the same time
	again   time.Duration // from the beginning of one attempt to follow to the next at least
	pause   func(ctx context.Context, d time.Duration)

	mu        sync.Mutex
	following bool
	at        esjs.Position // everything up to it has been given to the listeners
	listeners map[*listener]struct{}
	open      int
	subjects  map[string]int // streams that each has open
}

// New makes a hub, which follows nothing before [Hub.Run].
func New(store *esjs.Store, cfg Config, metrics *Metrics) (*Hub, error) {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return nil, err
	}
	return &Hub{
		store: store, codec: codec, cfg: cfg.withDefaults(), metrics: metrics,
		reading: make(chan struct{}, 4), again: comeBack * time.Millisecond, pause: pause,
		listeners: map[*listener]struct{}{}, subjects: map[string]int{},
	}, nil
}

// Run follows the end of the event stream until ctx ends; then it ends all
// streams and returns nil. When it cannot go on it ends all streams too, tells
// why, and tries again: nothing is missed by who comes back. told is called with
// nil when it follows.
func (h *Hub) Run(ctx context.Context, told func(error)) error {
	for ctx.Err() == nil {
		begun := time.Now()
		if why := h.follow(ctx, told); ctx.Err() == nil {
			h.endAll(errInterrupted)
			told(why)
			// When it has followed for longer it tries again at once, before the clients come back.
			h.pause(ctx, h.again-time.Since(begun))
		}
	}
	h.endAll(errStopping)
	return nil
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (h *Hub) follow(ctx context.Context, told func(error)) error {
	last, err := h.store.Last(ctx)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.at, h.following = last, true
	h.mu.Unlock()
	told(nil)
	err = esjs.SubscribeBatch(ctx, h.store, esjs.SubscriptionConfig[events.Event]{
		Name: "gateway-live", EveryInstance: true, Codec: h.codec, From: last, SkipUnknown: true,
		// In the order of the store, whatever the aggregate.
		Key: func(esjs.Recorded[events.Event]) string { return "all" },
	}, 1, func(_ context.Context, deliveries []esjs.Delivery[events.Event]) []error {
		for _, d := range deliveries {
			records := make([]esjs.Record, len(d.Events))
			for i, e := range d.Events {
				records[i] = e.Record
			}
			h.publish(records)
		}
		return make([]error, len(deliveries))
	})
	if err == nil {
		err = errInterrupted
	}
	return err
}

// publish gives a commit to those who listen for it. It waits for nobody.
func (h *Hub) publish(records []esjs.Record) {
	if len(records) == 0 {
		return
	}
	c := &commit{records: records}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if !l.topic.selects(records[0]) {
			continue
		}
		select {
		case l.commits <- c:
		default:
			h.end(l, errSlow)
		}
	}
	h.at = c.position()
}

// end removes a listener and tells it why. h.mu is held.
func (h *Hub) end(l *listener, why error) {
	if _, there := h.listeners[l]; there {
		delete(h.listeners, l)
		l.why = why
		close(l.ended)
	}
}

func (h *Hub) endAll(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following = false
	for l := range h.listeners {
		h.end(l, why)
	}
}

// admit counts a stream of a subject until leave is called, or refuses it:
// "live_unavailable", 503, or "too_many_streams", 429.
func (h *Hub) admit(subject string) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.following:
		return nil, &esjs.Rejection{Code: "live_unavailable", Message: errInterrupted.Error() + " just now; try again", Status: http.StatusServiceUnavailable}
	case h.open >= h.cfg.Streams:
		return nil, tooMany("the gateway has as many live streams open as it can keep; try again later")
	case h.subjects[subject] >= h.cfg.PerSubject:
		return nil, tooMany("you have as many live streams open as you may have; close one")
	}
	h.open++
	h.subjects[subject]++
	h.metrics.streams.Inc()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.open--
		if h.subjects[subject]--; h.subjects[subject] == 0 {
			delete(h.subjects, subject)
		}
		h.metrics.streams.Dec()
	}, nil
}

func tooMany(message string) error {
	return &esjs.Rejection{Code: "too_many_streams", Message: message, Status: http.StatusTooManyRequests}
}

// position is how far the hub is.
func (h *Hub) position() esjs.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}
