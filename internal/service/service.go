// Package service holds what every service needs and what knows nothing of
// orders: the environment a service runs in, its command and query endpoints,
// health, logging, metrics, and the one table that says what an error means to
// a caller, to the log and to the shell.
package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
)

// Env is what a service is given to run in. Its fields are safe for concurrent use.
type Env struct {
	Name    string // of the service: "order"
	Dial    esjs.Dial
	Store   *esjs.Store
	Log     zerolog.Logger
	Metrics *Metrics
	Health  *Health
	Traces  trace.TracerProvider // makes the service's spans; nil: none
	// Owner, when it is set, names the process in the leases of its subscriptions.
	// It promises that no other process that lives has that name, so that what one
	// that ended has left is taken over at once; see [esjs.SubscriptionConfig].
	Owner string
}

// ErrEnded is what [Group] returns when a part of a service returned without
// an error although nobody had asked it to stop.
var ErrEnded = errors.New("a part of the service ended by itself")

// Group runs all of runs and returns when all have returned. The first one
// that returns an error, or that returns while ctx is not done, cancels the
// others; its error is returned ([ErrEnded] when it has none). A group that
// ends because ctx did returns nil.
func Group(ctx context.Context, runs ...func(context.Context) error) error {
	g, inner := errgroup.WithContext(ctx)
	for _, run := range runs {
		g.Go(func() error {
			err := run(inner)
			switch {
			case inner.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
				return nil
			case err == nil:
				return ErrEnded
			default:
				return err
			}
		})
	}
	return g.Wait()
}

// Named wraps run so that its error says which part of the service it was.
func Named(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}
