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
	"github.com/nats-io/nats.go/jetstream"
)

// reader is one follow with the consumer that it reads from now.
type reader struct {
	store   *Store
	js      jetstream.JetStream
	src     source
	f       follower
	next    uint64  // the sequence to go on with
	last    message // gapless: the newest one that was read, or that the follow begins behind; zero where it is not known
	again   bool    // what follows is not read by the first consumer
	whole   uint64  // up to here nothing was left out by a filter
	final   bool    // its error ends the follow
	skipped int     // messages that are not the source's
	closing sync.WaitGroup

	name      string
	inbox     string
	incoming  chan *nats.Msg
	delivered uint64 // by this consumer
	left      uint64 // messages of the source that it had behind the last one it delivered
	open      int    // messages asked for and not yet received
	maxBytes  int
}

// begin looks at what the follow begins behind.
func (r *reader) begin(ctx context.Context, after uint64) error {
	if err := r.checkStart(ctx, after); err != nil {
		return err
	}
	if !r.src.gapless || r.f.ends {
		return nil
	}
	m, err := r.store.leaderMessage(ctx, r.src.stream, after)
	if err == nil {
		r.last = m
	}
	if err != nil && (permanent(err) || ctx.Err() != nil) {
		return fmt.Errorf("esjs: follow %s: %w", r.src.stream, err)
	}
	return nil
}

// checkStart refuses a position beyond the end: the stream is not the one that
// the position was taken from. A leader that just changed may be behind for a
// moment.
func (r *reader) checkStart(ctx context.Context, after uint64) error {
	for end := time.Now().Add(followPatience / 3); ; {
		last, err := r.store.lastSequence(ctx, r.src.stream)
		if err == nil && last >= after {
			return nil
		}
		if err == nil && time.Now().After(end) && r.surelyEnds(ctx, after) {
			return &CorruptError{Position: r.store.at(after), Reason: fmt.Sprintf(
				"the position is beyond the end of the stream %s, %d: the stream was restored or replaced", r.src.stream, last)}
		}
		if err != nil && (permanent(err) || time.Now().After(end) && isRefusal(err)) {
			return fmt.Errorf("esjs: follow %s: %w", r.src.stream, err)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// checkLog refuses to go on in another log than the one that was read: it was made anew or restored, or has
// lost its end, and this reader has outlived it. It may have as many commits again. It is asked
// once there is a consumer, because that does not outlive the log: what holds now holds for all that it delivers.
func (r *reader) checkLog(ctx context.Context) error {
	if !r.again || r.next == 1 {
		return nil
	}
	if c, err := r.store.decodeMessage(r.last.subject, r.last.sequence, r.last.data); err == nil {
		if err := r.store.checkCommit(ctx, c.ref()); err != nil {
			return err
		}
	}
	return r.checkStart(ctx, r.next-1)
}

// took notes a message that was read, and that the next one follows it.
func (r *reader) took(m message) {
	r.next = m.sequence + 1
	if r.src.gapless {
		r.last = m
	}
}

// surelyEnds tells that the stream ends before after, by the word of a leader that leads indeed.
func (r *reader) surelyEnds(ctx context.Context, after uint64) (ends bool) {
	led := r.store.led(ctx, r.src.stream, func(*requester) { // of which lastSequence asks, too
		last, err := r.store.lastSequence(ctx, r.src.stream)
		ends = err == nil && last < after
	})
	return led && ends
}

// session reads through one consumer until it is lost, or the connection turns out not to have
// the right to make it or to ask it for messages: a *deniedError.
func (r *reader) session(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.inbox = r.store.Conn().NewInbox()
	r.name = r.inbox[strings.LastIndexByte(r.inbox, '.')+1:]
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer r.store.general.whenDenied(end, r.subjectOf("CREATE"), r.subjectOf("MSG.NEXT"))()
	err := r.read(ctx)
	if denied := (*deniedError)(nil); errors.As(context.Cause(ctx), &denied) {
		return denied
	}
	return err
}

// subjectOf is that of a request that concerns the consumer. The server wants to see in it what a
// new one filters by.
func (r *reader) subjectOf(request string) string {
	subject := "$JS.API.CONSUMER." + request + "." + r.src.stream + "." + r.name
	if filter := r.src.filter(); request == "CREATE" && filter != "" {
		subject += "." + filter
	}
	return subject
}

func (r *reader) read(ctx context.Context) error {
	nc := r.store.Conn()
	r.incoming = make(chan *nats.Msg, 2*followBatch)
	r.delivered, r.open = 0, 0
	r.maxBytes = max(followBytes, int(2*nc.MaxPayload()))
	sub, err := nc.ChanSubscribe(r.inbox, r.incoming)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()

	consumer, err := r.create(ctx)
	if err != nil {
		return fmt.Errorf("esjs: create a consumer of %s: %w", r.src.stream, err)
	}
	defer r.removeLater(r.name)
	if err := r.checkLog(ctx); err != nil {
		r.final = errors.As(err, new(*CorruptError))
		return err
	}
	r.left = consumer.CachedInfo().NumPending
	if err := r.pull(followBatch, firstPullExpires, firstPullBeat); err != nil {
		return err
	}
	return r.receive(ctx)
}

// create makes the consumer. It is named here, so that it can be removed also when
// no answer comes, and the answer is waited for a little when ctx ends: a
// request to remove it could overtake the one to create it.
func (r *reader) create(ctx context.Context) (jetstream.Consumer, error) {
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), consumerAPIWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(consumerEndWait, cancel) })()
	consumer, err := r.js.CreateConsumer(patient, r.src.stream, r.consumerConfig())
	if err != nil && !isRefusal(err) {
		_ = r.store.Conn().Publish(r.subjectOf("DELETE"), nil)
	}
	return consumer, err
}

