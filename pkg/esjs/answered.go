package esjs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Answered makes a request with the NATS client, and again while nobody answers
// it, until ctx ends. A stream of a cluster that has no leader answers nothing at
// all: one request is lost, and who waits for its answer waits as long as ctx
// lets him, although there is a leader a moment later. The first attempt is given up after
// 5 s, and each next one after twice as long, up to 30 s: a slow cluster is given the time
// that it needs. An attempt has no answer, too, when there are no responders, or JetStream is not
// available for the moment. On a server without JetStream that is so until ctx ends.
//
//	kv, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
//		return js.KeyValue(ctx, "RATES")
//	})
//
// The request must be one that can be repeated: it may have been carried out
// although its answer was lost. So "exists" may be the answer to what creates, and
// "not found" to what deletes. What it returns must not depend on the context
// that it is given, which has ended then.
//
// Errors: those of request that are an answer, and ctx's.
func Answered[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	wait := newPause()
	for most := answerTimeout; ; most = min(2*most, answerMost) {
		attempt, cancel := context.WithTimeout(ctx, most)
		answer, err := request(attempt)
		silent := attempt.Err() != nil
		cancel()
		if err == nil || !silent && !passes(err) {
			return answer, err
		}
		if wait.sleep(ctx) != nil {
			return answer, unanswered(ctx, err)
		}
	}
}

// unanswered is the error of a request that nobody has answered until ctx ended;
// err is that of its last attempt.
func unanswered(ctx context.Context, err error) error {
	if isContextError(err) {
		return fmt.Errorf("esjs: nobody answered: %w", ctx.Err())
	}
	return fmt.Errorf("esjs: nobody answered: %w: %w", ctx.Err(), err)
}

// passes tells what the servers say while they elect a leader: nothing but that
// they may answer later.
func passes(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.As(err, &api) && api.ErrorCode == codeNotAvailable
}
