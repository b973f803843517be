package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// timer is armed until it was handled.
type timer struct {
	esjs.Fired
	at     time.Time
	name   string
	stream esjs.StreamID
	handle func(context.Context, esjs.Fired) error
}

// enough is how often a saga that asked for attention is still tried again once
// all is calm: it would go on each hour, for ever.
const enough = 3

// patient tells a timer that only asks again what people must decide.
func (w *world) patient(t *timer) bool {
	attempts, attention := w.vain[t.stream]
	return w.calm && t.name == "step" && attention && attempts >= enough
}

// arm keeps the timers that follow from an event.
func (w *world) arm(e esjs.Recorded[events.Event]) {
	switch known := e.Event.(type) {
	case events.ReservationConfirmed:
		w.deadline(e, "expiry", known.ExpiresAt, w.reservationDue)
	case events.PaymentAuthorized:
		w.deadline(e, "authorization", known.ExpiresAt, w.authorizationDue)
	case events.AttentionRequired:
		w.vain[e.Stream] = 0
	case events.AttentionCleared:
		delete(w.vain, e.Stream)
	case events.StepTimedOut, events.CaptureCheckRequested:
		if _, attention := w.vain[e.Stream]; attention {
			w.vain[e.Stream]++
		}
	}
}

func (w *world) deadline(e esjs.Recorded[events.Event], name string, at time.Time, due func(context.Context, esjs.Fired) error) {
	w.set(&timer{at: at, name: name, stream: e.Stream, Fired: esjs.Fired{Version: e.Version}, handle: due})
}

// set arms a timer, unless it is armed already.
func (w *world) set(t *timer) {
	t.Stream, t.Name, t.At = t.stream, t.name, t.at
	for _, known := range w.timers {
		if known.stream == t.stream && known.name == t.name && known.Version == t.Version {
			return
		}
	}
	w.timers = append(w.timers, t)
}

func (w *world) due() (due []*timer) {
	now := time.Now()
	for _, t := range w.timers {
		if !t.at.After(now) && !w.patient(t) {
			due = append(due, t)
		}
	}
	return due
}

// fire handles a timer whose time has come; sometimes it fires a second time.
func (w *world) fire(ctx context.Context, t *timer) {
	ctx, end := w.live(ctx)
	defer end()
	fired := t.Fired
	fired.FiredAt = time.Now().UTC()
	if err := t.handle(ctx, fired); err != nil || ctx.Err() != nil {
		t.at = time.Now().Add(5 * time.Second)
		return
	}
	if w.chance(20) {
		t.at = time.Now().Add(time.Second)
		return
	}
	w.timers = slices.DeleteFunc(w.timers, func(known *timer) bool { return known == t })
}
