package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// summarize answers with the board in figures.
func summarize(ctx context.Context, rows view.Reader, request queries.SagaSummaryRequest) (queries.SagaSummaries, error) {
	s := queries.SagaSummaries{States: []queries.SagaStateCount{}, Steps: []queries.StepDurations{}, Failures: []queries.CauseCount{}}
	var err error
	if s.States, err = states(ctx, rows, time.Now()); err != nil {
		return s, err
	}
	days := view.Days(request.From, request.Before)
	if s.Steps, err = durations(ctx, rows, days); err != nil {
		return s, err
	}
	text := `SELECT cause, outcome, CAST(SUM(count) AS BIGINT) FROM {view}_failures` + days.SQL() + `
		GROUP BY cause, outcome ORDER BY 3 DESC, cause, outcome`
	err = rows.Each(ctx, text, days.Args, func(scan func(...any) error) error {
		var c queries.CauseCount
		err := scan(&c.Cause, &c.Outcome, &c.Count)
		s.Failures = append(s.Failures, c)
		return err
	})
	return s, err
}

func states(ctx context.Context, rows view.Reader, now time.Time) ([]queries.SagaStateCount, error) {
	counts := []queries.SagaStateCount{}
	err := rows.Each(ctx, `
		SELECT kind, state, ended, COUNT(*), CAST(SUM(attention) AS BIGINT),
			SUM(CASE WHEN ended = 0 AND deadline <> '' AND deadline < $1 THEN 1 ELSE 0 END), MIN(started_at)
		FROM {view} GROUP BY kind, state, ended ORDER BY kind, state`,
		[]any{view.Sortable(now)}, func(scan func(...any) error) error {
			var (
				c      queries.SagaStateCount
				ended  int
				oldest string
			)
			err := scan(&c.Kind, &c.State, &ended, &c.Count, &c.Attention, &c.Overdue, &oldest)
			if err == nil {
				c.OldestStartedAt, err = view.ParseSortable(oldest)
			}
			if err != nil {
				return fmt.Errorf("sagas by state: %w", err)
			}
			if ended == 0 {
				c.OldestAgeSeconds = max(0, now.Sub(c.OldestStartedAt).Seconds())
			}
			counts = append(counts, c)
			return nil
		})
	return counts, err
}

func durations(ctx context.Context, rows view.Reader, days view.Where) ([]queries.StepDurations, error) {
	all := []queries.StepDurations{}
	var buckets []counted
	finish := func() {
		if len(all) > 0 {
			last := &all[len(all)-1]
			last.P50, last.P95 = quantile(buckets, 0.50), quantile(buckets, 0.95)
		}
		buckets = nil
	}
	text := `SELECT kind, step, outcome, bucket, CAST(SUM(count) AS BIGINT) FROM {view}_durations` + days.SQL() + `
		GROUP BY kind, step, outcome, bucket ORDER BY kind, step, outcome, bucket`
	err := rows.Each(ctx, text, days.Args, func(scan func(...any) error) error {
		var (
			d queries.StepDurations
			c counted
		)
		if err := scan(&d.Kind, &d.Step, &d.Outcome, &c.bucket, &c.count); err != nil {
			return err
		}
		if n := len(all); n == 0 || all[n-1].Kind != d.Kind || all[n-1].Step != d.Step || all[n-1].Outcome != d.Outcome {
			finish()
			all = append(all, d)
		}
		buckets = append(buckets, c)
		all[len(all)-1].Count += c.count
		return nil
	})
	finish()
	return all, err
}
