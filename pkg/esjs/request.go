package esjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// errDisconnected ends a call whose connection was lost before the answer came:
// the server may or may not have served it.
var errDisconnected = errors.New("esjs: disconnected while waiting for the answer")

// errNoAnswer ends a call that got no answer in time.
var errNoAnswer = fmt.Errorf("%w: no answer from the server in time", ErrUnavailable)

// deniedError is a request that the server has not taken: the connection may not
// publish to its subject.
type deniedError struct{ subject string }

func (e *deniedError) Error() string {
	return "esjs: no permission to publish to " + e.subject
}

// refused makes what the server has not taken an [ErrRefused].
func refused(err error) error {
	if errors.As(err, new(*deniedError)) && !errors.Is(err, ErrRefused) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// unsentError is a request that never left this process, and cannot.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// requester is the store's own request path on one connection. Answers go from
// the connection's reader straight to the caller that waits, without a
// goroutine in between, which is a tenth of a round trip; a lost connection
// ends every call at once, so that an append is settled and does not wait for
// a timeout. Safe for concurrent use.
type requester struct {
	nc *nats.Conn

	mu   sync.Mutex
	free []*call
	// down is closed, and replaced, when the connection is lost, and when the
	// server has not taken a request; then denied is why the last one was closed.
	down   chan struct{}
	denied struct {
		down chan struct{}
		err  *deniedError
		at   time.Time
	}
	whoNeeds map[string]func(error) // by subject; see whenDenied
}

// call is one or more requests in flight and their answers. Its inbox is its
// own, and is used again by later calls.
type call struct {
	on      *requester
	prefix  string // of its reply subjects, ends in a dot
	answers chan *nats.Msg
	sub     *nats.Subscription
	timer   *time.Timer
	armed   bool      // the timer runs; it may be early, and then runs on
	expires time.Time // when the answers are too late
	down    chan struct{}
	subject string // of the last request
	number  uint64 // tells this call's answers from late ones of earlier calls
	late    int    // answers of earlier calls that may still come
	open    int    // answers of this call that are still to come
	reply   []byte
}

// maxInFlight bounds the requests of one call. Its inbox holds as many answers,
// and as many late ones.
const maxInFlight = 128

// newRequester makes the request path of a connection; connected is told when
// that is there, lost, or there again, but not when it is closed.
func newRequester(nc *nats.Conn, connected func(bool)) *requester {
	r := &requester{nc: nc, down: make(chan struct{}), whoNeeds: map[string]func(error){}}
	changes := nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	if nc.IsConnected() {
		connected(true)
	}
	previous := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			r.deny(err)
		}
		if previous != nil {
			previous(nc, sub, err)
		}
	})
	go r.watch(changes, connected)
	return r
}