func (r *reader) consumerConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Name:              r.name,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerInactive,
		MemoryStorage:     true,
		Replicas:          1,
		MaxWaiting:        16,
		FilterSubject:     r.src.filter(),
	}
}

// removeLater deletes a consumer that is no longer read, and the follow's end
// waits for it. Where that fails the server does it after consumerInactive.
func (r *reader) removeLater(name string) {
	r.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), consumerCloseWait)
		defer cancel()
		_ = r.js.DeleteConsumer(ctx, r.src.stream, name)
	})
}

// pull asks the consumer for n more messages.
func (r *reader) pull(n int, expires, beat time.Duration) error {
	r.open += n
	request := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`, n, r.maxBytes, expires, beat)
	return r.store.Conn().PublishRequest(r.subjectOf("MSG.NEXT"), r.inbox, request)
}

func (r *reader) receive(ctx context.Context) error {
	beat := time.NewTicker(followBeat)
	defer beat.Stop()
	silent := 0
	for {
		if r.open <= followBatch/2 {
			expires, beat := followExpires, followBeat
			if r.f.ends { // and so shortly that who does not read is sent few heartbeats
				expires, beat = firstPullExpires, firstPullBeat
			}
			if err := r.pull(followBatch-r.open, expires, beat); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var m *nats.Msg
		select {
		case m = <-r.incoming: // mostly there is one, and waiting for three things costs more
		default:
			select {
			case m = <-r.incoming:
			case <-beat.C:
				if silent++; silent > followDead {
					return errConsumerLost
				}
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		silent = 0
		var err error
		if m.Subject == r.inbox {
			err = r.status(ctx, m)
		} else {
			err = r.take(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// take delivers one message.
func (r *reader) take(ctx context.Context, m *nats.Msg) error {
	d, ok := parseDelivered(m.Reply)
	if !ok || d.consumer != r.delivered+1 {
		return errConsumerLost // something was dropped on the way
	}
	r.delivered++
	r.open--
	r.left = d.pending
	sequence := d.stream
	if sequence < r.next {
		return nil
	}
	if err := r.fill(ctx, sequence); err != nil {
		return err
	}
	one := message{
		subject: m.Subject, sequence: sequence, stored: time.Unix(0, d.stored),
		pending: d.pending, header: m.Header, data: m.Data,
	}
	r.took(one)
	err := r.deliver(one)
	if err == nil && d.pending == 0 {
		err = r.reached(sequence, 0)
	}
	return err
}

// status handles what the consumer says beside messages.
func (r *reader) status(ctx context.Context, m *nats.Msg) error {
	if m.Header.Get("Status") == "100" {
		return r.heartbeat(ctx, m)
	}
	// A pull that ended tells how many of its messages did not come. Every
	// other status says that the consumer is gone, or moved.
	pending, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return fmt.Errorf("%w: %s %s", errConsumerLost, m.Header.Get("Status"), m.Header.Get("Description"))
	}
	r.open -= pending
	return nil
}

// heartbeat carries the last delivery and the stream sequence up to which the
// server has looked: all of the source up to there has been delivered.
func (r *reader) heartbeat(ctx context.Context, m *nats.Msg) error {
	delivered, err1 := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64)
	looked, err2 := strconv.ParseUint(m.Header.Get("Nats-Last-Stream"), 10, 64)
	if err1 != nil || err2 != nil || delivered != r.delivered {
		return errConsumerLost
	}
	if looked < r.next-1 {
		return nil
	}
	if err := r.fill(ctx, looked+1); err != nil {
		return err
	}
	if err := r.checkLeft(ctx, looked); err != nil {
		return err
	}
	r.next = looked + 1
	return r.reached(looked, 0)
}

// checkLeft looks for what a filter has left out, once the server has looked at
// everything. It counts what it has from its index, and a commit whose bits have
// flipped it leaves out without a word; where that is the last one of its
// aggregate no other commit points to it.
func (r *reader) checkLeft(ctx context.Context, looked uint64) error {
	if r.left > 0 && r.src.gapless && r.src.filter() != "" && r.f.leftOut != nil {
		if err := r.f.leftOut(ctx, r.whole, looked); err != nil {
			r.final = true
			return err
		}
	}
	r.left, r.whole = 0, looked
	return nil
}

// fill delivers what a gapless source should have delivered before sequence
// and did not: the leader has it, or the log is damaged. One whose first commits are gone is, too.
func (r *reader) fill(ctx context.Context, sequence uint64) error {
	if !r.src.gapless || r.src.filter() != "" {
		return nil
	}
	for r.next < sequence {
		m, err := r.store.knownMessage(ctx, r.src.stream, r.next, leaderPatience)
		if errors.Is(err, errNoMessage) {
			r.final = true
			return &CorruptError{Position: r.store.at(r.next), Reason: "a commit is missing in the stream " + r.src.stream}
		}
		if err != nil {
			return err
		}
		r.took(m)
		if err := r.deliver(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) deliver(m message) error {
	if !r.src.selects(m.subject) {
		if r.skipped++; r.skipped%skippedTold == 0 {
			return r.reached(m.sequence, m.pending)
		}
		return nil
	}
	err := r.f.deliver(m)
	r.final = err != nil
	return err
}

func (r *reader) reached(sequence, pending uint64) error {
	if r.f.reached == nil {
		return nil
	}
	err := r.f.reached(sequence, pending)
	r.final = err != nil
	return err
}
