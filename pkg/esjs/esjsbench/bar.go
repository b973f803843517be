package esjsbench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Limit is what a bar wants: at most Max, or at least Min; zero: not limited.
type Limit struct {
	Max float64 `json:"max,omitzero"`
	Min float64 `json:"min,omitzero"`
}

// Holds tells that the limit is kept.
func (l Limit) Holds(v float64) bool {
	return (l.Max == 0 || v <= l.Max) && v >= l.Min
}

// String is "<= 1.05", or empty where there is no limit.
func (l Limit) String() string {
	text := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	switch {
	case l.Max != 0:
		return "<= " + text(l.Max)
	case l.Min != 0:
		return ">= " + text(l.Min)
	}
	return ""
}

// Bar is one figure that the library is meant to keep, or that is reported beside one.
type Bar struct {
	Number int    `json:"bar"`
	What   string `json:"what"`
	Sync   Sync   `json:"sync"`
	Wanted Limit  `json:"wanted"`
	Unit   string `json:"unit,omitempty"` // empty for a ratio

	measurement string
	figure      string
	large       bool // the limit is for a large store of 1 M aggregates
}

func atMost(v float64) Limit  { return Limit{Max: v} }
func atLeast(v float64) Limit { return Limit{Min: v} }

// Bars returns all bars, by their numbers.
func Bars() []Bar {
	both := func(b Bar) []Bar {
		always := b
		b.Sync, always.Sync = SyncDefault, SyncAlways
		return []Bar{b, always}
	}
	one := func(number int, what, measurement, figure string, wanted Limit) Bar {
		return Bar{Number: number, What: what, Sync: SyncDefault, Wanted: wanted, measurement: measurement, figure: figure}
	}
	large := func(b Bar) Bar { b.large = true; return b }
	in := func(unit string, b Bar) Bar { b.Unit = unit; return b }
	var commits []Bar
	for i, events := range commitSizes {
		ours := fmt.Sprintf("append-%d/", events)
		commits = append(commits,
			one(2, fmt.Sprintf("append of %d events / append of 1", events), "commits", ours+"append-1", atMost([]float64{1.20, 1.30, 3.0}[i])),
			one(2, fmt.Sprintf("append of %d events / raw publish of the same body", events), "commits", ours+fmt.Sprintf("raw-%d", events), atMost([]float64{1.15, 1.20, 1.7}[i])))
	}
	concurrent := both(one(3, "events a second of 64 writers / of 64 raw publishers", "concurrent", "append/raw", atLeast(0.95)))
	concurrent[1].Wanted = atLeast(0.90)
	return slices.Concat(
		both(one(1, "append of 1 event / raw publish of the same body", "append", "append-1/raw-1", atMost(1.05))),
		commits,
		concurrent,
		[]Bar{in("allocs", one(4, "allocations of an append of 1 event", "allocations", "allocs/append", atMost(20)))},
		both(one(5, "warm Handle / raw publish", "handle", "handle/raw-1", atMost(1.05))),
		[]Bar{
			one(6, "cold load, snapshot current / raw get-last", "load", "load-current/get-last", atMost(1.4)),
			one(7, "cold load, 10 commits after the snapshot / raw get-last", "load", "load-behind/get-last", atMost(3.2)),
			large(one(8, "cold load, snapshot current, hot: large store / small one", "growth", "large-current/small-current", atMost(1.3))),
			large(one(8, "cold load, 10 commits after the snapshot, hot: large store / small one", "growth", "large-behind/small-behind", atMost(1.3))),
			in("µs", one(8, "the first load of a large store after 12 s idle, snapshot current", "growth", "first-current-µs", Limit{})),
			in("µs", one(8, "the first load of a large store after 12 s idle, 10 commits after the snapshot", "growth", "first-behind-µs", Limit{})),
			one(9, "cold load with a snapshot / PostgreSQL's SELECT of 100 rows", "postgres", "load-snapshot/select-100", atMost(0.5)),
			one(9, "cold load of 100 events in 20 commits / PostgreSQL's SELECT of 100 rows", "postgres", "load-20-commits/select-100", atMost(2.2)),
			one(10, "events a second replayed and decoded, commits of 1 / messages of a bare consumer", "replay", "replay-1/consume", atLeast(0.75)),
			one(10, "events a second replayed and decoded, commits of 5 / messages of a bare consumer", "replay", "replay-5/consume", atLeast(1.8)),
			one(11, "events a second projected to SQLite, commits of 1 / inserted by a bare loop", "catch-up", "catch-up-1/bare-1", atLeast(0.7)),
			one(11, "events a second projected to SQLite, commits of 5 / inserted by a bare loop", "catch-up", "catch-up-5/bare-5", atLeast(0.7)),
			one(11, "events a second projected to PostgreSQL, commits of 1 / inserted by a bare loop", "catch-up-postgres", "catch-up-1/bare-1", atLeast(0.7)),
			one(11, "events a second projected to PostgreSQL, commits of 5 / inserted by a bare loop", "catch-up-postgres", "catch-up-5/bare-5", atLeast(0.7)),
		},
		both(one(12, "append beside a writer of commits of 5 / beside a raw writer of messages of 1", "bystander", "commits/raw", atMost(1.2))),
		[]Bar{
			large(in("B", one(13, "the server's memory for an aggregate of a large store", "growth", "B/aggregate-in-memory", atMost(450)))),
			large(one(13, "append: large store / small one", "growth", "large-append/small-append", atMost(1.1))),
			large(one(13, "hot load, snapshot current: large store / small one", "growth", "large-current/small-current", atMost(1.1))),
			large(one(13, "hot load, 10 commits after the snapshot: large store / small one", "growth", "large-behind/small-behind", atMost(1.1))),
			in("B", one(13, "on disk for an aggregate of one small commit", "growth", "B/aggregate-on-disk", Limit{})),
		},
		both(one(14, "live delivery, publish to handler / ack of the append", "live", "delivery/ack", atMost(1.5))),
		[]Bar{
			in("ms", one(15, "takeover of a subscription after a clean stop", "takeover", "clean-ms", atMost(100))),
			one(15, "takeover of a subscription after a crash / its lease", "takeover", "crash/lease", atMost(1.1)),
		},
	)
}

