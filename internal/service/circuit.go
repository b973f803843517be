package service

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrPartnerPaused is part of [ErrPartnerUnknown] when a partner was not called,
// because it has not answered for a while: what it was asked for before may have
// been done.
var ErrPartnerPaused = errors.New("it is not called for now, because it did not answer the last calls")

// errUnanswered is a status that a partner sends when it cannot answer.
var errUnanswered = errors.New("no answer")

const (
	outcomeAnswered   = "answered"
	outcomeUnanswered = "unanswered"
	outcomePaused     = "paused"
)

// circuit spares a partner that does not answer, and those who would wait for it.
type circuit struct {
	breaker *gobreaker.CircuitBreaker[reply]
	called  func(outcome string) // of every call
	paused  func(bool)           // when that changes
}

// reply is what a partner sent.
type reply struct {
	status int
	body   []byte
}

func newCircuit(cfg PartnerConfig) *circuit {
	if cfg.Failures == 0 {
		cfg.Failures = 10
	}
	if cfg.Pause == 0 {
		cfg.Pause = 5 * time.Second
	}
	c := &circuit{called: func(string) {}, paused: func(bool) {}}
	c.breaker = gobreaker.NewCircuitBreaker[reply](gobreaker.Settings{
		Timeout:     cfg.Pause,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= cfg.Failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) }, // by us
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed {
				c.paused(to != gobreaker.StateClosed)
			}
		},
	})
	return c
}

// Partner makes a client whose calls are counted, and which says when the
// partner does not answer and when it does again.
func (e *Env) Partner(name string, cfg PartnerConfig) *Partner {
	p := NewPartner(cfg)
	p.circuit.called = func(outcome string) { e.Metrics.partnerCalls.WithLabelValues(name, outcome).Inc() }
	paused := e.Metrics.partnerPaused.WithLabelValues(name)
	p.circuit.paused = func(now bool) {
		if !now {
			paused.Set(0)
			e.Log.Info().Str("partner", name).Msg("the partner answers again")
			return
		}
		paused.Set(1)
		e.Log.Error().Str("partner", name).Msg("the partner does not answer; calls to it are paused")
	}
	return p
}

// call sends, unless the partner is not called for now.
func (c *circuit) call(ctx context.Context, send func() (int, []byte, error)) (int, []byte, error) {
	r, err := c.breaker.Execute(func() (reply, error) {
		status, body, err := send()
		switch {
		case ctx.Err() != nil:
			err = context.Canceled
		case err == nil && !isAnswer(status):
			err = errUnanswered
		}
		return reply{status, body}, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		c.called(outcomePaused)
		return 0, nil, ErrPartnerPaused
	case errors.Is(err, context.Canceled):
	case err != nil:
		c.called(outcomeUnanswered)
	default:
		c.called(outcomeAnswered)
	}
	if errors.Is(err, errUnanswered) {
		err = nil // the status says it
	}
	return r.status, r.body, err
}

// isAnswer tells the statuses of a partner that is at work, whatever it says.
func isAnswer(status int) bool {
	return status < http.StatusInternalServerError && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}
