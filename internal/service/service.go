// Package service holds what every service needs and what knows nothing of
// orders: the environment a service runs in, its command and query endpoints,
// health, logging and metrics.
package service

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
)

// Env is what a service is given to run in.
type Env struct {
	Name    string // of the service: "order"
	Dial    esjs.Dial
	Store   *esjs.Store
	Log     zerolog.Logger
	Metrics *Metrics
	Health  *Health
}

// Observer binds subscriptions, projections and processes to the metrics.
func (e *Env) Observer() esjs.Observer { panic("stub") }

// Group runs all of runs and returns when all have returned. The first one
// that returns an error, or that returns while ctx is not done, cancels the
// others; its error is returned.
func Group(ctx context.Context, runs ...func(context.Context) error) error { panic("stub") }
