package esjs_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestProcessesOfThreePartitions(t *testing.T) {
	esjstest.OnPartitions(t, 3,
		"TestProcessReactsInWhateverOrderInputsCome", "TestProcessActsAtItsDeadlines", "TestProcessIgnoresInputsThatItConsumedBefore",
		"TestTimersThatAreNotArmedAreIgnored", "TestQuarantinedInstanceWaitsAloneAndGoesOnInOrder", "TestUnexpectedInputs",
		"TestProcessThatCrashesAnywhereGoesOnWhereItWas", "TestQuarantineIsKeptInTheInstancesOwnStream", "TestQuarantineIsKeptWhateverTheStreamHolds",
		"TestInstanceThatCannotSealIsQuarantined", "TestQuarantineOfOneInstance", "TestReleaseOfAnInstanceThatDoesNotExist",
		"TestQuarantineNeedsAReasonAndAKey", "TestTimerThatFailsQuarantinesItsInstance", "TestQuarantineAtAnyTimeLosesNothing",
		"TestReleasedInputIsConsumedOnceAfterLaterOnes", "TestInputWhoseKeyIsNoKeyIsParked",
		"TestTwoActiveProcessesMakeOneCommitPerInput", "TestStandbyTakesOver", "TestManyInstancesAtTheSameTime", "TestProcessGoesOnWhileLeadersChange",
		"TestProcessStartsWhereItIsTold", "TestSweepThatFailsIsTold", "TestSweepGoesOnBesideADamagedInstance", "TestInstanceThatNeverCameToBeLeavesTheList",
		"TestEachOpenInstanceCanBeCheckedBeforeTheStart", "TestSweepArmsWhatIsMissing", "TestServerThatIsAwayParksNobody",
		"TestProcessThatIsNotConfiguredForAnInstanceParksNobody", "TestEndedInstancesLeaveTheList",
		"TestQuarantineByATimerThatIsNotStoredIsKeptOnce",
	)
}

// onThreePartitions runs a test on one server and on a cluster.
func onThreePartitions(t *testing.T, test func(t *testing.T, r *assemblyRig)) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint("R", replicas), func(t *testing.T) {
			t.Parallel()
			if replicas == 1 {
				test(t, newAssemblyRig(t, esjstest.Server(t, esjstest.Partitions(3))))
			} else {
				test(t, newAssemblyRig(t, esjstest.Cluster(t, esjstest.Partitions(3))))
			}
		})
	}
}

// arriveIn lets a part of an order come in the partition that is so many behind the order's own.
func (r *assemblyRig) arriveIn(t *testing.T, behind int, order, part string) {
	t.Helper()
	key, n := order+" "+part, r.Config().Partitions
	for i := 2; esjs.Partition(key, n) != (esjs.Partition(order, n)+behind)%n; i++ {
		key = fmt.Sprint(order, " ", part, " ", i)
	}
	r.append(t, "part", key, partArrived{Order: order, Part: part})
}

// waitsIn waits until an instance in quarantine is known to be in another partition, which
// takes milliseconds: left parts come until one waits.
func (p *assemblyRun) waitsIn(t *testing.T, r *assemblyRig, behind int, order string) {
	t.Helper()
	count := func() int {
		list, err := p.Quarantined(contextWithPatience(t))
		if err != nil || len(list) != 1 {
			t.Fatalf("in quarantine: %v, %v", list, err)
		}
		return list[0].Count
	}
	before := count()
	eventually(t, "the partition knows", func() bool {
		r.arriveIn(t, behind, order, "left")
		return count() > before
	})
}

