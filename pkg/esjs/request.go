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

// errDisconnected ends a request whose connection was lost before the answer
// came: the server may or may not have served it.
var errDisconnected = errors.New("esjs: disconnected while waiting for the answer")

// errNoAnswer ends a request that got no answer in time.
var errNoAnswer = errors.New("esjs: no answer from the server in time")

// reply is one answer to a request of a requester; tag is the caller's.
type reply struct {
	tag int
	msg *nats.Msg
	err error
}

// requester is the store's own request path on one connection: one inbox
// subscription for all requests, an answer channel that the caller can share
// between requests in flight, and an immediate error when the connection is
// lost. It is a third of the allocations of the client's own publish call, and
// append is measured against that. Safe for concurrent use.
type requester struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string // of the reply subjects, ends in a dot

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]waiter
	closed  bool
}

type waiter struct {
	answers chan<- reply
	tag     int
}

func newRequester(nc *nats.Conn) (*requester, error) {
	inbox := nc.NewInbox()
	r := &requester{nc: nc, prefix: inbox + ".", waiting: map[uint64]waiter{}}
	sub, err := nc.Subscribe(inbox+".*", r.answer)
	if err != nil {
		return nil, err
	}
	// Answers are small in number and awaited; the limits of a slow consumer
	// must not drop them.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	r.sub = sub
	go r.watch(nc.StatusChanged(nats.RECONNECTING, nats.CLOSED))
	return r, nil
}

// watch fails what waits when the connection is lost, so that an append is
// settled at once and not after a timeout.
func (r *requester) watch(changes chan nats.Status) {
	for status := range changes {
		r.failAll(errDisconnected)
		if status == nats.CLOSED {
			return
		}
	}
}

func (r *requester) failAll(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, w := range r.waiting {
		delete(r.waiting, token)
		w.answers <- reply{tag: w.tag, err: err}
	}
}

func (r *requester) answer(msg *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, r.prefix), 36, 64)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, ok := r.waiting[token]; ok {
		delete(r.waiting, token)
		w.answers <- reply{tag: w.tag, msg: msg}
	}
}

// send publishes msg as a request; its answer or its failure goes to answers
// exactly once, unless the returned token is forgotten first. answers must have
// room for it. Without an error something was handed to the connection.
func (r *requester) send(msg *nats.Msg, answers chan<- reply, tag int) (uint64, error) {
	r.mu.Lock()
	r.next++
	token := r.next
	r.waiting[token] = waiter{answers, tag}
	r.mu.Unlock()

	var digits [16]byte
	msg.Reply = r.prefix + string(strconv.AppendUint(digits[:0], token, 36))
	if err := r.nc.PublishMsg(msg); err != nil {
		r.forget(token)
		return 0, err
	}
	return token, nil
}

// forget gives up an answer; after it returns, nothing is sent for the token.
func (r *requester) forget(token uint64) {
	r.mu.Lock()
	delete(r.waiting, token)
	r.mu.Unlock()
}

// call is one reusable round trip: a channel and a timer.
type call struct {
	answers chan reply
	timer   *time.Timer
}

var calls = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &call{answers: make(chan reply, 1), timer: t}
}}

// do sends msg and waits for the answer at most timeout. Errors: what the
// connection refuses before sending (as *unsentError), errDisconnected,
// errNoAnswer, nats.ErrNoResponders, ctx's error.
func (r *requester) do(ctx context.Context, msg *nats.Msg, timeout time.Duration) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unsentError{err}
	}
	c := calls.Get().(*call)
	defer calls.Put(c)
	token, err := r.send(msg, c.answers, 0)
	if err != nil {
		select { // the connection may have been lost before it refused: empty the channel
		case <-c.answers:
		default:
		}
		return nil, &unsentError{err}
	}
	c.timer.Reset(timeout)
	defer c.timer.Stop()
	select {
	case a := <-c.answers:
		return checkStatus(a)
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.timer.C:
		err = errNoAnswer
	}
	r.forget(token)
	select { // the answer that came in between still counts, and empties the channel
	case a := <-c.answers:
		return checkStatus(a)
	default:
		return nil, err
	}
}

func checkStatus(a reply) (*nats.Msg, error) {
	if a.err != nil {
		return nil, a.err
	}
	if len(a.msg.Data) == 0 && len(a.msg.Header) > 0 && a.msg.Header.Get("Status") == "503" {
		return nil, nats.ErrNoResponders
	}
	return a.msg, nil
}

// unsentError is a request that never left this process.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }
