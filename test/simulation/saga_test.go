package simulation

import (
	"context"
	"errors"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// saga is a process of any state.
type saga interface {
	replay(w *world) // P5
	keys() []string
	look(key string) instance
	isAside(key string) bool
	setAside(w *world, key string)
	decide(ctx context.Context, w *world, key, id string, o fulfilment.Operator) error
}

// process runs an esjs process on the world's log.
type process[S any] struct {
	esjs.Process[S, events.Event, events.Event]
	kept   kept[S]
	reader *reader
	see    func(key string) instance
}

func (w *world) addSagas(policy fulfilment.Policy) error {
	fulfilments, err := fulfilment.NewMachine(policy)
	if err != nil {
		return err
	}
	refunds, err := refund.NewMachine(policy)
	if err != nil {
		return err
	}
	addSaga(w, fulfilment.Process(fulfilments, w.codec, ""), w.fulfilment)
	addSaga(w, refund.Process(refunds, w.codec, ""), w.refund)
	return nil
}

func addSaga[S any](w *world, p esjs.Process[S, events.Event, events.Event], see func(string) instance) {
	s := &process[S]{Process: p, kept: keep(p.Category, p.Apply), see: see}
	w.sagas = append(w.sagas, s)
	s.reader = w.subscribe(p.Name, func(e esjs.Recorded[events.Event]) string {
		if !slices.Contains(p.Inputs.Categories, e.Stream.Category) || !slices.Contains(p.Inputs.Types, e.Type) {
			return ""
		}
		return p.Key(e)
	}, func(ctx context.Context, e esjs.Recorded[events.Event]) error {
		return s.react(ctx, w, p.Key(e), e.ID, esjs.Input[events.Event]{Event: &e, Time: e.Time})
	})
}

// react gives an instance one input. An input that caused something is
// recognised when it comes again.
func (s *process[S]) react(ctx context.Context, w *world, key, id string, in esjs.Input[events.Event]) error {
	if err := w.mortal(ctx); err != nil {
		return err
	}
	if !w.repeated(s.Category, key, id) {
		caused, err := s.React(s.kept.states[key], in)
		var unexpected *esjs.UnexpectedError
		if err != nil && !errors.As(err, &unexpected) {
			return err
		}
		store(w, s.kept, key, id, w.defect.ofSaga(caused)...)
	}
	// Also what came again arms: the program may have died in between.
	if w.defect != noTimers {
		s.arm(w, key)
	}
	return w.mortal(ctx)
}

// arm sets the timers of an instance's state.
func (s *process[S]) arm(w *world, key string) {
	id := esjs.StreamID{Category: s.Category, Key: key}
	for _, t := range s.Timers(s.kept.states[key]) {
		w.set(&timer{
			at: t.At, name: t.Name, stream: id, Fired: esjs.Fired{Version: t.Version},
			handle: func(ctx context.Context, fired esjs.Fired) error { return s.fired(ctx, w, key, fired) },
		})
	}
}

// fired is React for a timer that the state still waits for.
func (s *process[S]) fired(ctx context.Context, w *world, key string, fired esjs.Fired) error {
	if s.reader.aside[key] { // the release sets them again
		return nil
	}
	for _, t := range s.Timers(s.kept.states[key]) {
		if t.Name == fired.Name && t.Version == fired.Version {
			return s.react(ctx, w, key, "", esjs.Input[events.Event]{Timer: &fired, Time: fired.FiredAt})
		}
	}
	s.arm(w, key)
	return nil
}

func (s *process[S]) replay(w *world) { replay(w, s.kept) }

func (w *world) countRefunds(ends map[string]int) {
	for _, s := range w.shop.Refunds {
		end := "refund " + string(s.Status)
		if s.Attention != "" {
			end = "refund ATTENTION " + s.Attention
		}
		ends[end]++
	}
}
