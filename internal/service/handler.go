package service

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// OpenHandler makes a command handler, and what closes it: it gives the
// snapshots that wait 5 s to be written. One that is not written only costs
// time, so it is told to the log alone.
func OpenHandler[S, C any, E esjs.Event](
	ctx context.Context, env *Env, aggregate esjs.Aggregate[S, C, E], cfg esjs.HandlerConfig[S],
) (handler *esjs.CommandHandler[S, C, E], closeHandler func(), err error) {
	handler, err = esjs.NewCommandHandler(ctx, env.Store, aggregate, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", aggregate.Category, err)
	}
	return handler, func() { CloseHandler(ctx, env, aggregate.Category, handler.Close) }, nil
}

// CloseHandler closes a handler, or a process, of a category, see [OpenHandler].
func CloseHandler(ctx context.Context, env *Env, category string, closeHandler func(context.Context) error) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := closeHandler(closing); err != nil {
		env.Log.Warn().Err(err).Str("category", category).Msg("snapshots that waited were not written; the next loads take longer")
	}
}

// Verb answers a command: it reads the body as a B, makes of it a command of the
// aggregate, handles that and replies with what view shows of the state under
// the key.
func Verb[B, S, C any, E esjs.Event](
	handler *esjs.CommandHandler[S, C, E],
	view func(key string, state S) any,
	command func(ctx context.Context, request Command, body B) (C, error),
) Answer {
	return Decoded(func(ctx context.Context, request Command, body B) (Reply, error) {
		c, err := command(ctx, request, body)
		if err != nil {
			return Reply{}, err
		}
		result, err := handler.Handle(ctx, request.Key, c, request.Options(request.Key)...)
		if err != nil {
			return Reply{}, err
		}
		return ReplyTo(result, view(request.Key, result.State)), nil
	})
}

// Decoded answers a command whose body is a B, see [Command.Decode].
func Decoded[B any](answer func(ctx context.Context, request Command, body B) (Reply, error)) Answer {
	return func(ctx context.Context, request Command) (Reply, error) {
		var body B
		if err := request.Decode(&body); err != nil {
			return Reply{}, err
		}
		return answer(ctx, request, body)
	}
}
