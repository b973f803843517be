package console

import (
	"slices"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
)

// projectionsData is every version of every view.
type projectionsData struct {
	Rows     []projectionRow
	Operates bool
}

// projectionRow is one version of a view. Done is the part of 100 that is applied.
type projectionRow struct {
	queries.ProjectionStatus
	Done    float64
	Actions []projectionAction
}

// projectionAction is one thing that an operator may do with a version.
type projectionAction struct {
	Verb, Name, Explain string
	Key                 string // that the command is sent to: the version, or the view
	Danger              bool
	Differs             *queries.Comparison // a reason has to be given, because rows do
}

func projectionsPage(v *visit) error {
	all, err := ask(v, queries.ProjectionList, queries.NoRequest{})
	if err != nil {
		return err
	}
	data := projectionsData{Operates: v.operates()}
	for _, p := range all.Projections {
		row := projectionRow{ProjectionStatus: p, Done: done(p)}
		if data.Operates {
			row.Actions = projectionActions(p, all.Projections)
		}
		data.Rows = append(data.Rows, row)
	}
	return v.show("projections", "Projections", v.everything(), data)
}

// projectionActions are what an operator may do with a version among all. The projector
// decides; what it would refuse in this state is not offered.
func projectionActions(p queries.ProjectionStatus, all []queries.ProjectionStatus) (actions []projectionAction) {
	live := slices.IndexFunc(all, func(o queries.ProjectionStatus) bool { return o.View == p.View && o.State == queries.ProjectionLive })
	add := func(verb, name, explain string) {
		actions = append(actions, projectionAction{Verb: verb, Name: name, Explain: explain, Key: p.Name, Danger: verb == "drop"})
	}
	switch p.State {
	case queries.ProjectionLive:
		if newer := slices.ContainsFunc(all, func(o queries.ProjectionStatus) bool { return o.View == p.View && o.Version > p.Version }); !newer {
			actions = append(actions, projectionAction{
				Verb: "rebuild", Name: "Rebuild", Key: p.View,
				Explain: "A new version is built from the first event, beside this one, which goes on answering.",
			})
		}
		return actions
	case queries.ProjectionStandby:
		if live >= 0 && all[live].Version > p.Version {
			add("promote", "Go back to it", "This earlier version answers from now on. Later ones wait until they are promoted.")
		} else {
			add("promote", "Promote", "This version answers from now on. The one that answers now is kept, and can be gone back to.")
		}
		if differs(p) {
			actions[0].Differs = p.Comparison
		}
		add("pause", "Pause", "It is not built on until it is resumed. Nobody is answered from it meanwhile.")
	case queries.ProjectionBuilding:
		add("pause", "Pause", "It is not built on until it is resumed. Nobody is answered from it meanwhile.")
	case queries.ProjectionPaused:
		add("resume", "Resume", "It is built on from where it was paused.")
	case queries.ProjectionFailed:
		add("resume", "Try again", "It is built on from where it failed.")
	case queries.ProjectionOutdated:
	}
	if live >= 0 && all[live].Name != p.Name {
		add("drop", "Drop", "Its rows are removed. A rebuild makes a new version from the events.")
	}
	return actions
}

// differs tells that a version waits because rows of it are others than those of the live one.
func differs(p queries.ProjectionStatus) bool {
	return p.Comparison != nil && p.Comparison.Differing > 0 && p.Comparison.Overruled == ""
}

// commandProjection sends what an operator decided about a version of a view.
func commandProjection(v *visit) error {
	verb := v.PathValue("verb")
	var body any = desk.Nothing{}
	switch verb {
	case "rebuild":
		body = desk.Rebuild{ByHand: v.PostFormValue("by_hand") != ""}
	case "promote":
		body = desk.Promote{Reason: v.text("reason")}
	case "release":
		body = desk.Parked{Key: v.PostFormValue("key")}
	}
	if _, err := v.command(service.Command{Category: desk.CategoryProjection, Key: v.PathValue("name"), Verb: verb}, body); err != nil {
		return v.again(err, Root+"projections", projectionsPage)
	}
	return v.see(Root + "projections")
}

// done is how much of the store a version of a view has passed.
func done(p queries.ProjectionStatus) float64 { return round(p.Progress * 100) }

// projectionTone is the colour of what a version of a view is doing.
func projectionTone(p projectionRow) string {
	switch {
	case p.State == queries.ProjectionFailed || len(p.Parked) > 0:
		return "bad"
	case p.State == queries.ProjectionLive:
		return "good"
	case p.State == queries.ProjectionPaused || differs(p.ProjectionStatus):
		return "warn"
	case p.State == queries.ProjectionOutdated:
		return "quiet"
	}
	return "busy"
}
