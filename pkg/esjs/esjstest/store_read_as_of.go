package esjstest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var readAsOfClauses = []clause{
	{"ReadAsOf iterates the events that the aggregate had at t, oldest first; none when its first one is younger", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("a")
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for i := range 3 {
			w := write(id, esjs.ExpectVersion(uint64(2*i)), i, i)
			w.Time = start.Add(time.Duration(i) * time.Hour)
			if _, err := store.AppendWrite(bounded(t), w); err != nil {
				t.Fatal(err)
			}
		}
		for after, want := range map[time.Duration][]uint64{
			-time.Nanosecond: nil, 0: span(1, 2), time.Hour - 1: span(1, 2), time.Hour: span(1, 4), 24 * time.Hour: span(1, 6),
		} {
			if got := versions(records(t, store.ReadAsOf(bounded(t), id, start.Add(after)))); !slices.Equal(got, want) {
				t.Errorf("%v after the first event: %v, want %v", after, got, want)
			}
		}
		if _, err := recordsOr(store.ReadAsOf(bounded(t), counter("none"), start)); !errors.Is(err, esjs.ErrNotFound) {
			t.Errorf("an aggregate without events: %v", err)
		}
	}},
}
