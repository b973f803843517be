package sagas

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/b144f99b/orderflow/services/projector/view/viewtest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// shown are figures as "name label … value"; of ages only whether they are above a minute.
func shown(all []prometheus.Metric) (lines []string, err error) {
	for _, m := range all {
		var d dto.Metric
		if err := m.Write(&d); err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(m.Desc().String(), `Desc{fqName: "`), `"`)
		for _, l := range d.GetLabel() {
			name += " " + l.GetValue()
		}
		value := fmt.Sprint(d.GetGauge().GetValue())
		if strings.HasPrefix(name, "saga_oldest_age_seconds") {
			value = fmt.Sprint(d.GetGauge().GetValue() > time.Minute.Seconds())
		}
		lines = append(lines, name+" "+value)
	}
	slices.Sort(lines)
	return lines, nil
}

// The figures are of what is under way and of what waits for people; an age is that in the state, not of the saga.
func TestTheBoardIsMeasured(t *testing.T) {
	now := time.Now()
	asked := func(due time.Time) events.Request { return events.Request{OrderID: "o", Attempt: 1, Deadline: due} }
	read := func(ctx context.Context, rows view.Reader) ([]string, error) {
		all, err := figures(ctx, rows)
		if err != nil {
			return nil, err
		}
		return shown(all)
	}
	viewtest.Given(t, View(nil), read).
		Then([]string{"saga_attention fulfilment 0", "saga_attention refund 0", "saga_overdue fulfilment 0", "saga_overdue refund 0"}).
		At(now.Add(-time.Hour)).
		Given(fulfilment("o-1"), events.FulfilmentStarted{}, events.ReservationRequested{Request: asked(now.Add(-time.Minute))}).
		Given(fulfilment("o-2"), events.FulfilmentStarted{}, events.ReservationRequested{Request: asked(now.Add(time.Hour))}).
		Given(fulfilment("o-3"), events.FulfilmentStarted{}, events.FulfilmentCompleted{}, events.AttentionRequired{Code: "late"}).
		Given(fulfilment("o-4"), events.FulfilmentStarted{}, events.FulfilmentCompleted{}).
		At(now).
		Given(fulfilment("o-2"), events.CaptureCheckRequested{Request: asked(now.Add(time.Hour))}).
		Then([]string{
			"saga_attention fulfilment 1", "saga_attention refund 0",
			"saga_instances fulfilment CAPTURE_UNKNOWN 1", "saga_instances fulfilment RESERVING 1",
			"saga_oldest_age_seconds fulfilment CAPTURE_UNKNOWN false", "saga_oldest_age_seconds fulfilment RESERVING true",
			"saga_overdue fulfilment 1", "saga_overdue refund 0",
		}).ThenParked()
}

// What is concluded now is counted, and what a view reads that is built again is not.
func TestOnlyWhatIsConcludedNowIsCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := NewMetrics(registry)
	now := time.Now()
	done := []Done{{Step: events.StepReserve, Took: 2 * time.Second}, {Step: events.StepBook, Failed: true}, {Cause: "declined"}}
	at := func(version uint64, t time.Time) esjs.Record { return esjs.Record{Version: version, Time: t} }
	m.concluded(Process{}, at(1, now.Add(-time.Hour)), done)
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("of an hour ago was counted: %v, %v", families, err)
	}
	var p Process
	p.Kind = "fulfilment"
	m.concluded(p, at(2, now), done[:2])
	m.concluded(p, at(3, now), done[2:])
	for range 2 { // a transaction that is tried again, and another version of the view
		m.concluded(p, at(2, now), done[:2])
		m.concluded(p, at(3, now), done[2:])
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, s := range f.GetMetric() {
			line := f.GetName()
			for _, l := range s.GetLabel() {
				line += " " + l.GetValue()
			}
			got = append(got, fmt.Sprint(line, " ", s.GetCounter().GetValue(), " ", s.GetHistogram().GetSampleSum()))
		}
	}
	want := []string{
		"saga_compensations_total declined 1 0",
		"saga_step_seconds fulfilment failed book 0 0", "saga_step_seconds fulfilment succeeded reserve 0 2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("counted was %q, want %q", got, want)
	}
	var none *Metrics
	none.concluded(p, at(4, now), done) // counts nothing
}