// An instance that an input of one partition has set aside waits in all of them, in whichever
// instance of the process, and nobody else does. When it is released it gets all.
func TestAnInstanceInQuarantineWaitsInEveryPartition(t *testing.T) {
	t.Parallel()
	onThreePartitions(t, func(t *testing.T, r *assemblyRig) {
		r.spreadParts()
		var blessed atomic.Bool
		var noted sync.Map // ids of parts that change nothing
		o := options{process: func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			react := p.React
			p.React = func(a assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				if in.Event == nil {
					return react(a, in)
				}
				switch e, _ := in.Event.Event.(partArrived); {
				case e.Part == "a label":
					noted.Store(in.Event.ID, true)
					return nil, nil
				case e.Part == "cursed" && blessed.Load():
					return completeAssembly(a, partNoted{Part: e.Part}), nil
				}
				return react(a, in)
			}
		}}
		p1, p2 := r.start(t, o), r.start(t, o)
		r.place(t, "ill", time.Hour)
		r.seen.await(t, "ill", "AssemblyStarted")
		r.arriveIn(t, 1, "ill", "cursed")
		p1.quarantined(t, "ill: 1")

		came := 1
		waiting := func() int {
			list, err := p2.Quarantined(contextWithPatience(t))
			if err != nil || len(list) != 1 {
				t.Fatalf("in quarantine: %v, %v", list, err)
			}
			return list[0].Count
		}
		for _, behind := range []int{2, 0} {
			before := waiting()
			eventually(t, "the other partitions know", func() bool { // within milliseconds
				r.arriveIn(t, behind, "ill", "a label")
				came++
				return waiting() > before
			})
		}
		r.arriveIn(t, 2, "ill", "right")
		r.arriveIn(t, 0, "ill", "right")
		came += 2
		eventually(t, "what came is noted or waits", func() bool {
			n := 0
			noted.Range(func(any, any) bool { n++; return true })
			return waiting()+n == came
		})
		r.check(t, "ill", "AssemblyStarted")
		r.place(t, "well", time.Hour)
		for behind, part := range []string{"left", "left", "right"} {
			r.arriveIn(t, behind, "well", part)
		}
		r.seen.await(t, "well", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")

		p1.shutdown(t)
		before := waiting()
		r.arriveIn(t, 2, "ill", "also right")
		eventually(t, "who goes on knows it too", func() bool { return waiting() == before+1 })
		all, err := esjs.Subscriptions(contextWithPatience(t), r.store, positions)
		if err != nil || len(all) != 2 || len(all[0].Parked) != 1 || all[0].Parked[0].Count != before+1 || !strings.Contains(all[0].Parked[0].Reason, "cursed") {
			t.Errorf("the status is %+v, %v", all, err)
		}
		blessed.Store(true)
		p2.release(t, "ill")
		p2.quarantined(t)
		r.seen.await(t, "ill", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		p2.shutdown(t)
		r.check(t, "ill", "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	})
}

// Who gives up the input that failed lets go on what waits for its sake in other partitions.
func TestDropOfAnInputLetsTheOtherPartitionsGoOn(t *testing.T) {
	t.Parallel()
	onThreePartitions(t, func(t *testing.T, r *assemblyRig) {
		p := r.start(t, options{})
		r.place(t, "ill", time.Hour)
		r.seen.await(t, "ill", "AssemblyStarted")
		r.arriveIn(t, 1, "ill", "cursed")
		p.quarantined(t, "ill: 1")
		p.waitsIn(t, r, 2, "ill")
		list, err := p.Quarantined(contextWithPatience(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.subscription().DropParked(contextWithPatience(t), "ill", list[0].From); err != nil {
			t.Fatal(err)
		}
		r.seen.await(t, "ill", "AssemblyStarted", "PartNoted")
		p.quarantined(t)
		p.shutdown(t)
		r.check(t, "ill", "AssemblyStarted", "PartNoted")
	})
}

// An instance that is released gets what waits in all partitions, and only then its timers.
func TestTimersComeAfterWhatWaitsInEveryPartition(t *testing.T) {
	t.Parallel()
	onThreePartitions(t, func(t *testing.T, r *assemblyRig) {
		r.spreadParts()
		s := newSignals()
		p := r.start(t, observed(s))
		before := 0
		late := inTime("late", func(late string, wait time.Duration) {
			before = s.count(s.handled, "assembly-timers")
			r.place(t, late, wait)
			r.seen.await(t, late, "AssemblyStarted")
			p.quarantine(t, late)
			s.await(t, "it is known", func() bool { return s.parked["assembly"] == 1 })
		}, func(late string) {
			p.release(t, late)
			s.await(t, "it is known", func() bool { return s.parked["assembly"] == 0 })
		})
		p.waitsIn(t, r, 1, late)
		p.waitsIn(t, r, 2, late)
		r.arriveIn(t, 2, late, "right")
		s.await(t, "its timer fires", func() bool { return s.handled["assembly-timers"] > before })
		p.release(t, late)
		r.seen.await(t, late, "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
		p.quarantined(t)
		p.shutdown(t)
		r.check(t, late, "AssemblyStarted", "PartNoted", "PartNoted", "Assembled")
	})
}
