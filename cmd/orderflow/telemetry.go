package main

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/rs/zerolog"
)

// telemetry is what a process tells of itself: metrics, which are scraped, and
// traces, which are sent.
type telemetry struct {
	metrics *service.Metrics
	tracing *service.Tracing // nil: none
	log     zerolog.Logger
}

func newTelemetry(ctx context.Context, log zerolog.Logger) (*telemetry, error) {
	tracing, err := service.NewTracing(ctx, versionText(), log)
	if err != nil {
		return nil, usageError("%w", err)
	}
	return &telemetry{metrics: service.NewMetrics(), tracing: tracing, log: log}, nil
}

// close sends the spans that wait, for at most 5 s.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.tracing.Close(ctx); err != nil {
		t.log.Warn().Err(err).Msg("the last traces were not exported")
	}
}
