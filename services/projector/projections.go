package projector

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// list answers where every version of every view is.
func (k *keeper) list(ctx context.Context, _ queries.NoRequest) (queries.ProjectionStatuses, error) {
	all := queries.ProjectionStatuses{Projections: []queries.ProjectionStatus{}}
	last, err := k.env.Store.Last(ctx)
	if err != nil {
		return all, err
	}
	for _, v := range k.all() {
		status, err := k.status(ctx, v, last)
		if err != nil {
			return all, err
		}
		all.Projections = append(all.Projections, status)
	}
	return all, nil
}

// status is where a version is, in this instance or in another one.
func (k *keeper) status(ctx context.Context, v *version, last esjs.Position) (queries.ProjectionStatus, error) {
	s := queries.ProjectionStatus{Name: v.Name, View: v.View, Version: v.Version, ByHand: v.ByHand}
	var err error
	if s.CreatedAt, err = view.ParseSortable(v.CreatedAt); err != nil {
		return s, err
	}
	stored, err := k.sink.Load(ctx, v.Name)
	if err != nil && !errors.Is(err, esjs.ErrNotFound) {
		return s, err
	}
	progress := v.projector.Progress()
	position := progress.Position
	if !progress.Active {
		position = stored.Position
	}
	if last.Before(position) { // it was stored since
		last = position
	}
	s.Position, s.Last = position.String(), last.String()
	s.Lag = last.Sequence() - position.Sequence()
	s.Progress = float64(position.Sequence()) / float64(max(1, last.Sequence()))
	s.CaughtUp = progress.CaughtUp || !progress.Active && position.Covers(v.end)
	s.EventsPerSecond, s.RemainingSeconds, s.BehindSeconds = progress.EventsPerSecond, progress.Remaining.Seconds(), progress.Behind.Seconds()
	if s.Lag > 0 && !progress.Active && !stored.Time.IsZero() {
		s.BehindSeconds = max(0, time.Since(stored.Time).Seconds())
	}
	s.Parked = []queries.ParkedKey{}
	for _, p := range stored.Parked {
		s.Parked = append(s.Parked, queries.ParkedKey{Key: p.Key, Reason: p.Reason, Since: p.Since, Count: p.Count})
	}
	slices.SortFunc(s.Parked, func(a, b queries.ParkedKey) int { return cmp.Compare(a.Key, b.Key) })
	if s.Comparison, err = k.registry.comparison(ctx, v.Name); err != nil {
		return s, err
	}
	s.State = state(v, stored.Live, s.CaughtUp)
	live, err := k.liveNumber(ctx, v.View)
	if err != nil {
		return s, err
	}
	s.Previous = v.Version < live
	if err := v.failed(); err != nil {
		s.Error = err.Error()
	}
	return s, nil
}

func state(v *version, live, caughtUp bool) queries.ProjectionState {
	switch {
	case v.view == nil:
		return queries.ProjectionOutdated
	case v.failed() != nil:
		return queries.ProjectionFailed
	case live:
		return queries.ProjectionLive
	case v.Paused:
		return queries.ProjectionPaused
	case caughtUp:
		return queries.ProjectionStandby
	}
	return queries.ProjectionBuilding
}
