package payment

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// judge sorts what a comparison found into what is wrong and what is pending: excused, and
// not for as long as it takes from one scheduled comparison to the next. last is the
// comparison before it, which says since when something differs. What a comparison that was
// not completed did not find again is pending, so that it is not forgotten.
func judge(report *queries.Reconciliation, found []difference, last queries.Reconciliation, every time.Duration) {
	since := map[queries.Mismatch]time.Time{}
	before := slices.Concat(last.Mismatches, last.Unsettled)
	for _, m := range before {
		since[undated(m)] = m.Since
	}
	seen := map[string]bool{}
	report.Mismatches, report.Counts = []queries.Mismatch{}, map[string]int{}
	for _, d := range found {
		seen[d.PaymentID] = true
		m := d.Mismatch
		m.Since = report.StartedAt
		if first, known := since[d.Mismatch]; known {
			m.Since = first
		}
		if d.excused && report.StartedAt.Sub(m.Since) < every {
			report.Unsettled = append(report.Unsettled, m)
			continue
		}
		report.Mismatches = append(report.Mismatches, m)
		report.Counts[m.Code]++
	}
	for _, m := range before {
		if report.Error != "" && !seen[m.PaymentID] {
			report.Unsettled = append(report.Unsettled, m)
		}
	}
	slices.SortStableFunc(report.Unsettled, func(a, b queries.Mismatch) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.PaymentID, b.PaymentID))
	})
	report.Found, report.Pending = len(report.Mismatches), len(report.Unsettled)
	report.Mismatches = report.Mismatches[:min(report.Found, reportMost)]
	report.Unsettled = report.Unsettled[:min(report.Pending, reportMost)]
}

// undated is a mismatch as it is found, whenever that is.
func undated(m queries.Mismatch) queries.Mismatch {
	m.Since = time.Time{}
	return m
}
