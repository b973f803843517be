package service

import (
	"context"
	"errors"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answerPatience bounds all attempts together. A cluster that has lost its leader is without one for some
// ten seconds; one that is silent for longer needs people.
const answerPatience = time.Minute

// Answered is [esjs.Answered] for at most a minute, and for what is asked by other clients than that of NATS, too. ask is given the
// time of one attempt. It may have had its effect before, when only the answer was lost, and says itself what that means.
//
// Errors are those of ask, of the last attempt when ctx ends or a minute has passed.
func Answered(ctx context.Context, ask func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	_, _ = esjs.Answered(ctx, func(ctx context.Context) (struct{}, error) { // which says no more than the last attempt does
		err = ask(ctx)
		if Unanswered(err) {
			return struct{}{}, nats.ErrNoResponders
		}
		return struct{}{}, err
	})
	return err
}

// Unanswered tells that nobody has answered, or that the cluster was not ready to: it has lost a server, has just
// started, or elects.
func Unanswered(err error) bool {
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
