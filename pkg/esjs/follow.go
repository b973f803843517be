package esjs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// source is what a follower reads: one stream, or some subjects of it.
type source struct {
	stream   string
	subjects []string // filter; none means all
	// gapless promises that nothing is ever deleted: then a missing sequence is
	// a damage, where the consumer has no filter.
	gapless bool
	whole   bool // the server filters nothing
}

// filter is what the server is asked to leave out the rest of. It is one
// subject or none: a consumer with several filters walks all subjects of a block
// for every message, which took 30 times as long as delivering everything.
func (src source) filter() string {
	if len(src.subjects) == 1 && !src.whole {
		return src.subjects[0]
	}
	return ""
}

// selects tells that a message of the subject is the source's.
func (src source) selects(subject string) bool {
	return src.filter() != "" || len(src.subjects) == 0 || slices.ContainsFunc(src.subjects, func(filter string) bool {
		return matches(filter, subject)
	})
}

// matches tells that a subject is one of those that a filter with the
// wildcards "*" and ">" stands for.
func matches(filter, subject string) bool {
	for {
		want, filterRest, filterMore := strings.Cut(filter, ".")
		got, subjectRest, subjectMore := strings.Cut(subject, ".")
		switch {
		case want == ">":
			return true
		case want != "*" && want != got:
			return false
		case !filterMore || !subjectMore:
			return filterMore == subjectMore
		}
		filter, subject = filterRest, subjectRest
	}
}

// message is one stored message as a follower delivers it.
type message struct {
	subject  string
	sequence uint64
	stored   time.Time
	pending  uint64 // messages of the source behind this one, as the server counted them
	header   nats.Header
	data     []byte
	commit   string // id of the first event; empty where it is not known
}

// follower is told what is read. Its functions are called one at a time.
type follower struct {
	// deliver gets every message of the source once, in the order of
	// sequences. It may block: no more than followBatch messages are then held
	// in memory. An error ends the follow and is returned as it is.
	deliver func(message) error
	// reached tells that everything of the source up to sequence was delivered, and how many
	// messages the server had behind it: it follows the end of the stream also where nothing matches. May be nil.
	reached func(sequence, pending uint64) error
	// ends: the follow is to end where the stream did when it began, and waits
	// for little else than the word that it is there.
	ends bool
	// leftOut is told where a filter was in use and the server had more to
	// deliver after the sequence after and up to until than it delivered. What was
	// left out is delivered before it returns. May be nil.
	leftOut func(ctx context.Context, after, until uint64) error
	// again, where it is set, is told that all of the source is delivered again from its
	// beginning, because a consumer was lost: entries of a bucket are few, and the bucket may be
	// another one. Where it is nil, the follow goes on in the log that it has read, or ends.
	again func()
}

const (
	// followBatch and followBytes bound what the server may send ahead.
	followBatch = 512
	followBytes = 8 << 20
	// followBeat is how often a silent server says that it is there, and
	// followDead after how many silent beats the consumer counts as lost: about
	// one fresh consumer in thirty stalls on a cluster (design/facts.md 29).
	followBeat = 500 * time.Millisecond
	followDead = 4
	// followExpires bounds one pull request. The first one is short, because
	// its heartbeats tell early that there is nothing to read.
	followExpires     = 30 * time.Second
	firstPullExpires  = 100 * time.Millisecond
	firstPullBeat     = 20 * time.Millisecond
	consumerInactive  = 10 * time.Second
	followPatience    = 30 * time.Second // with errors that are usually final, such as "stream not found"
	followRetryFirst  = 20 * time.Millisecond
	followRetryMax    = 2 * time.Second
	consumerAPIWait   = 5 * time.Second
	consumerEndWait   = 250 * time.Millisecond // for a creation that is under way when the follow is to end
	consumerCloseWait = 2 * time.Second
	// skippedTold is after how many skipped messages reached is told.
	skippedTold = 256
)

// errConsumerLost ends one consumer; the follow goes on with another.
var errConsumerLost = errors.New("esjs: consumer lost")

// follow reads src from the sequence that follows after: what is stored and
// then, without an end, what comes. It survives lost connections, consumers and
// leaders. It returns ctx's error when ctx ends, what deliver and reached
// returned, a *[CorruptError], also where the stream is no longer the one that was read, or why the
// server refuses for good: [ErrRefused] at once where a right is missing or was taken away.
func (s *Store) follow(ctx context.Context, src source, after uint64, f follower) error {
	js, err := jetstream.New(s.Conn())
	if err != nil {
		return err
	}
	r := &reader{store: s, js: js, src: src, f: f, next: after + 1, whole: after}
	defer r.closing.Wait()
	if after > 0 {
		if err := r.begin(ctx, after); err != nil {
			return err
		}
	}
	wait, refusedSince, furthest := followRetryFirst, time.Time{}, r.next
	for {
		err := r.session(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.final:
			return err
		case errors.Is(err, nats.ErrConnectionClosed), errors.As(err, new(*deniedError)):
			return refused(fmt.Errorf("esjs: follow %s: %w", src.stream, err))
		case !isRefusal(err):
			refusedSince = time.Time{}
		case refusedSince.IsZero():
			refusedSince = time.Now()
		case time.Since(refusedSince) > followPatience:
			return fmt.Errorf("esjs: follow %s: %w", src.stream, err)
		}
		if r.next > furthest {
			wait, furthest = followRetryFirst, r.next
		}
		if f.again != nil {
			f.again()
			r.next = 1
		}
		r.again = true
		if !sleep(ctx, wait/2+rand.N(wait/2)) {
			return ctx.Err()
		}
		wait = min(2*wait, followRetryMax)
	}
}

// isRefusal tells the server's refusals from silence and from its passing
// unavailability.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code != 503
	}
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrMaximumConsumersLimit)
}

// sleep waits for d, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
