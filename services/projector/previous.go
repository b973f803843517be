package projector

import (
	"context"
	"errors"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// dropOutlived drops the versions that nobody goes back to any more, so that a view
// has at most one beside the live one and what is built: of those below the live
// version the highest that could answer is kept, and those below that one go with their
// tables. It returns whether there were any.
func (k *keeper) dropOutlived(ctx context.Context, versions []*version) (some bool, err error) {
	for _, known := range k.views {
		live, err := k.liveNumber(ctx, known.Name)
		if err != nil {
			return some, err
		}
		previous := ""
		for _, v := range slices.Backward(versions) {
			switch {
			case v.View != known.Name || v.Version >= live:
			case previous != "":
				switch err := k.remove(ctx, v); {
				case errors.Is(err, esjs.ErrInvalid): // somebody has gone back to it just now
					continue
				case err != nil:
					return some, err
				}
				some = true
				k.env.Log.Info().Str("view", v.Name).Str("kept", previous).Msg("a version that was outlived is dropped")
			case k.couldAnswer(ctx, v):
				previous = v.Name
			}
		}
	}
	return some, nil
}

// couldAnswer tells that queries would be answered from a version if it were promoted,
// by this program or, where the rows have another form, by the one that built it.
func (k *keeper) couldAnswer(ctx context.Context, v *version) bool {
	switch state(v, false, k.hasCaughtUp(ctx, v)) {
	case queries.ProjectionStandby, queries.ProjectionOutdated:
		return true
	}
	return false
}

// liveNumber is the number of a view's live version, 0 when there is none.
func (k *keeper) liveNumber(ctx context.Context, view string) (int, error) {
	live, err := k.sink.Live(ctx, view)
	if errors.Is(err, esjs.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, number, err := esjs.SplitFullName(live)
	return number, err
}
