package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ErrStarting is the reason why something that was declared with
// [Health.Await] and never set is not ready.
var ErrStarting = errors.New("is starting")

// Health collects what keeps a service from being ready. Safe for concurrent use.
type Health struct {
	mu      sync.Mutex
	parts   map[string]error
	changed chan struct{} // closed and replaced by every change
}

// NewHealth returns a Health that is ready.
func NewHealth() *Health {
	return &Health{parts: make(map[string]error), changed: make(chan struct{})}
}

// Await declares that name must become ready: it is not until Set(name, nil).
func (h *Health) Await(name string) { h.Set(name, ErrStarting) }

// AwaitEndpoints declares what [Env.ServeCommands] and [Env.ServeQueries] will
// answer, by its category or name: not ready before the server delivers to it.
func (h *Health) AwaitEndpoints(names ...string) {
	for _, name := range names {
		h.Await(endpointsPart(name))
	}
}

// AwaitSubscriptions declares leased subscriptions, which an observer of
// [Env.Observer] watches: not ready before this instance handles, or stands by
// because another one does.
func (h *Health) AwaitSubscriptions(names ...string) {
	for _, name := range names {
		h.Await(subscriptionPart(name))
	}
}

// AwaitWebhooks declares the service's [Env.ServeWebhooks]: not ready before it listens.
func (e *Env) AwaitWebhooks() { e.Health.Await(e.webhooksPart()) }

func endpointsPart(name string) string    { return name + " endpoints" }
func subscriptionPart(name string) string { return name + " subscription" }
func (e *Env) webhooksPart() string       { return e.Name + " webhooks" }

// Set says that name is ready (nil) or why it is not.
func (h *Health) Set(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[name] = err
	close(h.changed)
	h.changed = make(chan struct{})
}

// Err returns nil when everything is ready, or what is not, by name.
func (h *Health) Err() error {
	_, err := h.state()
	return err
}

// Wait blocks until everything is ready or ctx ends; then it says what was not.
func (h *Health) Wait(ctx context.Context) error {
	for {
		changed, err := h.state()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (h *Health) state() (<-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h.parts)) {
		if err := h.parts[name]; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return h.changed, errors.Join(errs...)
}
