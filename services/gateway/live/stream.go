package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// headerLastEventID is sent by a browser that comes back.
const headerLastEventID = "Last-Event-ID"

// comeBack tells clients after how many milliseconds to come back.
const comeBack = 1000

// Serve answers with what the principal of r sees of the topic's events, until the client goes, is too slow, his
// token ends, or the hub stops: those that are stored after the request's
// Last-Event-ID, or else after, or else from now on.
//
// What is refused before the stream begins is a *[esjs.Rejection]: see
// [Hub.Run] and "bad_position", 400, or "too_far_behind", 410. A stream that has begun ends
// without an error.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, topic Topic, after string) error {
	p, _ := signin.From(r.Context())
	topic.asCustomer = !p.Has(signin.Operator, signin.Auditor)
	leave, err := h.admit(p.Subject)
	if err != nil {
		return err
	}
	defer leave()
	ctx := r.Context()
	if !p.Expires.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, p.Expires, errExpired)
		defer cancel()
	}
	if id := r.Header.Get(headerLastEventID); id != "" {
		after = id
	}
	from, err := h.start(ctx, after)
	if err != nil {
		return err
	}
	out, err := begin(w, h.cfg.Patience)
	if err != nil {
		return err
	}
	if err = out.head(from); err == nil {
		err = h.stream(ctx, out, topic, from)
	}
	switch {
	case errors.Is(err, ctx.Err()):
		err = context.Cause(ctx)
	case r.Context().Err() != nil && !isSlow(err):
		err = context.Canceled // what was written did not arrive: nobody is there
	}
	h.metrics.end(err)
	out.close()
	return nil
}

var errExpired = errors.New("the token has expired")

// start is the position behind which a stream begins.
func (h *Hub) start(ctx context.Context, after string) (esjs.Position, error) {
	if after == "" {
		return h.position(), nil
	}
	from, err := esjs.ParsePosition(after)
	if err != nil {
		return from, &esjs.Rejection{Code: "bad_position", Message: fmt.Sprintf("%.60q is not the id of an event, such as 0-1871", after), Status: http.StatusBadRequest}
	}
	last, err := h.store.Last(ctx)
	switch {
	case err != nil:
		return from, err
	case last.Before(from):
		return from, &esjs.Rejection{Code: "bad_position", Message: fmt.Sprintf("there is no event %s yet; the last one is %s", from, last), Status: http.StatusBadRequest}
	case last.Sequence()-from.Sequence() > h.cfg.Behind:
		return from, &esjs.Rejection{
			Code: "too_far_behind", Status: http.StatusGone,
			Message: fmt.Sprintf("%d commits were stored since %s, and at most %d are told again; read what there is now, and come back without that id", last.Sequence()-from.Sequence(), from, h.cfg.Behind),
		}
	}
	return from, nil
}

// stream writes what comes after from, at first from the store and then from the
// hub, until ctx ends or something does not let it go on.
func (h *Hub) stream(ctx context.Context, out *writer, topic Topic, from esjs.Position) error {
	beat := time.NewTicker(h.cfg.Heartbeat)
	defer beat.Stop()
	// What there is much of is read before the queue begins to fill.
	for h.position().Sequence() > from.Sequence()+uint64(h.cfg.Queue/2) {
		var err error
		if from, err = h.replay(ctx, out, beat.C, topic, from, h.position()); err != nil {
			return err
		}
	}
	l, at, leave := h.listen(topic)
	defer leave()
	if from.Before(at) {
		var err error
		if from, err = h.replay(ctx, out, beat.C, topic, from, at); err != nil {
			return err
		}
	}
	for {
		select {
		case c := <-l.commits:
			// Another gateway may have been ahead of this one, and told the client more.
			if from.Covers(c.position()) {
				continue
			}
			if err := h.write(ctx, out, topic, c); err != nil {
				return err
			}
			if len(l.commits) > 0 {
				continue
			}
			if err := out.flush(); err != nil {
				return err
			}
		case <-beat.C:
			if err := h.beat(out, l, from); err != nil {
				return err
			}
		case <-l.ended:
			return l.why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write writes what is seen of a commit that the topic selects, unless it is about another
// customer's order.
func (h *Hub) write(ctx context.Context, out *writer, topic Topic, c *commit) error {
	shows, err := h.shows(ctx, topic, c)
	if err != nil || !shows {
		return err
	}
	shown, seen := &c.all, everything
	if topic.asCustomer {
		shown, seen = &c.customer, h.cfg.ForCustomer
	}
	text, err := shown.of(c.records, seen)
	if err != nil || len(text) == 0 {
		return err
	}
	return out.write(text)
}

// beat shows that the stream lives. It moves the client's Last-Event-ID on, so
// that one who comes back after a long silence need not read through all of it.
func (h *Hub) beat(out *writer, l *listener, from esjs.Position) error {
	at, ok := h.reached(l)
	if !ok || !from.Before(at) {
		at = esjs.Position{}
	}
	return out.beat(at)
}

// A page of what a client missed is full with so many commits, or so many bytes of events.
const (
	pageCommits = 500
	pageBytes   = 256 << 10
)

// replay writes the topic's commits behind from up to until, as they are stored, a page at a time: while a client
// takes what is written, others read. Who waits for them to have read is shown at each beat that the stream lives.
func (h *Hub) replay(ctx context.Context, out *writer, beats <-chan time.Time, topic Topic, from, until esjs.Position) (esjs.Position, error) {
	for {
		select {
		case h.reading <- struct{}{}:
		case <-beats:
			if err := out.beat(from); err != nil {
				return from, err
			}
			continue
		case <-ctx.Done():
			return from, ctx.Err()
		}
		page, at, err := h.page(ctx, topic, from, until)
		<-h.reading
		if err != nil {
			return from, err
		}
		for _, c := range page {
			if err := h.write(ctx, out, topic, c); err != nil {
				return from, err
			}
		}
		if err := out.flush(); err != nil || at == until {
			return at, err
		}
		if from = at; out.taken > h.cfg.CatchUp {
			return from, errSlow
		}
	}
}

// page reads the next of the topic's commits behind from, and not beyond until. There are none between them and at.
func (h *Hub) page(ctx context.Context, topic Topic, from, until esjs.Position) (page []*commit, at esjs.Position, err error) {
	q := topic.query()
	q.After, q.Until = from, until
	c, bytes := &commit{}, 0
	take := func() {
		if len(c.records) == 0 || !topic.selects(c.records[0]) {
			return
		}
		page = append(page, c)
		for _, r := range c.records {
			bytes += len(r.Data)
		}
	}
	for r, err := range h.store.ReadAll(ctx, q) {
		if err != nil {
			return nil, from, err
		}
		if !h.codec.Knows(r.Type) {
			continue
		}
		if len(c.records) > 0 && c.position() != r.Position {
			take()
			if len(page) >= pageCommits || bytes >= pageBytes {
				return page, c.position(), nil
			}
			c = &commit{}
		}
		c.records = append(c.records, r)
	}
	take()
	return page, until, nil
}
