package esjs

import (
	"testing"
	"time"
)

// Two workers follow the states of one instance, and the older state may come last: it
// must not take back what the newer one has armed.
func TestOnlyWhatAStateKnowsIsOutdated(t *testing.T) {
	at := func(name string, version uint64, in time.Duration) Timer {
		return Timer{Name: name, Version: version, At: time.Now().Add(in)}
	}
	armed := followed{armed: []Timer{at("step", 6, time.Hour), at("sla", 1, time.Hour), at("reminder", 4, -time.Second)}}
	for name, c := range map[string]struct {
		asked   []Timer
		version uint64
		want    map[string]uint64
	}{
		"the same":                       {armed.armed, 6, nil},
		"another step":                   {[]Timer{at("step", 7, time.Hour), at("sla", 1, time.Hour)}, 7, map[string]uint64{"step": 6}},
		"nothing":                        {nil, 7, map[string]uint64{"step": 6, "sla": 1}},
		"an older state":                 {[]Timer{at("step", 5, time.Hour), at("sla", 1, time.Hour)}, 5, nil},
		"an older state asks for less":   {nil, 5, map[string]uint64{"sla": 1}},
		"the state that armed the timer": {nil, 6, map[string]uint64{"step": 6, "sla": 1}},
	} {
		got := armed.outdated(c.asked, c.version)
		if len(got) != len(c.want) {
			t.Errorf("%s: outdated are %v, want %v", name, got, c.want)
		}
		for timer, version := range c.want {
			if got[timer].Version != version {
				t.Errorf("%s: outdated are %v, want %v", name, got, c.want)
			}
		}
	}
}
