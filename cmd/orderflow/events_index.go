package main

import (
	"io"
	"strings"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newEventsList() *cobra.Command {
	return asking[queries.EventFilter, queries.EventPage]{
		use: "list", short: "Find events of all aggregates, newest first", question: queries.EventList,
		flags: func(f *pflag.FlagSet, q *queries.EventFilter) {
			f.StringVar(&q.Type, "type", "", "only events of this `TYPE`, for example OrderSubmitted")
			f.StringVar(&q.Category, "category", "", "only events of this `CATEGORY`, for example order")
			f.StringVar(&q.Key, "key", "", "only events of the aggregate with this `KEY`, together with --category")
			f.StringVar(&q.CorrelationID, "correlation", "", "only events with this correlation `ID`, for example an order's")
			f.StringVar(&q.CausationID, "caused-by", "", "only what the event with this `ID` caused")
			f.StringVar(&q.CommandID, "command", "", "only what the command with this `ID` did")
			f.StringVar(&q.Actor, "actor", "", "only what this `ACTOR` did")
			addTime(f, &q.From, "from", "only events at this `TIME` or later")
			addTime(f, &q.Before, "before", "only events before this `TIME`")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.EventPage) {
			row(w, "EVENT", "TIME", "TYPE", "OF", "VERSION", "ACTOR")
			for _, e := range page.Events {
				row(w, e.EventID, e.Time, e.Type, e.Category+"/"+e.Key, e.Version, e.Actor)
			}
			more(w, page.NextCursor)
		},
	}.command()
}

func newEventsShow() *cobra.Command {
	return asking[queries.EventRequest, queries.EventDetail]{
		use: "show EVENT-ID", short: "Show one event with its data", question: queries.EventGet, args: []string{"EVENT-ID"},
		take: func(q *queries.EventRequest, args []string) { q.EventID = args[0] },
		print: func(w io.Writer, e queries.EventDetail) {
			row(w, e.Type, e.What)
			for _, l := range [][2]string{
				{"of", e.Category + "/" + e.Key}, {"time", when(e.Time)}, {"actor", e.Actor}, {"correlation", e.CorrelationID},
				{"caused by", e.CausationID}, {"command", e.CommandID}, {"data", string(e.Data)},
			} {
				if l[1] != "" {
					row(w, "  "+l[0], l[1])
				}
			}
		},
	}.command()
}

func newEventsCauses() *cobra.Command {
	return asking[queries.CausationRequest, queries.EventTree]{
		use: "causes EVENT-ID", short: "Tell what caused an event, and all that came of the first cause", question: queries.EventCausation, args: []string{"EVENT-ID"},
		take: func(q *queries.CausationRequest, args []string) { q.EventID = args[0] },
		print: func(w io.Writer, tree queries.EventTree) {
			row(w, "TIME", "EVENT", "OF", "ID")
			for _, e := range tree.Events {
				row(w, e.Time, strings.Repeat("  ", e.Depth)+e.Type, e.Category+"/"+e.Key, e.EventID)
			}
			if tree.Truncated {
				row(w, "", "… and more")
			}
		},
	}.command()
}
