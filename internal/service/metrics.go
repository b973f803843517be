package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

// Metrics is one process's registry and the metrics that all services share.
// A service adds its own to Registry. Durations are in seconds.
type Metrics struct {
	Registry *prometheus.Registry

	commands       *prometheus.CounterVec
	queued         *prometheus.CounterVec
	commandSeconds *prometheus.HistogramVec
	queries        *prometheus.CounterVec
	querySeconds   *prometheus.HistogramVec
	partnerCalls   *prometheus.CounterVec
	partnerPaused  *prometheus.GaugeVec
	clockSkew      prometheus.Gauge
	webhooks       *prometheus.CounterVec
	dependencies   *prometheus.GaugeVec

	mu       sync.Mutex
	observed map[string]*esjsprom.Observer // by service
}

// NewMetrics makes a registry with the shared metrics and those of the Go
// runtime and the process.
func NewMetrics() *Metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	latency := prometheus.ExponentialBuckets(0.0002, 2, 16) // 0.2 ms to 6.5 s

	return &Metrics{
		Registry: reg,
		observed: make(map[string]*esjsprom.Observer),
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "commands_total", Help: "Commands answered; outcome is ok or the code of the problem.",
		}, []string{"category", "verb", "outcome"}),
		queued: f.NewCounterVec(prometheus.CounterOpts{
			Name: "queued_commands_total", Help: "Queued commands that were tried; outcome is ok or the code of the problem.",
		}, []string{"category", "verb", "outcome"}),
		commandSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "command_seconds", Help: "From the arrival of a command to its answer.", Buckets: latency,
		}, []string{"category", "verb"}),
		queries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "queries_total", Help: "Queries answered; outcome is ok or the code of the problem.",
		}, []string{"query", "outcome"}),
		querySeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "query_seconds", Help: "From the arrival of a query to its answer.", Buckets: latency,
		}, []string{"query"}),
		webhooks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_total", Help: "Webhooks of partners; outcome is ok or the code of the problem.",
		}, []string{"service", "outcome"}),
		partnerCalls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "partner_calls_total", Help: "Calls to partners; outcome is answered, unanswered, or paused when none was made.",
		}, []string{"partner", "outcome"}),
		partnerPaused: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "partner_paused", Help: "1 while a partner that does not answer is not called, or only to find out whether it does again.",
		}, []string{"partner"}),
		clockSkew: f.NewGauge(prometheus.GaugeOpts{
			Name: "clock_skew_seconds", Help: "By how much the clock is ahead of the NATS servers'; negative: behind.",
		}),
		dependencies: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dependency_ready", Help: "1 while what a service needs, its event store or its database, answers and is as it must be; 0 while not, and the service is not ready.",
		}, []string{"service", "dependency"}),
	}
}

// Observer binds the service's store, and what is built on it, to the metrics,
// what handlers fail with to the log, and leases to the health.
func (e *Env) Observer() esjs.Observer {
	return observer{
		Observer: e.Metrics.observer(e.Name), log: e.Log, health: e.Health,
		snapshots: e.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute}),
	}
}

type observer struct {
	*esjsprom.Observer
	log       zerolog.Logger
	health    *Health
	snapshots zerolog.Logger // one line a minute; the metrics count all
}

func (o observer) SnapshotStored(s esjs.SnapshotInfo) {
	o.Observer.SnapshotStored(s)
	if s.Err != nil && !isType[*esjs.ErasedError](s.Err) {
		o.snapshots.Warn().Err(s.Err).Str("category", s.Stream.Category).Str("key", s.Stream.Key).Msg("a snapshot was not stored; loads take longer")
	}
}

func (o observer) Handled(subscription string, took time.Duration, err error) {
	o.Observer.Handled(subscription, took, err)
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	for _, err := range eachOfBatch(err) {
		line := o.log.Warn().Err(err).Str("subscription", subscription).Dur("took", took)
		if at := (*esjs.EventError)(nil); errors.As(err, &at) {
			line.Str("category", at.Stream.Category).Str("key", at.Stream.Key).Str("event_id", at.ID).
				Str("correlation_id", cmp.Or(at.CorrelationID, at.Stream.Key))
			if !at.Position.IsZero() {
				line.Stringer("position", at.Position)
			}
		}
		line.Msg("an event was not handled; it is tried again, or its key is parked")
	}
}

// eachOfBatch is what a batch failed with, event by event; any other error is one of its own.
func eachOfBatch(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !isType[*esjs.EventError](err) }) {
		return []error{err}
	}
	return joined.Unwrap()
}

func (o observer) Active(subscription string, active bool) {
	o.Observer.Active(subscription, active)
	o.health.Set(subscriptionPart(subscription), nil)
}

// Fenced also keeps the service from being ready until the subscription has an owner again.
func (o observer) Fenced(subscription string) {
	o.Observer.Fenced(subscription)
	o.health.Set(subscriptionPart(subscription), errFenced)
	o.log.Warn().Str("subscription", subscription).Msg("the lease was not renewed in time; it is tried again")
}

var errFenced = errors.New("its lease was not renewed in time: nothing can be stored, or another instance takes over")

// observer returns the metrics of what a service stores and handles, with the
// label service. It panics, as a registry's MustRegister does, when the registry
// has something else of their names.
func (m *Metrics) observer(service string) *esjsprom.Observer {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.observed[service]
	if o == nil {
		var err error
		if o, err = esjsprom.New(prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, m.Registry)); err != nil {
			panic(err)
		}
		m.observed[service] = o
	}
	return o
}