// measurement is what is set up and measured together.
type measurement struct {
	name     string
	turns    int  // of a round
	always   bool // also on a server that syncs each write
	once     bool // set up for all rounds, because that takes long
	postgres bool
	setUp    func(context.Context, *rig) (measure, error)
}

func measurements() []measurement {
	return []measurement{
		{name: "append", turns: 3000, always: true, setUp: measureAppend},
		{name: "commits", turns: 2000, setUp: measureCommits},
		{name: "concurrent", turns: 7, always: true, setUp: measureConcurrent},
		{name: "allocations", turns: 3000, setUp: measureAllocations},
		{name: "handle", turns: 3000, always: true, setUp: measureHandle},
		{name: "load", turns: 3000, setUp: measureLoad},
		{name: "growth", turns: 3000, once: true, setUp: measureGrowth},
		{name: "postgres", turns: 2000, postgres: true, setUp: measurePostgres},
		{name: "replay", turns: 7, setUp: measureReplay},
		{name: "catch-up", turns: 5, setUp: measureCatchUp},
		{name: "catch-up-postgres", turns: 5, postgres: true, setUp: measureCatchUpPostgres},
		{name: "bystander", turns: 60, always: true, setUp: measureBystander},
		{name: "live", turns: 2000, always: true, setUp: measureLive},
		{name: "takeover", turns: 3, setUp: measureTakeover},
	}
}

// syncs are the servers on which it is measured.
func (m measurement) syncs() []Sync {
	if m.always {
		return []Sync{SyncDefault, SyncAlways}
	}
	return []Sync{SyncDefault}
}

// Names are what [Config.Only] may name: measurements, each of which has one bar or several.
func Names() (names []string) {
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}
