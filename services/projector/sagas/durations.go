package sagas

import (
	"math"
	"time"
)

// Durations are counted in buckets of which each ends a tenth above the one
// before it, so that a day's figures are few rows however many orders there were.
// The first bucket ends at a millisecond.
const growth = 1.1

func bucketOf(d time.Duration) int {
	if d <= time.Millisecond {
		return 0
	}
	return int(math.Ceil(math.Log(float64(d)/float64(time.Millisecond)) / math.Log(growth)))
}

// endOf is the upper end of a bucket, in seconds.
func endOf(bucket int) float64 {
	return math.Round(math.Pow(growth, float64(bucket))) / 1000
}

// counted is how many durations are in a bucket.
type counted struct{ bucket, count int }

// quantile is the end of the bucket that holds the duration below or at which the
// share q of all is. all is ordered by bucket and not empty.
func quantile(all []counted, q float64) float64 {
	total := 0
	for _, c := range all {
		total += c.count
	}
	rank := max(1, int(math.Ceil(q*float64(total))))
	for _, c := range all {
		if rank -= c.count; rank <= 0 {
			return endOf(c.bucket)
		}
	}
	return endOf(all[len(all)-1].bucket)
}
