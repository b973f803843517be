package esjs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// leaseEntry is the KV entry of a subscription: who handles it, and where it
// stands. Without a token nobody does.
type leaseEntry struct {
	Subscription string `json:"subscription"`
	Owner        string `json:"owner"`
	Token        string `json:"token"`
	Stream       string `json:"stream"` // that the position is of
	place        `json:",inline"`
	Renewed      time.Time `json:"renewed"`
	// Lease is the owner's lease time in milliseconds: who watches waits for
	// no less.
	Lease int64 `json:"lease_ms"`
}

// handledUntil is the time of storing before which everything was handled, at
// the latest; now where nobody handled anything yet.
func (e leaseEntry) handledUntil() time.Time {
	switch {
	case e.Renewed.IsZero():
		return time.Now()
	case !e.Oldest.IsZero() && e.Oldest.Before(e.Renewed):
		return e.Oldest
	}
	return e.Renewed
}

// decode reads a stored entry, and refuses one that no owner has written.
func (e *leaseEntry) decode(value []byte) error {
	*e = leaseEntry{}
	if err := json.Unmarshal(value, e); err != nil {
		return err
	}
	return e.check()
}

// leaseKey is the KV key of a subscription's entry.
func leaseKey(subscription string) string { return "sub." + wire.EscapeKey(subscription) }

const (
	defaultLease = 20 * time.Second
	// savePause bounds how often progress is stored: a takeover then repeats
	// what was handled in this time, and an event costs no write of its own.
	savePause = 250 * time.Millisecond
)

// errFenced ends the work of an owner that can no longer be sure to be one.
var errFenced = errors.New("esjs: the lease was not renewed in time")

// claim says who wants which lease.
type claim struct {
	bucket       bucket
	subscription string
	stream       string
	owner        string
	length       time.Duration
	from         Position // where a subscription without an entry starts
	previous     string   // the token of a lease that this instance lost
	standby      func()   // called when another instance is found to have the lease; may be nil
	// elsewhere is told what is stored while another instance has the lease; may be nil.
	elsewhere func(leaseEntry)
	// exclusive promises that a lease of owner is left by a process that has
	// ended: nothing runs under it, and what that process sent and the server has yet to
	// read is refused, because every write of the entry is guarded by its revision. It
	// holds for the first lease of a run only: who lost one under this owner shares it
	// against the promise, and waits like everybody.
	exclusive bool
}

// free tells that nobody handles under the lease.
func (c claim) free(e leaseEntry) bool {
	return e.Token == "" || e.Token == c.previous || c.exclusive && e.Owner == c.owner
}

// lease is the right to handle a subscription, as long as it is renewed.
// keep and release are called by one goroutine; valid is safe for all.
type lease struct {
	claim    claim
	token    string
	revision uint64
	// lost is called when the lease can no longer be trusted.
	lost  context.CancelCauseFunc
	fence *time.Timer

	// handledUntil is the time of storing before which everything was handled
	// when the lease was taken.
	handledUntil time.Time

	began      time.Time
	validUntil atomic.Int64 // nanoseconds after began
}

// observed is the entry as an observer sees it, and when it did.
type observed struct {
	entry    leaseEntry
	revision uint64
	at       time.Time
}

// acquire waits until the lease is free, or until this instance saw it
// unchanged for the lease time, and takes it. It returns a context for the work
// under the lease, which ends when the lease is lost, and where the
// subscription stands.
func acquire(ctx context.Context, c claim) (*lease, context.Context, place, error) {
	watch, stop := context.WithCancel(ctx)
	seen, ended := make(chan observed), make(chan error, 1)
	go func() { ended <- c.observe(watch, seen) }()
	defer func() {
		stop()
		<-ended //nolint:errcheck // a watch that was stopped has nothing to say
	}()
	patience := time.NewTimer(c.length)
	defer patience.Stop()
	var now observed
	for {
		select {
		case <-ctx.Done():
			return nil, nil, place{}, ctx.Err()
		case err := <-ended:
			ended <- err
			return nil, nil, place{}, err
		case now = <-seen:
			if !c.free(now.entry) {
				if c.standby != nil {
					c.standby()
					c.standby = nil
				}
				if c.elsewhere != nil {
					c.elsewhere(now.entry)
				}
				length := max(c.length, time.Duration(now.entry.Lease)*time.Millisecond)
				patience.Reset(time.Until(now.at.Add(length)))
				continue
			}
		case <-patience.C:
			if now.at.IsZero() { // nothing was read yet
				patience.Reset(c.length)
				continue
			}
		}
		attempt, end := context.WithTimeout(ctx, c.length)
		l, work, err := c.take(attempt, now)
		late := attempt.Err() != nil && ctx.Err() == nil
		end()
		switch {
		case err == nil:
			return l, work, now.entry.place, nil
		case late: // in a bucket that was restored the entry may be below its revision, and stay there until it is seen
			patience.Reset(0)
		case !errors.Is(err, errChanged): // another was faster: it will be seen
			return nil, nil, place{}, err
		}
	}
}

