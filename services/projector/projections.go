package projector

import (
	"context"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// status is one view as query.projections.list shows it. Lag counts commits of
// the store, Behind is the age of the oldest event that is not applied.
type status struct {
	Name     string        `json:"name"`
	Position esjs.Position `json:"position"`
	Last     esjs.Position `json:"last"`
	Lag      uint64        `json:"lag"`
	Behind   float64       `json:"behind_seconds"`
	CaughtUp bool          `json:"caught_up"`
	Parked   []esjs.Parked `json:"parked"`
}

// list answers where every view is.
func list(projectors []*projector) service.Query {
	return func(_ context.Context, body []byte) (any, error) {
		if len(body) > 0 {
			if err := service.Decode(body, &struct{}{}); err != nil {
				return nil, err
			}
		}
		all := make([]status, len(projectors))
		for i, p := range projectors {
			at := p.Progress()
			all[i] = status{
				Name: at.Name, Position: at.Position, Last: at.Last, Lag: at.Lag,
				Behind: at.Behind.Seconds(), CaughtUp: at.CaughtUp, Parked: at.Parked,
			}
		}
		return map[string]any{"projections": all}, nil
	}
}
