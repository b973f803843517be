package service

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ParkedKeys is what operators may decide about in the subscriptions of a service.
type ParkedKeys struct {
	Bucket string // of the subscriptions
	// Refuse says why a key is not decided about here; nil refuses none.
	Refuse func(subscription, key string) error
}

// ServeParkedKeys answers cmd.subscription.<service>.<subscription>.<verb> until ctx ends: what
// operators do about a key that a subscription of the service has set aside, because a commit
// of it failed for good. "release" handles what waits, in order, from the commit that failed;
// "drop" gives that commit up, which the body names by its position, and handles
// what came after it. Both take the key, a reason and an Actor, which the log keeps. "rewind", with
// a reason and an Actor, too, lets the subscription go on after a position.
func (e *Env) ServeParkedKeys(ctx context.Context, p ParkedKeys) error {
	return e.serveCommands(ctx, e.Name+"-subscriptions", "parked keys of "+e.Name, Commands{
		Category: "subscription." + e.Name,
		Verbs: map[string]Answer{
			"release": Decoded(func(ctx context.Context, request Command, body struct {
				Key    string `json:"key" required:"that is parked, as \"orderflow subscriptions\" shows it"`
				Reason string `json:"reason" required:"that says why, for the log"`
			}) (Reply, error) {
				return e.decideParked(ctx, p, request, body.Key, body.Reason, func() error {
					return e.subscription(p, request).Release(ctx, body.Key)
				})
			}),
			"drop": Decoded(func(ctx context.Context, request Command, body struct {
				Key    string `json:"key" required:"that is parked, as \"orderflow subscriptions\" shows it"`
				From   string `json:"from" required:"of the commit that is given up: the first one that waits"`
				Reason string `json:"reason" required:"that says why, for the log"`
			}) (Reply, error) {
				from, err := esjs.ParsePosition(body.From)
				if err != nil {
					return Reply{}, badRequest(codeBadRequest, "the field \"from\" is not a position: %v", err)
				}
				return e.decideParked(ctx, p, request, body.Key, body.Reason, func() error {
					err := e.subscription(p, request).DropParked(ctx, body.Key, from)
					if errors.Is(err, esjs.ErrInvalid) {
						return &esjs.Rejection{Code: "another_waits", Message: err.Error(), Status: http.StatusConflict}
					}
					return err
				})
			}),
			"rewind": Decoded(func(ctx context.Context, request Command, body struct {
				To     string `json:"to" required:"after which it goes on; 0-0 is the beginning"`
				Reason string `json:"reason" required:"that says why, for the log"`
			}) (Reply, error) {
				to, err := esjs.ParsePosition(body.To)
				if err != nil {
					return Reply{}, badRequest(codeBadRequest, "the field \"to\" is not a position: %v", err)
				}
				return e.rewind(ctx, e.subscription(p, request), request, to, body.Reason)
			}),
		},
	})
}

// rewind lets a subscription go on after to, logs it, and answers how it was.
func (e *Env) rewind(ctx context.Context, s esjs.Subscription, request Command, to esjs.Position, reason string) (Reply, error) {
	actor, err := request.Decider()
	if err != nil {
		return Reply{}, err
	}
	before, err := s.Status(ctx)
	if err == nil {
		err = s.Rewind(ctx, to)
	}
	if err != nil {
		return Reply{}, err
	}
	e.Log.Warn().Str("subscription", clip(s.Name)).Str("from", before.Position.String()).Str("to", to.String()).
		Str("actor", actor).Str("reason", clip(reason)).Msg("an operator rewound a subscription")
	return Reply{EventIDs: []string{}, State: before}, nil
}

// subscription is the one that a request names.
func (e *Env) subscription(p ParkedKeys, request Command) esjs.Subscription {
	return esjs.Subscription{Store: e.Store, Bucket: p.Bucket, Name: request.Key}
}

// decideParked checks a decision about a parked key, makes and logs it, and answers what was parked.
func (e *Env) decideParked(
	ctx context.Context, p ParkedKeys, request Command, key, reason string, do func() error,
) (Reply, error) {
	actor, err := request.Decider()
	if err != nil {
		return Reply{}, err
	}
	if p.Refuse != nil {
		if err := p.Refuse(request.Key, key); err != nil {
			return Reply{}, err
		}
	}
	status, err := e.subscription(p, request).Status(ctx)
	if err != nil {
		return Reply{}, err
	}
	var parked esjs.Parked
	if i := slices.IndexFunc(status.Parked, func(p esjs.Parked) bool { return p.Key == key }); i >= 0 {
		parked = status.Parked[i]
	}
	if err := do(); err != nil {
		return Reply{}, err
	}
	e.Log.Warn().Str("subscription", clip(request.Key)).Str("key", clip(key)).Str("decision", request.Verb).Str("from", parked.From.String()).
		Str("parked_because", clip(parked.Reason)).Str("actor", actor).Str("reason", clip(reason)).Msg("an operator decided about a parked key")
	return Reply{EventIDs: []string{}, State: parked}, nil
}
