package queries

import "time"

// ProjectionList asks how far every view is.
var ProjectionList = Question[NoRequest, ProjectionStatuses]{"query.projections.list", "Every view's versions with their position, lag, state and parked keys"}

// NoRequest is the body of a question that has nothing to choose.
type NoRequest struct{}

// ProjectionStatuses is every version of every view.
type ProjectionStatuses struct {
	Projections []ProjectionStatus `json:"projections"`
}

// ProjectionState says what a version of a view is doing.
type ProjectionState string

// States of versions. The live one answers queries.
const (
	ProjectionLive     ProjectionState = "live"
	ProjectionBuilding ProjectionState = "building" // it has not come to where the store ended when it was begun
	ProjectionStandby  ProjectionState = "standby"  // it has, and follows beside the live one
	ProjectionPaused   ProjectionState = "paused"
	ProjectionFailed   ProjectionState = "failed"   // it cannot go on; Error says why
	ProjectionOutdated ProjectionState = "outdated" // only an earlier program has the code for it
)

// ProjectionStatus is one version of a view. Lag counts commits of the store that
// are not applied, BehindSeconds is the age of the oldest of their events.
// EventsPerSecond is the pace of the last ten seconds and RemainingSeconds the time
// that the lag takes at it; both are 0 when they are not known.
type ProjectionStatus struct {
	Name    string          `json:"name"` // with its version: "orders_v1"
	View    string          `json:"view"`
	Version int             `json:"version"`
	State   ProjectionState `json:"state"`
	ByHand  bool            `json:"by_hand"` // it does not take over by itself
	// Previous: it is of before the live one, and kept to go back to by a promotion; when
	// another version has taken over from the live one it is dropped.
	Previous bool    `json:"previous,omitzero"`
	Error    string  `json:"error,omitzero"`
	Position string  `json:"position"`
	Last     string  `json:"last"`     // position of the store's end
	Progress float64 `json:"progress"` // share of the store that it has passed, 0 to 1

	Lag              uint64  `json:"lag"`
	BehindSeconds    float64 `json:"behind_seconds"`
	EventsPerSecond  float64 `json:"events_per_second"`
	RemainingSeconds float64 `json:"remaining_seconds"`
	CaughtUp         bool    `json:"caught_up"` // with what was stored when it started

	Parked    []ParkedKey `json:"parked"`
	CreatedAt time.Time   `json:"created_at"`

	// Comparison is with the version that was live when this one had caught up, before
	// it took over by itself; nil when there was none.
	Comparison *Comparison `json:"comparison,omitzero"`
}

// Comparison says how a sample of a version's rows compares with those of another
// one. Where some differ, the version does not take over by itself.
type Comparison struct {
	With      string    `json:"with"`     // the other version
	Rows      int       `json:"rows"`     // that were compared
	Changing  int       `json:"changing"` // that changed each time they were looked at, and say nothing
	Differing int       `json:"differing"`
	First     []string  `json:"first"` // some of those that differ: the table and the key
	At        time.Time `json:"at"`
	// Overruled is why an operator let it take over nevertheless.
	Overruled string `json:"overruled,omitzero"`
}

// ParkedKey is an aggregate whose events could not be applied: they wait, and
// all others go on.
type ParkedKey struct {
	Key    string    `json:"key"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Count  int       `json:"count"` // commits that wait
}
