package esjs_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// keepsQuarantines lets assemblies keep that they were set aside, and fail at parts
// and timers until they are blessed.
func keepsQuarantines(blessed *atomic.Bool) func(*esjs.Process[assembly, esjs.Event, esjs.Event]) {
	return func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		react := p.React
		p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			if in.Event != nil && in.Event.Event == esjs.Event(placed{Order: "o-1", WaitMS: time.Hour.Milliseconds()}) || blessed.Load() {
				return react(a, in)
			}
			return nil, errors.New("it is cursed")
		}
		p.Quarantined = func(a assembly, q esjs.Quarantine) esjs.Event {
			if strings.Contains(q.Reason, "said nothing") {
				return nil
			}
			return setAside{Order: q.Key, Input: q.Input, Reason: q.Reason, Started: a.Started}
		}
	}
}

// An instance that is set aside keeps that in its own stream: by an input, again after a
// release, by a timer and by a caller, with the place of the input and the reason.
func TestQuarantineIsKeptInTheInstancesOwnStream(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		r := newAssemblyRig(t, d)
		var blessed atomic.Bool
		p := r.start(t, options{process: keepsQuarantines(&blessed)})
		kept := func(at int) setAside {
			t.Helper()
			e, err := assemblyCodec(t).Decode(r.seen.until("o-1", at)[at-1])
			if err != nil {
				t.Fatal(err)
			}
			return e.Event.(setAside)
		}
		r.place(t, "o-1", time.Hour)
		r.seen.await(t, "o-1", "AssemblyStarted")
		last, err := r.store.Last(contextWithPatience(t))
		if err != nil {
			t.Fatal(err)
		}
		r.arrive(t, "o-1", "left")
		p.quarantined(t, "o-1: 1")
		r.seen.await(t, "o-1", "AssemblyStarted", "SetAside")
		first := kept(2)
		if first.Order != "o-1" || !last.Before(first.Input) || !strings.Contains(first.Reason, "it is cursed") || !first.Started {
			t.Errorf("it keeps %+v", first)
		}
		p.release(t, "o-1") // and it is still cursed
		r.seen.await(t, "o-1", "AssemblyStarted", "SetAside", "SetAside")
		if second := kept(3); second != first {
			t.Errorf("the second time it keeps %+v, the first time %+v", second, first)
		}
		blessed.Store(true)
		eventually(t, "the second time it is not in quarantine", func() bool { // the entry follows its event
			list, err := p.Quarantined(contextWithPatience(t))
			return err == nil && len(list) == 1 && !list[0].Released
		})
		p.release(t, "o-1")
		r.seen.await(t, "o-1", "AssemblyStarted", "SetAside", "SetAside", "PartNoted")
		p.quarantined(t)
		p.quarantine(t, "o-1")
		p.quarantine(t, "o-1") // it is already
		if in, err := p.InQuarantine(contextWithPatience(t), "o-1"); err != nil || !in {
			t.Errorf("it is in quarantine: %t, %v", in, err)
		}
		r.seen.await(t, "o-1", "AssemblyStarted", "SetAside", "SetAside", "PartNoted", "SetAside")
		if third := kept(5); !third.Input.IsZero() || third.Reason != "it looks wrong" {
			t.Errorf("by a caller it keeps %+v", third)
		}
		p.release(t, "o-1")
		p.quarantined(t)
		if err := p.Quarantine(contextWithPatience(t), "o-1", errors.New("said nothing")); err != nil {
			t.Fatal(err)
		}
		p.quarantined(t, "o-1: 0")
		p.shutdown(t)
		r.check(t, "o-1", "AssemblyStarted", "SetAside", "SetAside", "PartNoted", "SetAside")
	})
}

// An instance whose timer fails, or whose own events cannot be read, keeps it too; one that
// is not known has no stream in which to keep it.
func TestQuarantineIsKeptWhateverTheStreamHolds(t *testing.T) {
	t.Parallel()
	r := newAssemblyRig(t, esjstest.Server(t))
	var blessed atomic.Bool
	r.append(t, "assembly", "broken", broken{})
	p := r.start(t, options{process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
		keepsQuarantines(&blessed)(p)
		react, key := p.React, p.Key
		p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
			if in.Event != nil { // only timers are cursed
				return reactAssembly(a, in)
			}
			return react(a, in)
		}
		p.Key = func(e esjs.Recorded[esjs.Event]) string {
			if part, ok := e.Event.(partArrived); ok && part.Part == "nobody's" {
				panic("whose part is this?")
			}
			return key(e)
		}
	}})
	r.place(t, "late", 50*time.Millisecond)
	records := r.seen.await(t, "late", "AssemblyStarted", "SetAside")
	if data := string(records[1].Data); !strings.Contains(data, "timer deadline: it is cursed") || !strings.Contains(data, `"input":"0-0"`) {
		t.Errorf("of a timer it keeps %s", data)
	}
	r.place(t, "broken", time.Hour)
	eventually(t, "the one that cannot be read keeps it", func() bool {
		history := r.history(t, "broken")
		return len(history) == 2 && history[1].Type == "SetAside" && strings.Contains(string(history[1].Data), `"started":false`)
	})
	r.arrive(t, "x", "nobody's")
	p.quarantined(t, "broken: 1", "late: 0", "part/"+r.key("x", "nobody's")+": 1")
	p.shutdown(t)
	r.check(t, "part/"+r.key("x", "nobody's"))
}

// setAside is what an assembly keeps of a quarantine.
type setAside struct {
	Order   string        `json:"order"`
	Input   esjs.Position `json:"input"`
	Reason  string        `json:"reason"`
	Started bool          `json:"started"`
}

// broken is an event that assemblies do not know.
type broken struct{}

func (setAside) EventType() string { return "SetAside" }
func (broken) EventType() string   { return "Broken" }