// observe reports every revision of the entry; revision 0 when there is none, also in a bucket that took
// the place of the one that was observed.
func (c claim) observe(ctx context.Context, seen chan<- observed) error {
	report := func(o observed) error {
		o.at = time.Now()
		select {
		case seen <- o:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	none, last := true, message{}
	return c.bucket.store.follow(ctx, c.bucket.source(leaseKey(c.subscription)), 0, follower{
		again: func() { none = true },
		deliver: func(m message) error {
			none = false
			if m.sequence == last.sequence && bytes.Equal(m.data, last.data) { // delivered again
				return nil
			}
			last = m
			o := observed{revision: m.sequence, entry: leaseEntry{place: place{Floor: c.from}}}
			if !isDeleted(m) {
				if err := o.entry.decode(m.data); err != nil {
					return fmt.Errorf("%w: the entry %s of bucket %s is not a lease: %w", ErrConfig, leaseKey(c.subscription), c.bucket.name, err)
				}
				if o.entry.Stream != c.stream {
					return fmt.Errorf("%w: subscription %s has a position in the stream %s, not in %s", ErrConfig, c.subscription, o.entry.Stream, c.stream)
				}
			}
			return report(o)
		},
		reached: func(uint64, uint64) error {
			if !none {
				return nil
			}
			none, last = false, message{}
			return report(observed{entry: leaseEntry{place: place{Floor: c.from}}})
		},
	})
}

// take writes the entry over the revision that was observed.
func (c claim) take(ctx context.Context, o observed) (*lease, context.Context, error) {
	l := &lease{claim: c, token: uuid.NewString(), revision: o.revision, began: time.Now(), handledUntil: o.entry.handledUntil()}
	var work context.Context
	work, l.lost = context.WithCancelCause(context.WithoutCancel(ctx))
	l.fence = time.AfterFunc(c.length*3/4, func() { l.lost(errFenced) })
	if err := l.write(ctx, o.entry.place, l.token); err != nil {
		l.fence.Stop()
		l.lost(err)
		return nil, nil, err
	}
	return l, work, nil
}

// write stores the place; with the lease's token it also renews it.
func (l *lease) write(ctx context.Context, at place, token string) error {
	owner := l.claim.owner
	if token == "" {
		owner = ""
	}
	sent := time.Now()
	value, err := json.Marshal(leaseEntry{
		Subscription: l.claim.subscription, Owner: owner, Token: token, Stream: l.claim.stream, place: at,
		Renewed: sent.UTC(), Lease: l.claim.length.Milliseconds(),
	})
	if err != nil {
		return err
	}
	revision, err := l.claim.bucket.put(ctx, leaseKey(l.claim.subscription), value, l.revision)
	if err != nil {
		return err
	}
	l.revision = revision
	fence := sent.Add(l.claim.length * 3 / 4)
	l.validUntil.Store(int64(fence.Sub(l.began)))
	l.fence.Reset(time.Until(fence))
	return nil
}

// renewAt is when the next renewal is due.
func (l *lease) renewAt() time.Time {
	return l.began.Add(time.Duration(l.validUntil.Load()) - l.claim.length/2)
}

// valid tells that no other instance can have taken over yet. It holds also in
// a process that was stopped for a while and whose timers are late.
func (l *lease) valid() bool {
	return l == nil || int64(time.Since(l.began)) < l.validUntil.Load()
}

// keep renews the lease every quarter of its time, and stores progress soon
// after it was made, until stop or the work under the lease ends. A write that
// is under way is waited for, because its revision is needed.
func (l *lease) keep(stop, work context.Context, progress <-chan struct{}, current func() place) {
	renew := time.NewTimer(l.claim.length / 4)
	defer renew.Stop()
	for {
		select {
		case <-stop.Done():
			return
		case <-work.Done():
			return
		case <-renew.C:
		case <-progress:
		}
		err := l.write(work, current(), l.token)
		if errors.Is(err, errChanged) {
			l.lost(l.whyChanged(work))
			return
		}
		if !sleep(stop, min(savePause, l.claim.length/16)) {
			return
		}
		if err != nil {
			renew.Reset(0)
		} else {
			renew.Reset(time.Until(l.renewAt()))
		}
	}
}

// whyChanged tells whether the entry is this owner's at another place, or another owner's.
func (l *lease) whyChanged(ctx context.Context) error {
	value, _, err := l.claim.bucket.get(ctx, leaseKey(l.claim.subscription))
	var e leaseEntry
	if err == nil && e.decode(value) == nil && e.Token == l.token {
		return errRewound
	}
	return errFenced
}

// release stores the place and frees the lease: another instance takes it at
// once. A lease that was lost is left alone.
func (l *lease) release(work context.Context, at place) {
	defer l.lost(nil)
	defer l.fence.Stop()
	if work.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(work, l.claim.length/4)
	defer cancel()
	_ = l.write(ctx, at, "") // when it fails, the lease runs out
}
