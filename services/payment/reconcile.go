package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// BucketReconciliation has the last comparison with the PSP's list.
const BucketReconciliation = "RECONCILIATION_payment"

const (
	lastKey = "last"
	// reportMost bounds the mismatches that a report names; all are counted.
	reportMost = 1000
)

// reconciler compares what we think of payments with the PSP's list. It changes
// nothing: an operator decides about what it finds. Memory grows with the ids of the PSP's
// payments, and each comparison loads every payment once.
type reconciler struct {
	env    *service.Env
	desk   Desk
	every  time.Duration
	settle time.Duration
	lease  time.Duration
	wanted atomic.Uint64 // number of the newest comparison that somebody was promised here
	begin  chan struct{} // has a token when there is a newer one
	js     jetstream.JetStream
	stored jetstream.KeyValue

	measured   map[string]int // by code
	mismatches *prometheus.GaugeVec
	pending    prometheus.Gauge
	completed  prometheus.Gauge
}

func newReconciler(env *service.Env, cfg Config) *reconciler {
	every, settle, lease := cmp.Or(cfg.Reconcile, time.Hour), cmp.Or(cfg.Settle, 10*time.Second), cmp.Or(cfg.Lease, 20*time.Second)
	lease = max(lease, time.Second) // the server counts in seconds
	f := promauto.With(env.Metrics.Registry)
	return &reconciler{
		env: env, every: every, settle: settle, lease: lease, begin: make(chan struct{}, 1), measured: map[string]int{},
		mismatches: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "psp_reconcile_mismatch", Help: "Payments that differed from the provider's list in the last comparison.",
		}, []string{"code"}),
		pending: f.NewGauge(prometheus.GaugeOpts{
			Name: "psp_reconcile_pending", Help: "Payments that differed in the last comparison while an attempt at the provider was under way.",
		}),
		completed: f.NewGauge(prometheus.GaugeOpts{
			Name: "psp_reconcile_completed_timestamp_seconds", Help: "When the last comparison with the provider's list was completed.",
		}),
	}
}

// run compares now and then, and when asked to, and answers what it found, until ctx ends.
func (r *reconciler) run(ctx context.Context) error {
	nc, err := r.env.Dial("reconciliation")
	if err != nil {
		return err
	}
	defer nc.Close()
	if r.js, err = jetstream.New(nc); err != nil {
		return err
	}
	err = service.Answered(ctx, func(ctx context.Context) error {
		r.stored, err = r.js.KeyValue(ctx, BucketReconciliation)
		return err
	})
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		err = fmt.Errorf("%w: %w", esjs.ErrConfig, err)
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", BucketReconciliation, err)
	}
	question := queries.PaymentReconciliation.Describe()
	metadata, err := question.Metadata()
	if err != nil {
		return err
	}
	return service.Group(ctx,
		func(ctx context.Context) error {
			return r.env.ServeQueries(ctx, service.Queries{
				Name:     r.env.Name,
				Handlers: map[string]service.Query{question.Subject: service.Answering(r.answer)},
				Metadata: map[string]map[string]string{question.Subject: metadata},
			})
		},
		r.repeat,
	)
}

// repeat compares when it is time for it, or when somebody was promised to. Of several
// instances the first one does, and the others have the same answer.
func (r *reconciler) repeat(ctx context.Context) error {
	for ctx.Err() == nil {
		last, _, err := r.last(ctx)
		if err != nil {
			r.env.Log.Warn().Err(err).Msg("the last comparison with the payment provider cannot be read")
			r.pause(ctx)
			continue
		}
		r.measure(last)
		if wait := time.Until(last.StartedAt.Add(r.every)); wait > 0 && r.wanted.Load() <= last.Number {
			due := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-r.begin:
			case <-due.C:
			}
			due.Stop()
			continue // another instance may have been first
		}
		mine, ok, err := r.take(ctx, last.Number+1)
		if ok {
			err = mine.during(ctx, mine.compareAll)
		}
		if err != nil && ctx.Err() == nil {
			r.env.Log.Warn().Err(err).Msg("what the comparison with the payment provider found is not stored")
		}
		if err != nil || !ok {
			r.pause(ctx)
		}
	}
	return nil
}

