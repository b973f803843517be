package service

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// answerFirst bounds the first attempt, and each next one may take twice as long up to answerMost: a
	// cluster that has its leader is asked again soon, and a slow one is given the time that it needs.
	answerFirst = 2 * time.Second
	answerMost  = 30 * time.Second
	// answerPatience bounds all attempts together. A cluster that has lost its leader is without one for some
	// ten seconds; one that is silent for longer needs people.
	answerPatience = time.Minute
	// answerPause grows as well, up to a second: that nobody is there is told at once.
	answerPause = 50 * time.Millisecond
)

// Answered makes a request to JetStream again while nobody answers it: a cluster that elects a leader says nothing at
// all, or that nobody is there, and then a request that is made once waits in vain for as long as its ctx lets it. ask is given the
// time of one attempt. It may have had its effect before, when only the answer was lost, and says itself what that means.
//
// Errors are those of ask, of the last attempt when ctx ends or a minute has passed.
func Answered(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	for most, rest := answerFirst, answerPause; ; most, rest = min(2*most, answerMost), min(2*rest, time.Second) {
		attempt, end := context.WithTimeout(ctx, most)
		err := ask(attempt)
		end()
		if err == nil || !isUnanswered(err) {
			return err
		}
		if pause(ctx, rest); ctx.Err() != nil {
			return err
		}
	}
}

// isUnanswered tells that nobody has answered, or that the cluster was not ready to: it has lost a server, has just
// started, or elects.
func isUnanswered(err error) bool {
	const noPeers, notAvailable = 10005, 10008
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == noPeers || api.ErrorCode == notAvailable
	}
	var managed interface{ NatsErrorCode() uint16 } // of jsm.go, with which backups are taken
	if errors.As(err, &managed) {
		return managed.NatsErrorCode() == noPeers || managed.NatsErrorCode() == notAvailable
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}
