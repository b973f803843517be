package service

import (
	"context"
	"errors"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
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
	commandSeconds *prometheus.HistogramVec
	queries        *prometheus.CounterVec
	querySeconds   *prometheus.HistogramVec

	handled        *prometheus.CounterVec
	handledSeconds *prometheus.HistogramVec
	lagEvents      *prometheus.GaugeVec
	lagSeconds     *prometheus.GaugeVec
	parkedKeys     *prometheus.GaugeVec
	active         *prometheus.GaugeVec
	windowFull     *prometheus.GaugeVec
	timerLate      *prometheus.HistogramVec
	unexpected     *prometheus.CounterVec
}

// NewMetrics makes a registry with the shared metrics and those of the Go
// runtime and the process.
func NewMetrics() *Metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	consumer := []string{"service", "subscription"}
	latency := prometheus.ExponentialBuckets(0.0002, 2, 16) // 0.2 ms to 6.5 s

	return &Metrics{
		Registry: reg,
		commands: f.NewCounterVec(prometheus.CounterOpts{
			Name: "commands_total", Help: "Commands answered; outcome is ok or the code of the problem.",
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
		handled: f.NewCounterVec(prometheus.CounterOpts{
			Name: "events_handled_total", Help: "Deliveries handled; outcome is ok or error (to be repeated, or parked).",
		}, append(consumer, "outcome")),
		handledSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "event_handling_seconds", Help: "One call of a subscription's handler.", Buckets: latency,
		}, consumer),
		lagEvents: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "projection_lag_events", Help: "Commits that a subscription, projection or process has not handled yet.",
		}, consumer),
		lagSeconds: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "projection_lag_seconds", Help: "Age of the oldest event that a subscription, projection or process has not handled yet.",
		}, consumer),
		parkedKeys: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parked_keys", Help: "Keys set aside until an operator releases them.",
		}, consumer),
		active: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "subscription_active", Help: "1 where this instance is the one that handles a leased subscription.",
		}, consumer),
		windowFull: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "subscription_window_full", Help: "1 while delivery waits because too many commits are not finished.",
		}, consumer),
		timerLate: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "saga_timer_late_seconds", Help: "How much later than set a timer fired.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10), // 1 ms to 4.4 min
		}, consumer),
		unexpected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "saga_unexpected_inputs_total", Help: "Inputs that the transition table does not know in that state; they change nothing.",
		}, append(consumer, "state", "input")),
	}
}

// Observer binds the service's subscriptions, projections and processes to the
// metrics, and what handlers fail with to the log.
func (e *Env) Observer() esjs.Observer { return observer{service: e.Name, m: e.Metrics, log: e.Log} }

type observer struct {
	service string
	m       *Metrics
	log     zerolog.Logger
}

func (o observer) Handled(subscription string, took time.Duration, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = "error"
		if !errors.Is(err, context.Canceled) {
			o.log.Warn().Err(err).Str("subscription", subscription).Dur("took", took).
				Msg("an event was not handled; it is tried again, or its key is parked")
		}
	}
	o.m.handled.WithLabelValues(o.service, subscription, outcome).Inc()
	o.m.handledSeconds.WithLabelValues(o.service, subscription).Observe(took.Seconds())
}

func (o observer) Lag(subscription string, events uint64, behind time.Duration) {
	o.m.lagEvents.WithLabelValues(o.service, subscription).Set(float64(events))
	o.m.lagSeconds.WithLabelValues(o.service, subscription).Set(behind.Seconds())
}

func (o observer) ParkedKeys(subscription string, n int) {
	o.m.parkedKeys.WithLabelValues(o.service, subscription).Set(float64(n))
}

func (o observer) Active(subscription string, active bool) {
	o.m.active.WithLabelValues(o.service, subscription).Set(gauge(active))
}

func (o observer) WindowFull(subscription string, full bool) {
	o.m.windowFull.WithLabelValues(o.service, subscription).Set(gauge(full))
}

func gauge(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (o observer) TimerLate(subscription string, late time.Duration) {
	o.m.timerLate.WithLabelValues(o.service, subscription).Observe(late.Seconds())
}

func (o observer) Unexpected(process, state, input string) {
	o.m.unexpected.WithLabelValues(o.service, process, state, input).Inc()
}
