// Package esjsprom tells Prometheus what a store, its command handlers,
// subscriptions, projections and processes do:
//
//	metrics, err := esjsprom.New(registry)
//	store, err := esjs.Open(ctx, dial, esjs.Config{Observer: metrics})
//
// The metrics are listed in docs/esjs/observability.md. Nothing global is read or
// changed. Where several stores share a registry, give each a label of its own
// with [prometheus.WrapRegistererWith].
package esjsprom

import (
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/prometheus/client_golang/prometheus"
)

// Observer is an [esjs.Observer] that counts. It is safe for concurrent use.
type Observer struct {
	esjs.NopObserver

	appends       *prometheus.CounterVec
	appendSeconds *prometheus.HistogramVec
	events        *prometheus.CounterVec
	settlements   *prometheus.CounterVec

	loads       *prometheus.CounterVec
	loadSeconds *prometheus.HistogramVec
	loadCommits *prometheus.HistogramVec
	snapshots   *prometheus.CounterVec

	commands       *prometheus.CounterVec
	commandSeconds *prometheus.HistogramVec
	retries        *prometheus.CounterVec

	connected *prometheus.GaugeVec
	losses    *prometheus.CounterVec

	deliveries      *prometheus.CounterVec
	deliverySeconds *prometheus.HistogramVec
	lagCommits      *prometheus.GaugeVec
	lagSeconds      *prometheus.GaugeVec
	parked          *prometheus.GaugeVec
	active          *prometheus.GaugeVec
	fenced          *prometheus.CounterVec
	windowFull      *prometheus.GaugeVec
	timerLate       *prometheus.HistogramVec
	unexpected      *prometheus.CounterVec
}

var _ esjs.Observer = (*Observer)(nil)

// New returns an observer whose metrics are registered with r, all or none of
// them. It fails with r's error: when r has them already, or something else of
// their names.
func New(r prometheus.Registerer) (*Observer, error) {
	var m metrics
	latency := prometheus.ExponentialBuckets(0.0001, 2, 16) // 0.1 ms to 3.3 s
	o := &Observer{
		appends: m.counter("esjs_appends_total",
			"Commits that were appended, or were to be; outcome is ok or the kind of the error.", "category", "outcome"),
		appendSeconds: m.histogram("esjs_append_duration_seconds",
			"From the call of an append until its outcome was known, or it had failed.", latency, "category"),
		events: m.counter("esjs_events_appended_total",
			"Events that were stored.", "category", "type"),
		settlements: m.counter("esjs_append_settlements_total",
			"Publishes without an ack, by what the leader said: stored, conflict, open (published again), unknown.", "category", "found"),

		loads: m.counter("esjs_loads_total",
			"Loads of aggregates; source is cache, replica, snapshot, log, leader or past.", "category", "source", "outcome"),
		loadSeconds: m.histogram("esjs_load_duration_seconds",
			"Loads that asked the server.", latency, "category", "source"),
		loadCommits: m.histogram("esjs_load_commits",
			"Commits that a load which asked the server has read and folded.", []float64{0, 1, 2, 5, 10, 20, 50, 64, 100, 200, 500, 1000, 5000}, "category", "source"),

		snapshots: m.counter("esjs_snapshots_total",
			"Snapshots that were stored, or were to be; outcome is ok or the kind of the error.", "category", "outcome"),

		commands: m.counter("esjs_commands_total",
			"Commands that were handled; outcome is ok, unchanged (nothing to do), repeated, or the kind of the error.", "category", "outcome"),
		commandSeconds: m.histogram("esjs_command_duration_seconds",
			"From the call of a command handler to its answer.", latency, "category"),
		retries: m.counter("esjs_command_retries_total",
			"Decisions that were taken again, because another writer was faster or the state was old.", "category"),

		connected: m.gauge("esjs_connection_up",
			"1 while the connection is there.", "connection"),
		losses: m.counter("esjs_connection_losses_total",
			"How often the connection was lost.", "connection"),

		deliveries: m.counter("esjs_deliveries_total",
			"Calls of handlers and transactions of projections; outcome is ok or the kind of the error, after which it is tried again or parked. While the stream cannot be read, unavailable counts the seconds.", "subscription", "outcome"),
		deliverySeconds: m.histogram("esjs_delivery_duration_seconds",
			"One call of a handler, or one transaction of a projection.", latency, "subscription"),
		lagCommits: m.gauge("esjs_subscription_lag_commits",
			"Commits that the active instance has not finished: delivered, or only stored.", "subscription"),
		lagSeconds: m.gauge("esjs_subscription_lag_seconds",
			"Age of the oldest commit that was delivered and is not finished.", "subscription"),
		parked: m.gauge("esjs_subscription_parked_keys",
			"Keys that are set aside until somebody releases them.", "subscription"),
		active: m.gauge("esjs_subscription_active",
			"1 where this instance handles a leased subscription, or a partition of it.", "subscription"),
		fenced: m.counter("esjs_subscription_fenced_total",
			"How often this instance stopped handling a leased subscription, or a partition of it, because its lease was not renewed in time.", "subscription"),
		windowFull: m.gauge("esjs_subscription_window_full",
			"1 while delivery waits because too many commits are not finished.", "subscription"),
		timerLate: m.histogram("esjs_timer_lateness_seconds",
			"How much later than set the server fired a timer.", prometheus.ExponentialBuckets(0.001, 4, 10), "subscription"), // 1 ms to 4.4 min
		unexpected: m.counter("esjs_process_unexpected_inputs_total",
			"Inputs that a process does not know in that state; they change nothing.", "process", "state", "input"),
	}
	if err := r.Register(m); err != nil {
		return nil, fmt.Errorf("esjsprom: %w", err)
	}
	return o, nil
}

