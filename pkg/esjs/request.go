package esjs

import (
	"context"
	"errors"
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
var errNoAnswer = errors.New("esjs: no answer from the server in time")

// unsentError is a request that never left this process.
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
	down chan struct{} // closed, and replaced, when the connection is lost
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
	number  uint64 // tells this call's answers from late ones of earlier calls
	late    int    // answers of earlier calls that may still come
	open    int    // answers of this call that are still to come
	reply   []byte
}

// maxInFlight bounds the requests of one call. Its inbox holds as many answers,
// and as many late ones.
const maxInFlight = 128

func newRequester(nc *nats.Conn) *requester {
	r := &requester{nc: nc, down: make(chan struct{})}
	go r.watch(nc.StatusChanged(nats.RECONNECTING, nats.CLOSED))
	return r
}

// watch ends the calls under way when the connection is lost.
func (r *requester) watch(changes chan nats.Status) {
	for status := range changes {
		r.mu.Lock()
		close(r.down)
		r.down = make(chan struct{})
		r.mu.Unlock()
		if status == nats.CLOSED {
			return
		}
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

// send publishes msg as a request of the call; tag names its answer.
func (c *call) send(msg *nats.Msg, tag int) error {
	c.reply = append(c.reply[:0], c.prefix...)
	c.reply = strconv.AppendUint(c.reply, c.number, 36)
	c.reply = append(c.reply, '-')
	c.reply = strconv.AppendInt(c.reply, int64(tag), 36)
	msg.Reply = string(c.reply)
	if err := c.on.nc.PublishMsg(msg); err != nil {
		return &unsentError{err}
	}
	c.open++
	return nil
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

// next returns one of the answers and its tag. Errors: errDisconnected,
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
			return 0, nil, errDisconnected
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
// for what the connection refuses before sending, nats.ErrNoResponders, and
// those of [call.next].
func (r *requester) do(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unsentError{err}
	}
	c, err := r.begin()
	if err != nil {
		return nil, err
	}
	defer c.end()
	if err := c.send(msg, 0); err != nil {
		return nil, err
	}
	c.wait()
	_, answer, err := c.next(ctx)
	if err != nil {
		return nil, err
	}
	return answer, nil
}
