//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/rig"
)

// idle is a nemesis on a cluster without servers, whose faults do nothing for ten seconds.
func idle(t *testing.T, names ...string) *nemesis {
	n, err := newNemesis(config{seed: 1, orders: true}, &rig.Cluster{}, newRecorder())
	if err != nil {
		t.Fatal(err)
	}
	n.out, n.faults = io.Discard, nil
	for _, name := range names {
		n.faults = append(n.faults, fault{name: name, least: 10 * time.Second, do: func(context.Context, *nemesis) (string, heal, error) { return "", nil, nil }})
	}
	return n
}

// Each fault that was named happens once, however short a run is, and once alone; of all of them those
// happen for which there is time.
func TestFaultsThatAreNamedHappen(t *testing.T) {
	for what, c := range map[string]struct {
		named    bool
		takes    time.Duration
		happen   int
		objected string
	}{
		"named, no time":           {true, 0, 3, ""},
		"named, time for one":      {true, 15 * time.Second, 3, ""},
		"named, time for a second": {true, 40 * time.Second, 4, ""},
		"not named, time for one":  {false, 5 * time.Second, 1, ""},
		"not named, no time":       {false, 0, 0, "no fault has happened"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := idle(t, "a", "b", "c")
			n.named = c.named
			if err := n.run(t.Context(), c.takes); err != nil {
				t.Fatal(err)
			}
			if got := n.r.happened(); len(got) != c.happen {
				t.Errorf("%s: %v happened, want %d", what, got, c.happen)
			}
			if got := strings.Join(n.r.h.Wrong, "; "); got != c.objected {
				t.Errorf("%s: objected %q, want %q", what, got, c.objected)
			}
		})
	}
}

// A run that is ended ends, whatever has not happened yet.
func TestARunThatIsEndedHasNoMoreFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := idle(t, "a", "b", "c")
		n.named = true
		ctx, end := context.WithTimeout(t.Context(), 5*time.Second)
		defer end()
		if err := n.run(ctx, time.Hour); err != nil || len(n.r.happened()) != 1 {
			t.Errorf("%v happened, %v", n.r.happened(), err)
		}
	})
}

func TestAFaultThatWasNamedAndHasNotHappenedIsToldOf(t *testing.T) {
	n := idle(t, "a", "b")
	n.named = true
	n.faults = n.faults[:1]
	n.missed()
	if !slices.Contains(n.r.h.Wrong, "a was to happen, and has not") {
		t.Errorf("objected %q", n.r.h.Wrong)
	}
}

// Without a leader nothing is done to another server under the leader's name.
func TestALeaderIsNotReplacedByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := idle(t)
		n.leader = func(context.Context, string) (string, error) { return "", errors.New("no answer") }
		did := false
		err := n.once(t.Context(), fault{name: "kill-leader", do: to((*nemesis).leading, func(context.Context, *nemesis, int) (string, heal, error) {
			did = true
			return "", nil, nil
		})})
		if err == nil || did || len(n.r.h.Wrong) != 1 || !strings.Contains(n.r.h.Wrong[0], "none leads") {
			t.Errorf("%v, done %t, objected %q", err, did, n.r.h.Wrong)
		}
	})
}

// Of several streams the leader of each is put through a fault now and then; of one nothing is drawn, so that a seed
// is the same course of faults as ever.
func TestLeadersOfAllStreamsAreMet(t *testing.T) {
	for partitions, streams := range map[int]int{1: 1, 2: 2} {
		n, err := newNemesis(config{seed: 1, orders: true, partitions: partitions}, &rig.Cluster{}, newRecorder())
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		n.leader = func(_ context.Context, stream string) (string, error) { asked[stream]++; return "n1", nil }
		ctx, end := context.WithCancel(t.Context())
		end()
		for range 20 {
			_, _ = n.leading(ctx) // there are no servers
		}
		drawn := n.random.Uint64() != rand.New(rand.NewPCG(1, 0)).Uint64()
		if len(asked) != streams || drawn != (partitions > 1) {
			t.Errorf("of %d partitions, leaders of %v were asked for, drawn %t", partitions, asked, drawn)
		}
	}
}

// What lets a leader hear nothing of the others is marked, because its answers are judged by it.
func TestFaultsThatMakeALeaderDeaf(t *testing.T) {
	var deaf []string
	for _, f := range faults() {
		if f.deaf {
			deaf = append(deaf, f.name)
		}
	}
	want := []string{"pause-leader", "pause-one", "cut-one", "cut-leader", "cut-leader-from-peers", "deafen-leader", "pause-and-power"}
	if !slices.Equal(deaf, want) {
		t.Errorf("deaf are %v, want %v", deaf, want)
	}
}
