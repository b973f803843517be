package sagas

import (
	"context"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count what fulfilments and refunds conclude while it happens. A nil Metrics counts nothing.
type Metrics struct {
	steps         *prometheus.HistogramVec
	compensations *prometheus.CounterVec

	mu   sync.Mutex
	last esjs.Record // that was counted
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		steps: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "saga_step_seconds", Help: "From the first request of a step to its conclusion, retries included; outcome is succeeded or failed.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 14), // 5 ms to 3.9 days
		}, []string{"kind", "step", "outcome"}),
		compensations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "saga_compensations_total", Help: "Fulfilments that had to be undone, by why.",
		}, []string{"cause"}),
	}
}

// recent bounds the age of events that are counted: when a view is built again, what it reads was counted long ago.
const recent = 5 * time.Minute

// concluded counts each event once, though several versions of the view, and a transaction that is tried
// again, tell of it.
func (m *Metrics) concluded(p Process, r esjs.Record, done []Done) {
	if m == nil || len(done) == 0 || time.Since(r.Time) > recent {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Position.Before(m.last.Position) || r.Position == m.last.Position && r.Version <= m.last.Version { // a commit has several
		return
	}
	m.last = r
	for _, d := range done {
		if d.Step == "" {
			m.compensations.WithLabelValues(d.Cause).Inc()
			continue
		}
		m.steps.WithLabelValues(string(p.Kind), string(d.Step), d.outcome()).Observe(d.Took.Seconds())
	}
}

// The figures of the board, as it is now.
var (
	figureInstances = service.Gauge("saga_instances", "Fulfilments and refunds under way, by state.", "kind", "state")
	figureOldest    = service.Gauge("saga_oldest_age_seconds", "How long the one that is longest in the state is there, among the 100 that began first.", "kind", "state")
	figureAttention = service.Gauge("saga_attention", "Those that wait for an operator, ended ones too.", "kind")
	figureOverdue   = service.Gauge("saga_overdue", "Those under way whose deadline has passed, and nothing happened.", "kind")
)

// figures reads the board in numbers.
func figures(ctx context.Context, rows view.Reader) ([]prometheus.Metric, error) {
	now := time.Now()
	var all []prometheus.Metric
	attention, overdue := map[queries.SagaKind]int{}, map[queries.SagaKind]int{}
	type place struct {
		kind  queries.SagaKind
		state string
	}
	var places []place
	err := rows.Each(ctx, `
		SELECT kind, state, COUNT(*), SUM(CASE WHEN deadline <> '' AND deadline < $1 THEN 1 ELSE 0 END)
		FROM {view} WHERE ended = 0 GROUP BY kind, state`,
		[]any{view.Sortable(now)}, func(scan func(...any) error) error {
			var (
				p           place
				count, late int
			)
			if err := scan(&p.kind, &p.state, &count, &late); err != nil {
				return err
			}
			places = append(places, p)
			overdue[p.kind] += late
			all = append(all, figureInstances(float64(count), string(p.kind), p.state))
			return nil
		})
	if err != nil {
		return nil, err
	}
	err = rows.Each(ctx, `SELECT kind, COUNT(*) FROM {view} WHERE ended IN (0, 1) AND attention = 1 GROUP BY kind`, nil,
		func(scan func(...any) error) error {
			var (
				kind  queries.SagaKind
				count int
			)
			err := scan(&kind, &count)
			attention[kind] = count
			return err
		})
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		age, err := oldest(ctx, rows, p.state, now)
		if err != nil {
			return nil, err
		}
		all = append(all, figureOldest(age.Seconds(), string(p.kind), p.state))
	}
	for _, kind := range []queries.SagaKind{queries.SagaFulfilment, queries.SagaRefund} {
		all = append(all, figureAttention(float64(attention[kind]), string(kind)), figureOverdue(float64(overdue[kind]), string(kind)))
	}
	return all, nil
}

// oldest is how long one is in a state, of those that began first. When somebody came into a state is in
// the documents alone, and there may be many.
func oldest(ctx context.Context, rows view.Reader, state string, now time.Time) (age time.Duration, err error) {
	err = rows.Each(ctx, `SELECT document FROM {view} WHERE state = $1 AND ended = 0 ORDER BY started_at, id LIMIT 100`, []any{state},
		func(scan func(...any) error) error {
			p, err := view.Document[Process](view.Scanner(scan))
			if err == nil {
				age = max(age, now.Sub(p.StateSince))
			}
			return err
		})
	return age, err
}