// pause waits before the state of things is looked at again, which another instance may change.
func (r *reconciler) pause(ctx context.Context) {
	select {
	case <-time.After(min(r.settle, time.Second)):
	case <-ctx.Done():
	}
}

// answer tells the last comparison, and may begin one.
func (r *reconciler) answer(ctx context.Context, q queries.ReconciliationRequest) (queries.Reconciliation, error) {
	underWay, err := r.underWay(ctx)
	if err != nil {
		return queries.Reconciliation{}, err
	}
	last, _, err := r.last(ctx)
	if err != nil {
		return last, err
	}
	last.Next = max(last.Number, underWay) + 1
	if q.Begin {
		for before := r.wanted.Load(); before < last.Next && !r.wanted.CompareAndSwap(before, last.Next); {
			before = r.wanted.Load()
		}
		select {
		case r.begin <- struct{}{}:
		default: // it will begin already
		}
	}
	return last, nil
}

// last returns the last comparison; the zero one when there is none.
func (r *reconciler) last(ctx context.Context) (last queries.Reconciliation, revision uint64, err error) {
	last.Mismatches = []queries.Mismatch{}
	entry, err := r.get(ctx, lastKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return last, 0, nil
	}
	if err != nil {
		return last, 0, fmt.Errorf("bucket %s: %w", BucketReconciliation, err)
	}
	if err := json.Unmarshal(entry.Value(), &last); err != nil {
		return last, 0, fmt.Errorf("bucket %s: %w", BucketReconciliation, err)
	}
	return last, entry.Revision(), nil
}

// get reads an entry of the bucket.
func (r *reconciler) get(ctx context.Context, key string) (entry jetstream.KeyValueEntry, err error) {
	err = service.Answered(ctx, func(ctx context.Context) error {
		entry, err = r.stored.Get(ctx, key)
		return err
	})
	return entry, err
}

// compareAll compares, and stores and tells what it found, unless another instance has done so.
func (t *turn) compareAll(ctx context.Context) error {
	last, revision, err := t.last(ctx)
	if err != nil || last.Number >= t.number {
		return err
	}
	report := queries.Reconciliation{Number: t.number, StartedAt: time.Now().UTC()}
	found, payments, err := t.compare(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	report.EndedAt, report.Payments = time.Now().UTC(), payments
	if err != nil {
		report.Error = err.Error()
		t.env.Log.Warn().Err(err).Msg("our payments could not be compared with the payment provider's")
	}
	judge(&report, found, last, t.every)
	value, err := json.Marshal(report, json.Deterministic(true))
	if err != nil {
		return err
	}
	err = service.Answered(ctx, func(ctx context.Context) error {
		_, err := t.stored.Update(ctx, lastKey, value, revision)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		if now, _, again := t.last(ctx); again == nil && now.Number == t.number && now.StartedAt.Equal(report.StartedAt) {
			err = nil // it was stored before, and only the answer was lost
		}
	}
	if err != nil {
		return err
	}
	for _, m := range report.Unsettled {
		t.env.Log.Info().Str("payment", m.PaymentID).Str("order", m.OrderID).Str("code", m.Code).Str("here", m.Here).Str("there", m.There).
			Msg("a payment differs from the payment provider's list while an attempt is under way")
	}
	for _, m := range report.Mismatches {
		t.env.Log.Error().Str("payment", m.PaymentID).Str("order", m.OrderID).Str("code", m.Code).Str("here", m.Here).Str("there", m.There).
			Msg("a payment differs from the payment provider's list")
	}
	return nil
}

// measure sets the metrics to what a comparison found. There are at least as many as one
// found that was not completed, and perhaps still those of before.
func (r *reconciler) measure(last queries.Reconciliation) {
	if last.Number == 0 {
		return
	}
	for _, code := range codes() {
		if last.Error == "" || last.Counts[code] > r.measured[code] {
			r.measured[code] = last.Counts[code]
			r.mismatches.WithLabelValues(code).Set(float64(r.measured[code]))
		}
	}
	r.pending.Set(float64(last.Pending))
	if last.Error == "" {
		r.completed.Set(float64(last.EndedAt.Unix()))
	}
}
