package esjs_test

import (
	"context"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A request is repeated while it is lost, nobody is there or the cluster elects, and
// the first answer ends it, whatever it is.
func TestAnsweredRepeatsWhatNobodyAnswers(t *testing.T) {
	t.Parallel()
	lost := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	says := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	refused := errors.New("an answer")
	for name, test := range map[string]struct {
		attempts []func(context.Context) error
		want     error
	}{
		"lost once":               {[]func(context.Context) error{lost, says(nil)}, nil},
		"nobody there":            {[]func(context.Context) error{says(nats.ErrNoResponders), says(jetstream.ErrNoStreamResponse), says(nil)}, nil},
		"an election":             {[]func(context.Context) error{says(&jetstream.APIError{Code: 503, ErrorCode: 10008}), says(nil)}, nil},
		"lost, and then refused":  {[]func(context.Context) error{lost, says(refused)}, refused},
		"JetStream is not there":  {[]func(context.Context) error{says(jetstream.ErrJetStreamNotEnabled)}, jetstream.ErrJetStreamNotEnabled},
		"a deadline of its own":   {[]func(context.Context) error{says(context.DeadlineExceeded)}, context.DeadlineExceeded},
		"a stream that is absent": {[]func(context.Context) error{says(jetstream.ErrStreamNotFound)}, jetstream.ErrStreamNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := 0
			got, err := esjs.Answered(testContext(t), func(ctx context.Context) (int, error) {
				made++
				return made, test.attempts[made-1](ctx)
			})
			if !errors.Is(err, test.want) || got != len(test.attempts) {
				t.Errorf("the answer is that of attempt %d, %v; want %d, %v", got, err, len(test.attempts), test.want)
			}
		})
	}
}

// What nobody ever answers ends with the caller's context, and says why.
func TestAnsweredEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(testContext(t))
	made := 0
	_, err := esjs.Answered(ctx, func(context.Context) (struct{}, error) {
		if made++; made == 3 {
			cancel()
		}
		return struct{}{}, nats.ErrNoResponders
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, nats.ErrNoResponders) || made != 3 {
		t.Errorf("after %d attempts: %v", made, err)
	}
}
