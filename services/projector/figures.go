package projector

import (
	"context"
	"errors"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/prometheus/client_golang/prometheus"
)

// measureEvery is how often the figures of versions and views are read.
const measureEvery = 5 * time.Second

// The figures of every version of a view. Each instance has those of all versions, also of those that
// another one projects.
var (
	figureLag      = service.Gauge("projection_lag_events", "Commits of the store that the version has not come to.", "view", "version", "state")
	figureBehind   = service.Gauge("projection_lag_seconds", "How far the version is behind the store, in the store's time.", "view", "version", "state")
	figureProgress = service.Gauge("projection_progress", "How much of the store the version has read, from 0 to 1; while it is built, how far that is.", "view", "version", "state")
	figureParked   = service.Gauge("projection_parked_keys", "Aggregates that the version could not apply, and has set aside.", "view", "version", "state")
)

// measure reads the figures until ctx ends. While they cannot be read, none are exported.
func (k *keeper) measure(ctx context.Context) error {
	var figures service.Figures
	k.env.Metrics.Registry.MustRegister(&figures)
	defer figures.Set()
	if err := k.begun(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for told := false; ; {
		all, err := k.figures(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !told {
			k.env.Log.Warn().Err(err).Msg("the figures of views cannot be read; it is tried again")
		}
		told = err != nil
		figures.Set(all...)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// figures are those of all versions, and of the views that have some of their own.
func (k *keeper) figures(ctx context.Context) (all []prometheus.Metric, err error) {
	ctx, cancel := context.WithTimeout(ctx, measureEvery)
	defer cancel()
	last, err := k.env.Store.Last(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range k.all() {
		s, err := k.status(ctx, v, last)
		if err != nil {
			return nil, err
		}
		labels := []string{s.View, s.Name, string(s.State)}
		all = append(all,
			figureLag(float64(s.Lag), labels...), figureBehind(s.BehindSeconds, labels...),
			figureProgress(s.Progress, labels...), figureParked(float64(len(s.Parked)), labels...))
	}
	for _, v := range k.views {
		if v.Figures == nil {
			continue
		}
		rows, err := k.open(v.Name)(ctx, "")
		if errors.As(err, new(*esjs.Rejection)) {
			continue // it is not built yet, which the figures of its versions tell
		}
		if err != nil {
			return nil, err
		}
		own, err := v.Figures(ctx, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, own...)
	}
	return all, nil
}