// metrics is all of them as one collector.
type metrics []prometheus.Collector

// Describe and Collect are those of all.
func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m {
		c.Describe(to)
	}
}

func (m metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m {
		c.Collect(to)
	}
}

func (m *metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	*m = append(*m, c)
	return c
}

func (m *metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	*m = append(*m, g)
	return g
}

func (m *metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	*m = append(*m, h)
	return h
}

// Handles shows what is rare of a category from the start, as 0. An increase is from one
// sample to the next: a counter that comes with its first occurrence shows none.
func (o *Observer) Handles(category string) {
	for _, outcome := range []string{"conflict", "full", "unknown"} {
		o.appends.WithLabelValues(category, outcome)
	}
	for _, outcome := range []string{"full", "too_large", "refused", "unavailable"} {
		o.snapshots.WithLabelValues(category, outcome)
	}
}

// Appended counts an append.
func (o *Observer) Appended(a esjs.AppendInfo) {
	category, outcome := a.Stream.Category, esjs.Outcome(a.Err)
	if outcome == "invalid" {
		category = "" // it can be what is not valid
	}
	o.appends.WithLabelValues(category, outcome).Inc()
	o.appendSeconds.WithLabelValues(category).Observe(a.Took.Seconds())
	if a.Err != nil {
		return
	}
	for _, e := range a.Events {
		o.events.WithLabelValues(category, e.EventType()).Inc()
	}
}

// Settled counts a settlement.
func (o *Observer) Settled(id esjs.StreamID, found esjs.Settlement) {
	o.settlements.WithLabelValues(id.Category, string(found)).Inc()
}

// Loaded counts a load.
func (o *Observer) Loaded(l esjs.LoadInfo) {
	category, source := l.Stream.Category, string(l.Source)
	o.loads.WithLabelValues(category, source, esjs.Outcome(l.Err)).Inc()
	if l.Source == esjs.LoadedFromCache {
		return
	}
	o.loadSeconds.WithLabelValues(category, source).Observe(l.Took.Seconds())
	o.loadCommits.WithLabelValues(category, source).Observe(float64(l.Commits))
}

// SnapshotStored counts a snapshot.
func (o *Observer) SnapshotStored(s esjs.SnapshotInfo) {
	o.snapshots.WithLabelValues(s.Stream.Category, esjs.Outcome(s.Err)).Inc()
}

// Decided counts a command.
func (o *Observer) Decided(d esjs.DecisionInfo) {
	category, outcome := d.Stream.Category, esjs.Outcome(d.Err)
	switch {
	case d.Err != nil:
	case d.Repeated:
		outcome = "repeated"
	case d.Events == 0:
		outcome = "unchanged"
	}
	o.commands.WithLabelValues(category, outcome).Inc()
	o.commandSeconds.WithLabelValues(category).Observe(d.Took.Seconds())
	if d.Attempts > 1 {
		o.retries.WithLabelValues(category).Add(float64(d.Attempts - 1))
	}
}

// Connected notes the state of a connection.
func (o *Observer) Connected(connection string, connected bool) {
	o.connected.WithLabelValues(connection).Set(gauge(connected))
	losses := o.losses.WithLabelValues(connection) // shown from the start, as 0
	if !connected {
		losses.Inc()
	}
}

// Handled counts a delivery.
func (o *Observer) Handled(subscription string, took time.Duration, err error) {
	o.deliveries.WithLabelValues(subscription, esjs.Outcome(err)).Inc()
	o.deliverySeconds.WithLabelValues(subscription).Observe(took.Seconds())
}

// Lag notes how far behind a subscription is.
func (o *Observer) Lag(subscription string, events uint64, behind time.Duration) {
	o.deliveries.WithLabelValues(subscription, "unavailable") // shown from the start, as 0
	o.lagCommits.WithLabelValues(subscription).Set(float64(events))
	o.lagSeconds.WithLabelValues(subscription).Set(behind.Seconds())
}

// ParkedKeys notes how many keys are parked.
func (o *Observer) ParkedKeys(subscription string, n int) {
	o.parked.WithLabelValues(subscription).Set(float64(n))
}

// Active notes who handles a subscription.
func (o *Observer) Active(subscription string, active bool) {
	o.active.WithLabelValues(subscription).Set(gauge(active))
	o.fenced.WithLabelValues(subscription) // shown from the start, as 0
}

// Stopped takes back what was noted of a subscription that runs no longer: it would look
// like one that nobody handles. What was counted stays.
func (o *Observer) Stopped(subscription string) {
	for _, g := range []*prometheus.GaugeVec{o.lagCommits, o.lagSeconds, o.parked, o.active, o.windowFull} {
		g.DeleteLabelValues(subscription)
	}
}

// Fenced counts a lease that was lost.
func (o *Observer) Fenced(subscription string) {
	o.fenced.WithLabelValues(subscription).Inc()
}

// WindowFull notes that delivery waits.
func (o *Observer) WindowFull(subscription string, full bool) {
	o.windowFull.WithLabelValues(subscription).Set(gauge(full))
}

// TimerLate notes how late a timer fired.
func (o *Observer) TimerLate(subscription string, late time.Duration) {
	o.timerLate.WithLabelValues(subscription).Observe(late.Seconds())
}

// Unexpected counts an input that a process does not know.
func (o *Observer) Unexpected(process, state, input string) {
	o.unexpected.WithLabelValues(process, state, input).Inc()
}

func gauge(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
