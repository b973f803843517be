package esjs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"
)

// work handles what is ready until the queue stops.
func (r *running[T]) work() {
	for {
		lanes := r.queue.take(max(r.batchMax, 1))
		if lanes == nil {
			return
		}
		if r.lease != nil && !r.lease.valid() {
			r.fail(errFenced)
			r.lease.lost(errFenced)
			return
		}
		r.workOn(lanes)
	}
}

// workOn handles the heads of lanes that it has taken, together where the
// subscription has a batch handler.
func (r *running[T]) workOn(lanes []*lane[T]) {
	var heads []*lane[T]
	var payloads []T
	for _, l := range lanes {
		if r.workParked(l) {
			continue
		}
		t, found := r.queue.head(l)
		switch {
		case !found:
			r.queue.release(l)
		case l.isDecided(t.entry.sequence):
			r.parkHead(l, t)
		case t.err != nil:
			r.park(l, r.undecoded(t.err))
		case r.batch != nil:
			heads, payloads = append(heads, l), append(payloads, t.payload)
		default:
			r.settle(l, r.call(r.handlers, t.payload))
		}
	}
	if len(heads) == 0 {
		return
	}
	errs := r.callBatch(payloads)
	for i, l := range heads {
		r.settle(l, errs[i])
	}
}

// undecoded tells of what cannot be decoded, and is parked without a call of the handler.
func (r *running[T]) undecoded(err error) error {
	r.observer.Handled(r.name, 0, err)
	return err
}

// call calls the handler. A panic is an error.
func (r *running[T]) call(ctx context.Context, payload T) (err error) {
	if r.shared != nil {
		if err := r.turn(ctx); err != nil {
			return err
		}
		defer r.shared.turned()
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	began := time.Now()
	c := r.cause(payload)
	ctx, end := r.store.spanOf(ctx, r.operation, r.name, c)
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
		end(err)
		r.observer.Handled(r.name, time.Since(began), c.failed(err))
	}()
	return r.handle(ctx, payload)
}

// tell calls one of the functions that are told what becomes of a key. What it
// fails with is reported as a handler's is.
func (r *running[T]) tell(f func(ctx context.Context, key string) error, key string) (err error) {
	ctx, cancel := context.WithTimeout(r.handlers, r.timeout)
	defer cancel()
	began := time.Now()
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
		if err != nil {
			r.observer.Handled(r.name, time.Since(began), err)
		}
	}()
	return f(ctx, key)
}

// outOfTurnKey marks the context of a handler whose message was set aside for a
// while, so that later ones of what it concerns may have been handled before.
type outOfTurnKey struct{}

func isOutOfTurn(ctx context.Context) bool { return ctx.Value(outOfTurnKey{}) != nil }

func (r *running[T]) callBatch(payloads []T) (errs []error) {
	if r.shared != nil {
		if err := r.turn(r.handlers); err != nil {
			return repeat(err, len(payloads))
		}
		defer r.shared.turned()
	}
	ctx, cancel := context.WithTimeout(r.handlers, r.timeout)
	defer cancel()
	began := time.Now()
	causes := make([]cause, len(payloads))
	for i, p := range payloads {
		causes[i] = r.cause(p)
	}
	ctx, traces, end := r.store.spansOf(ctx, r.operation, r.name, causes)
	defer func() {
		if v := recover(); v != nil {
			errs = repeat(panicError(v), len(payloads))
		}
		end(errs)
		var failed []error
		for i, err := range errs {
			if err != nil {
				failed = append(failed, causes[i].failed(err))
			}
		}
		r.observer.Handled(r.name, time.Since(began), errors.Join(failed...))
	}()
	errs = r.batch(ctx, payloads, traces)
	if len(errs) == 0 {
		return repeat(nil, len(payloads))
	}
	if len(errs) != len(payloads) {
		return repeat(first(errs, len(payloads)), len(payloads))
	}
	return errs
}

// first is the error of a batch of n whose errors are not one for each.
func first(errs []error, n int) error {
	if len(errs) == 0 || len(errs) == 1 && n == 1 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("esjs: the handler returned %d errors for %d commits", len(errs), n)
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func panicError(v any) error {
	return fmt.Errorf("esjs: the handler panicked: %v\n%s", v, strings.TrimSpace(string(debug.Stack())))
}

// settle decides what becomes of a lane's head after it was handled.
func (r *running[T]) settle(l *lane[T], err error) {
	if err == nil {
		r.queue.finish(l)
		return
	}
	if wait, again := r.again(l, err); again {
		r.queue.again(l, wait)
		return
	}
	if r.handlers.Err() == nil {
		r.park(l, err)
	}
}

// again tells whether to handle again what failed with err, and after how
// long. What failed because handling stops stays where it is.
func (r *running[T]) again(l *lane[T], err error) (wait time.Duration, again bool) {
	var retry *retryAfter
	var park *parkNow
	var undecodable *DecodeError
	switch {
	case r.handlers.Err() != nil, errors.As(err, &park), errors.As(err, &undecodable):
		return 0, false
	case errors.As(err, &retry):
		return max(retry.after, time.Millisecond), true
	case l.attempts+1 >= r.retry.Attempts:
		return 0, false
	}
	wait = r.retry.wait(l.attempts)
	l.attempts++
	return wait, true
}

// wait is min(First·2^n, Max), of which half is random.
func (b Backoff) wait(n int) time.Duration {
	d := b.Max
	if n < 30 && b.First<<n > 0 {
		d = min(b.First<<n, b.Max)
	}
	return d/2 + rand.N(d/2+1)
}

// retryAfter is what [RetryAfter] returns.
type retryAfter struct {
	after time.Duration
	err   error
}

func (e *retryAfter) Error() string { return fmt.Sprintf("try again after %s: %v", e.after, e.err) }
func (e *retryAfter) Unwrap() error { return e.err }

// parkNow is what [Park] returns.
type parkNow struct{ err error }

func (e *parkNow) Error() string { return fmt.Sprintf("park: %v", e.err) }
func (e *parkNow) Unwrap() error { return e.err }
