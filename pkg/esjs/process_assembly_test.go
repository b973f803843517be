package esjs_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// The assembly is a small process for tests: an order is assembled when it was
// placed and its two parts have arrived, in whatever order that happens. When parts are
// missing at the deadline it reminds once and gives up at the next deadline.

type placed struct {
	Order  string `json:"order"`
	WaitMS int64  `json:"wait_ms"` // until the deadline
}

type partArrived struct {
	Order string `json:"order"`
	Part  string `json:"part"`
}

type assemblyStarted struct {
	Deadline time.Time `json:"deadline"`
	WaitMS   int64     `json:"wait_ms"`
}

type partNoted struct {
	Part string `json:"part"`
}

type reminded struct {
	Deadline time.Time `json:"deadline"`
}

type assembled struct{}

type givenUp struct {
	Reason string `json:"reason"`
}

func (placed) EventType() string          { return "Placed" }
func (partArrived) EventType() string     { return "PartArrived" }
func (assemblyStarted) EventType() string { return "AssemblyStarted" }
func (partNoted) EventType() string       { return "PartNoted" }
func (reminded) EventType() string        { return "Reminded" }
func (assembled) EventType() string       { return "Assembled" }
func (givenUp) EventType() string         { return "GivenUp" }

type assembly struct {
	Version  uint64    `json:"version"`
	Started  bool      `json:"started"`
	WaitMS   int64     `json:"wait_ms"`
	Parts    []string  `json:"parts"`
	Reminded bool      `json:"reminded"`
	Ended    bool      `json:"ended"`
	Deadline time.Time `json:"deadline"`
	Armed    uint64    `json:"armed"` // version of the event that set the deadline
}

func (a assembly) String() string {
	switch {
	case a.Ended:
		return "ended"
	case a.Started:
		return "started"
	}
	return "new"
}

func applyAssembly(a assembly, event esjs.Event) assembly {
	a.Version++
	switch e := event.(type) {
	case assemblyStarted:
		a.Started, a.WaitMS, a.Deadline, a.Armed = true, e.WaitMS, e.Deadline, a.Version
	case partNoted:
		a.Parts = append(slices.Clip(a.Parts), e.Part)
	case reminded:
		a.Reminded, a.Deadline, a.Armed = true, e.Deadline, a.Version
	case assembled, givenUp:
		a.Ended = true
	}
	return a
}

// giveUp is an operator's command.
type giveUp struct{ Reason string }

func reactAssembly(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
	if a.Ended {
		return nil, esjs.Unexpected(a.String(), describe(in))
	}
	switch {
	case in.Timer != nil && a.Reminded:
		return []esjs.Event{givenUp{Reason: "late"}}, nil
	case in.Timer != nil:
		return []esjs.Event{reminded{Deadline: in.Time.Add(milliseconds(a.WaitMS))}}, nil
	case in.Command != nil:
		return []esjs.Event{givenUp{Reason: in.Command.(giveUp).Reason}}, nil
	}
	switch e := in.Event.Event.(type) {
	case placed:
		started := assemblyStarted{Deadline: in.Time.Add(milliseconds(e.WaitMS)), WaitMS: e.WaitMS}
		return completeAssembly(a, started), nil
	case partArrived:
		switch {
		case e.Part == "cursed":
			return nil, errors.New("the part is cursed")
		case slices.Contains(a.Parts, e.Part):
			return nil, nil
		}
		return completeAssembly(a, partNoted{Part: e.Part}), nil
	}
	return nil, esjs.Unexpected(a.String(), describe(in))
}

// completeAssembly adds the end when event makes the assembly complete.
func completeAssembly(a assembly, event esjs.Event) []esjs.Event {
	if a = applyAssembly(a, event); a.Started && len(a.Parts) == 2 {
		return []esjs.Event{event, assembled{}}
	}
	return []esjs.Event{event}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func describe(in esjs.Input[esjs.Event]) string {
	switch {
	case in.Timer != nil:
		return "timer " + in.Timer.Name
	case in.Command != nil:
		return "command"
	}
	return in.Event.Type
}

func assemblyProcess(t testing.TB) esjs.Process[assembly, esjs.Event, esjs.Event] {
	t.Helper()
	return esjs.Process[assembly, esjs.Event, esjs.Event]{
		Name:     "assembly",
		Category: "assembly",
		In:       assemblyCodec(t),
		Out:      assemblyCodec(t),
		Inputs:   esjs.Query{Categories: []string{"order", "part"}},
		Key: func(e esjs.Recorded[esjs.Event]) string {
			switch event := e.Event.(type) {
			case placed:
				return event.Order
			case partArrived:
				return event.Order
			}
			return ""
		},
		Apply: applyAssembly,
		React: reactAssembly,
		Timers: func(a assembly) []esjs.Timer {
			if !a.Started || a.Ended {
				return nil
			}
			return []esjs.Timer{{Name: "deadline", At: a.Deadline, Version: a.Armed}}
		},
		Done: func(a assembly) bool { return a.Ended },
	}
}

func assemblyCodec(t testing.TB) *esjs.Codec[esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(
		esjs.TypeOf[esjs.Event, placed](), esjs.TypeOf[esjs.Event, partArrived](),
		esjs.TypeOf[esjs.Event, assemblyStarted](), esjs.TypeOf[esjs.Event, partNoted](),
		esjs.TypeOf[esjs.Event, reminded](), esjs.TypeOf[esjs.Event, assembled](), esjs.TypeOf[esjs.Event, givenUp](),
		esjs.TypeOf[esjs.Event, setAside](),
	)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}
