package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
)

func TestWhoWaitsForARebuildIsToldHowItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		status queries.ProjectionStatus
		there  bool
		code   string
		says   string
	}{
		"building":           {status: queries.ProjectionStatus{State: queries.ProjectionBuilding}},
		"about to take over": {status: queries.ProjectionStatus{State: queries.ProjectionStandby}},
		"live":               {status: queries.ProjectionStatus{State: queries.ProjectionLive}, there: true},
		"waits for a person": {status: queries.ProjectionStatus{State: queries.ProjectionStandby, ByHand: true}, there: true},
		"building, by hand":  {status: queries.ProjectionStatus{State: queries.ProjectionBuilding, ByHand: true}},
		"differs": {status: queries.ProjectionStatus{State: queries.ProjectionStandby, ByHand: true, Comparison: &queries.Comparison{
			With: "orders_v1", Rows: 400, Differing: 3}}, code: "projection_differs", says: "3 differ from those of orders_v1"},
		"failed":              {status: queries.ProjectionStatus{State: queries.ProjectionFailed, Error: "the disk is full"}, code: "projection_failed", says: "the disk is full"},
		"paused":              {status: queries.ProjectionStatus{State: queries.ProjectionPaused}, code: "projection_paused", says: "resume orders_v2"},
		"dropped":             {code: "projection_dropped", says: "orders_v2 was dropped"},
		"of another program":  {status: queries.ProjectionStatus{State: queries.ProjectionOutdated}, code: "projection_stopped", says: "outdated"},
		"a state of tomorrow": {status: queries.ProjectionStatus{State: "merged"}, code: "projection_stopped", says: "merged"},
	} {
		there, err := arrived("orders_v2", c.status)
		var r *esjs.Rejection
		refused := errors.As(err, &r)
		if there != c.there || refused != (c.code != "") || err != nil && !refused {
			t.Errorf("%s: %v, %v", name, there, err)
			continue
		}
		if refused && (r.Code != c.code || !strings.Contains(r.Message, c.says) || service.ExitStatus(err) == service.ExitOK) {
			t.Errorf("%s: %+v, want %s with %q", name, r, c.code, c.says)
		}
	}
}

func TestRowsThatDifferAreShown(t *testing.T) {
	status := queries.ProjectionStatus{Name: "orders_v2", State: queries.ProjectionStandby, Comparison: &queries.Comparison{
		With: "orders_v1", Rows: 400, Differing: 12, First: []string{"orders o-1", "orders o-2"},
	}}
	shown := func() string {
		var b strings.Builder
		printProjections(&b, queries.ProjectionStatuses{Projections: []queries.ProjectionStatus{status}})
		return b.String()
	}
	for _, want := range []string{
		"Of 400 rows of orders_v2 12 differ from those of orders_v1: orders o-1, orders o-2 and 10 more.", "projections promote orders_v2 --reason",
	} {
		if got := shown(); !strings.Contains(got, want) {
			t.Errorf("shown is\n%s\nwithout %q", got, want)
		}
	}
	status.Comparison.Overruled = "they were damaged"
	if got := shown(); !strings.Contains(got, "promoted nevertheless: they were damaged") || strings.Contains(got, "--reason") {
		t.Errorf("shown is\n%s", got)
	}
	status.Comparison.Differing = 0
	if got := shown(); strings.Contains(got, "differ") {
		t.Errorf("of rows that are equal is shown\n%s", got)
	}
}

func TestAPreviousVersionIsShownAsOneToGoBackTo(t *testing.T) {
	shown := func(all ...queries.ProjectionStatus) string {
		var b strings.Builder
		printProjections(&b, queries.ProjectionStatuses{Projections: all})
		return b.String()
	}
	live := queries.ProjectionStatus{Name: "orders_v2", State: queries.ProjectionLive}
	before := queries.ProjectionStatus{Name: "orders_v1", State: queries.ProjectionStandby, Previous: true}
	if got := shown(before, live); !strings.Contains(got, "standby (previous)") || !strings.Contains(got, "projections promote NAME") || !strings.Contains(got, "is dropped") {
		t.Errorf("shown is\n%s", got)
	}
	if got := shown(live); strings.Contains(got, "previous") {
		t.Errorf("shown without one is\n%s", got)
	}
}