// deny ends the calls that wait for an answer to what the server did not take:
// it says so on the connection and never answers. The other calls take it for a
// lost connection, which changes nothing for them.
func (r *requester) deny(err error) {
	_, subject, _ := strings.Cut(err.Error(), `Publish to "`) // where else it says which one
	subject, _, found := strings.Cut(subject, `"`)
	if !found {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denied.down, r.denied.err, r.denied.at = r.down, &deniedError{subject}, time.Now()
	close(r.down)
	r.down = make(chan struct{})
	if end := r.whoNeeds[subject]; end != nil {
		end(r.denied.err)
	}
}

// whenDenied calls end, until forget is called, when the server does not take what is
// published to one of the subjects: it is for requests that no call waits for. Nobody else
// names these subjects meanwhile.
func (r *requester) whenDenied(end func(error), subjects ...string) (forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, subject := range subjects {
		r.whoNeeds[subject] = end
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, subject := range subjects {
			delete(r.whoNeeds, subject)
		}
	}
}

// deniedSince returns what the server said last since a time that it did not
// take, or nil.
func (r *requester) deniedSince(t time.Time) *deniedError {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.denied.at.Before(t) {
		return nil
	}
	return r.denied.err
}

// lost is why a call ends whose down was closed.
func (c *call) lost() error {
	c.on.mu.Lock()
	defer c.on.mu.Unlock()
	if why := c.on.denied; why.down == c.down && why.err.subject == c.subject {
		return why.err
	}
	return errDisconnected
}

// watch ends the calls under way when the connection is lost.
func (r *requester) watch(changes chan nats.Status, connected func(bool)) {
	for status := range changes {
		if status == nats.CONNECTED {
			connected(true)
			continue
		}
		r.mu.Lock()
		close(r.down)
		r.down = make(chan struct{})
		r.mu.Unlock()
		if status == nats.CLOSED {
			return
		}
		connected(false)
	}
}

// begin starts a call; end it.
func (r *requester) begin() (*call, error) {
	r.mu.Lock()
	down := r.down
	if n := len(r.free); n > 0 {
		c := r.free[n-1]
		r.free = r.free[:n-1]
		r.mu.Unlock()
		c.down = down
		c.number++
		return c, nil
	}
	r.mu.Unlock()
	inbox := r.nc.NewInbox()
	c := &call{on: r, prefix: inbox + ".", answers: make(chan *nats.Msg, 2*maxInFlight), timer: time.NewTimer(time.Hour), down: down}
	c.timer.Stop()
	var err error
	if c.sub, err = r.nc.ChanSubscribe(inbox+".*", c.answers); err != nil {
		return nil, &unsentError{err}
	}
	return c, nil
}

// send publishes msg as a request of the call; tag names its answer. Errors are
// those of [requester.publish].
func (c *call) send(ctx context.Context, msg *nats.Msg, tag int) error {
	c.reply = append(c.reply[:0], c.prefix...)
	c.reply = strconv.AppendUint(c.reply, c.number, 36)
	c.reply = append(c.reply, '-')
	c.reply = strconv.AppendInt(c.reply, int64(tag), 36)
	msg.Reply = string(c.reply)
	if err := c.on.publish(ctx, msg); err != nil {
		return err
	}
	c.open++
	c.subject = msg.Subject
	return nil
}

// maxSubjects bounds the subjects of a request together. A server answers a
// control line of more than 4096 bytes by closing the connection, and the client then
// does not connect again; the rest is for the two sizes.
const maxSubjects = 4096 - 32

// publish hands msg to the connection. While that is lost, and what it keeps for
// the next one is full, it waits until ctx ends: that passes. Errors: *unsentError for
// what the connection cannot send and where ctx ended; errDisconnected for a write that
// failed, of which the server may have all.
func (r *requester) publish(ctx context.Context, msg *nats.Msg) error {
	if n := len(msg.Subject) + len(msg.Reply); n > maxSubjects {
		return &unsentError{fmt.Errorf("%w: it has %d bytes with the reply subject, and at most %d fit the server's control line: it begins with %.80s",
			nats.ErrBadSubject, n, maxSubjects, msg.Subject)}
	}
	err := r.nc.PublishMsg(msg)
	for wait := newPause(); errors.Is(err, nats.ErrReconnectBufExceeded); err = r.nc.PublishMsg(msg) {
		if err := wait.sleep(ctx); err != nil {
			return &unsentError{err}
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return &unsentError{err}
	}
	return fmt.Errorf("%w: %w", errDisconnected, err)
}

// wait gives the answers [answerTimeout] from now on. The timer of an earlier
// call is left to run, because setting and stopping one for each call may wake
// the scheduler and costs 2 % of an append.
func (c *call) wait() {
	c.expires = time.Now().Add(answerTimeout)
	if !c.armed {
		c.timer.Reset(answerTimeout)
		c.armed = true
	}
}

// next returns one of the answers and its tag. Errors: errDisconnected, *deniedError,
// errNoAnswer, ctx's error; they end the call. nats.ErrNoResponders belongs to
// the tag.
func (c *call) next(ctx context.Context) (int, *nats.Msg, error) {
	for {
		select {
		case msg := <-c.answers:
			if tag, ok := c.tagOf(msg); ok {
				c.open--
				return tag, msg, noResponders(msg)
			}
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-c.down:
			return 0, nil, c.lost()
		case <-c.timer.C:
			if left := time.Until(c.expires); left > 0 {
				c.timer.Reset(left)
				continue
			}
			c.armed = false
			return 0, nil, errNoAnswer
		}
	}
}

// tagOf reads the tag of an answer; not ok when it is of an earlier call.
func (c *call) tagOf(msg *nats.Msg) (int, bool) {
	number, tag, _ := strings.Cut(strings.TrimPrefix(msg.Subject, c.prefix), "-")
	if n, err := strconv.ParseUint(number, 36, 64); err != nil || n != c.number {
		c.late--
		return 0, false
	}
	n, err := strconv.ParseInt(tag, 36, 32)
	return int(n), err == nil
}

func noResponders(msg *nats.Msg) error {
	if len(msg.Data) == 0 && len(msg.Header) > 0 && msg.Header.Get("Status") == "503" {
		return nats.ErrNoResponders
	}
	return nil
}

// end gives the call back. One to which too many late answers may come is not
// used again, so that they can never fill its inbox.
func (c *call) end() {
	c.late += c.open
	c.open = 0
	r := c.on
	if c.late > maxInFlight || r.nc.IsClosed() {
		c.timer.Stop()
		_ = c.sub.Unsubscribe() // fails only on a connection that is closed
		return
	}
	r.mu.Lock()
	r.free = append(r.free, c)
	r.mu.Unlock()
}

// do sends msg and waits for its answer at most [answerTimeout]. Errors: *unsentError
// for what the connection cannot send, nats.ErrNoResponders, and those of
// [call.next].
func (r *requester) do(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	return r.doWithin(ctx, msg, answerTimeout)
}

// doWithin is do for an answer that may take longer.
func (r *requester) doWithin(ctx context.Context, msg *nats.Msg, patience time.Duration) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unsentError{err}
	}
	c, err := r.begin()
	if err != nil {
		return nil, err
	}
	defer c.end()
	if err := c.send(ctx, msg, 0); err != nil {
		return nil, err
	}
	c.wait()
	c.expires = time.Now().Add(patience)
	_, answer, err := c.next(ctx)
	if err != nil {
		return nil, err
	}
	return answer, nil
}
