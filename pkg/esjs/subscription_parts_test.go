package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestSubscriptionsOfThreePartitions(t *testing.T) {
	esjstest.OnPartitions(t, 3,
		"TestSubscribeKeepsTheOrderOfEachKey", "TestSubscribeGoesOnWhereItStopped", "TestSubscribeCatchesUpWithAnEmptyStore",
		"TestSubscribeEveryInstance", "TestSubscribeBatch", "TestSubscribeRefusesABadConfiguration",
		"TestHandoverByCleanStops", "TestHandoverByPartitions", "TestLeaseSurvivesALostAnswer",
		"TestParkWaitsForRoomInTheBucket", "TestParkSetsOneKeyAside", "TestDropParkedGivesUpOneCommit", "TestParkOfAnUnknownEvent",
		"TestParkOfMoreThanAnEntryLists", "TestParkOneKeyOfACommit", "TestParkOfAnEventWithoutAKey",
		"TestParkOfAnEventWhoseKeyIsNoKey", "TestReleaseOfAllParkedKeys",
		"TestRewindOfASubscriptionThatIsStopped", "TestRewindUnderAnOwnerThatHandles", "TestRewindUnderAnOwnerThatIsGone", "TestRewindLeavesParkedKeysParked",
		"TestSubscriptionsThatAreBusyAreShown", "TestSubscriptionsTellLagInSecondsAndRate",
	)
}

func TestASubscriptionOfThreePartitionsOnAClusterLosesNothing(t *testing.T) {
	esjstest.OnPartitions(t, 3, "TestSubscribeOnAClusterLosesNothing")
}

// steadily appends to each of some keys, so many commits, with pauses.
func (r *rig) steadily(t *testing.T, keys, commits int) *sync.WaitGroup {
	var writers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for range commits {
				if _, err := r.store.Append(context.Background(), clock(fmt.Sprint("k", k)), esjs.Any(), ticked{}); err != nil {
					t.Error(err)
				}
				<-time.After(rand.N(10 * time.Millisecond))
			}
		})
	}
	return &writers
}

// wantAll wants each commit of each key once, in order.
func (h *handled) wantAll(t *testing.T, keys, commits int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range keys {
		if key := fmt.Sprint("k", k); !gapless(h.all[key], commits) {
			t.Errorf("%s: %v", key, h.all[key])
		}
	}
}

// Who comes later gets half of the partitions, and each commit is handled once, in the order
// of its aggregate, while they go from one to the other.
func TestTwoInstancesShareASubscription(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(4)))
	const keys, commits = 16, 100
	all := newHandled(t, keys*commits)
	var mine [2]atomic.Int64
	var caughtUp [2]chan struct{}
	instance := func(i int) *running {
		cfg := r.cfg
		cfg.Owner = fmt.Sprint("instance-", i)
		caughtUp[i] = make(chan struct{})
		cfg.OnCaughtUp = func() { close(caughtUp[i]) }
		return r.instanceOn(t, r.Dial()).start(t, cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			all.add(e)
			mine[i].Add(1)
			return nil
		})
	}
	writers := r.steadily(t, keys, commits)
	first := instance(0)
	eventually(t, "the first one does not handle", func() bool { return mine[0].Load() > 0 })
	second := instance(1)
	eventually(t, "the second one does not get its share", func() bool {
		n := r.partitionsOf(t)
		return n["instance-0"] == 2 && n["instance-1"] == 2
	})
	for i, done := range caughtUp {
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatalf("instance %d is not told that all have caught up", i)
		}
	}
	if owner := r.owner(t); owner != "instance-0, instance-1" {
		t.Errorf("the owners are %q", owner)
	}
	first.stopped(t)
	eventually(t, "the second one does not take over", func() bool { return r.partitionsOf(t)["instance-1"] == 4 })
	writers.Wait()
	all.wait()
	second.stopped(t)
	all.wantAll(t, keys, commits)
	if mine[0].Load() == 0 || mine[1].Load() == 0 {
		t.Errorf("they handled %d and %d", mine[0].Load(), mine[1].Load())
	}
}

// partitionsOf counts the leases of each owner.
func (r *rig) partitionsOf(t *testing.T) map[string]int {
	t.Helper()
	js := jetStream(t, r.store.Conn())
	kv, err := js.KeyValue(within(t), subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for p := range 4 {
		entry, err := kv.Get(within(t), "sub."+escaped(t, fmt.Sprintf("test@%dof4", p)))
		if err != nil {
			continue // nobody has handled it yet
		}
		for _, owner := range []string{"instance-0", "instance-1"} {
			if strings.Contains(string(entry.Value()), `"owner":"`+owner+`"`) {
				n[owner]++
			}
		}
	}
	return n
}

func escaped(t *testing.T, key string) string {
	t.Helper()
	token, err := esjs.EscapeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// An instance that is gone without a word is taken over in every partition; what it has
// not stored is handled again, from there on and in order.
func TestAllPartitionsAreTakenOverAfterACrash(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(4)))
	r.cfg.Lease = 2 * time.Second
	const keys, commits = 12, 60
	network := newLink()
	one := newHandled(t, keys*commits)
	first := r.instance(t, network).start(t, r.cfg, one.handle)
	writers := r.steadily(t, keys, commits)
	eventually(t, "the first one does not handle", func() bool { one.mu.Lock(); defer one.mu.Unlock(); return one.n > keys })
	network.set(true, false)
	two := newHandled(t, -1)
	second := r.start(t, r.cfg, two.handle)
	writers.Wait()
	last := func(key string) bool {
		two.mu.Lock()
		defer two.mu.Unlock()
		versions := two.all[key]
		return len(versions) > 0 && versions[len(versions)-1] == commits
	}
	for k := range keys {
		eventually(t, "the second one does not handle to the end", func() bool { return last(fmt.Sprint("k", k)) })
	}
	network.set(false, true)
	first.stop()
	second.stopped(t)
	one.mu.Lock()
	defer one.mu.Unlock()
	for k := range keys {
		key := fmt.Sprint("k", k)
		versions := two.all[key]
		if n := len(one.all[key]); versions[0] > uint64(n)+1 || !gapless(one.all[key], n) {
			t.Errorf("%s: %d were handled, and then from %d on", key, n, versions[0])
		}
		for i := 1; i < len(versions); i++ {
			if versions[i] != versions[i-1]+1 {
				t.Errorf("%s: %v", key, versions)
			}
		}
	}
}

// Consumers that are deleted under a subscription are made again, and nothing is left out
// or comes twice.
func TestASubscriptionOutlivesItsConsumers(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(3)))
	const keys, commits = 9, 60
	got := newHandled(t, keys*commits)
	run := r.start(t, r.cfg, got.handle)
	writers := r.steadily(t, keys, commits)
	js := jetStream(t, r.Connect(t))
	for p := range 3 {
		stream, _ := r.Config().StreamOf(p)
		var names []string
		eventually(t, "there is no consumer", func() bool { names = consumers(t, js, stream); return len(names) > 0 })
		for _, name := range names {
			if err := js.DeleteConsumer(within(t), stream, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	writers.Wait()
	got.wait()
	run.stopped(t)
	got.wantAll(t, keys, commits)
}

// What bounds a subscription bounds all its partitions together.
func TestWorkersAreThoseOfAllPartitions(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(3)))
	const keys, commits = 9, 10
	for range commits {
		for k := range keys {
			r.tick(t, fmt.Sprint("k", k))
		}
	}
	for _, workers := range []int{1, 2} {
		for _, bucket := range []string{"", subscriptions} {
			cfg := r.cfg
			cfg.Name, cfg.Bucket, cfg.EveryInstance, cfg.Workers = fmt.Sprint("w", workers), bucket, bucket == "", workers
			got := newHandled(t, keys*commits)
			var now, most atomic.Int64
			run := r.start(t, cfg, func(ctx context.Context, e esjs.Recorded[esjs.Event]) error {
				most.Store(max(most.Load(), now.Add(1)))
				<-time.After(time.Millisecond)
				now.Add(-1)
				return got.handle(ctx, e)
			})
			got.wait()
			run.stopped(t)
			got.wantAll(t, keys, commits)
			if n := most.Load(); n > int64(workers) {
				t.Errorf("%d calls at a time, of %d", n, workers)
			}
		}
	}
}

// From is a place in every partition, and a partition that it does not name is read from its beginning.
func TestFromIsAPlaceInEveryPartition(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(3)))
	keys := []string{"", "", ""} // one of each partition
	for i := 0; slices.Contains(keys, ""); i++ {
		keys[esjs.Partition(fmt.Sprint("k", i), 3)] = fmt.Sprint("k", i)
	}
	for range 3 {
		for _, key := range keys {
			r.tick(t, key)
		}
	}
	last, err := r.store.Last(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		r.tick(t, key)
	}
	cfg := r.cfg
	cfg.Bucket, cfg.EveryInstance, cfg.From = "", true, last
	got := newHandled(t, 3)
	run := r.start(t, cfg, got.handle)
	got.wait()
	run.stopped(t)
	cfg.From, err = esjs.ParsePosition("0-2,2-1")
	if err != nil {
		t.Fatal(err)
	}
	more := newHandled(t, 2+4+3)
	run = r.start(t, cfg, more.handle)
	more.wait()
	run.stopped(t)
	for p, want := range []string{"3 4", "1 2 3 4", "2 3 4"} {
		if now, later := got.versions(keys[p]), more.versions(keys[p]); now != "4" || later != want {
			t.Errorf("partition %d: %s, and %s, want 4 and %s", p, now, later, want)
		}
	}
	if cfg.From, err = esjs.ParsePosition("3-1"); err != nil {
		t.Fatal(err)
	}
	if err := esjs.Subscribe(within(t), r.store, cfg, more.handle); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("from a partition that is not there: %v", err)
	}
}

// What keeps one partition from going on ends the subscription in all.
func TestOneErrorEndsAllPartitions(t *testing.T) {
	r := newRig(t, esjstest.Server(t, esjstest.Partitions(3)))
	cfg := r.cfg
	cfg.Bucket, cfg.EveryInstance = "", true
	run := r.start(t, cfg, newHandled(t, 0).handle)
	r.tick(t, "a", unheard{})
	err := run.end(t)
	var undecodable *esjs.DecodeError
	want := fmt.Sprintf("subscription test@%dof3: ", esjs.Partition("a", 3))
	if !errors.As(err, &undecodable) || strings.Count(err.Error(), want) != 1 {
		t.Errorf("got %v", err)
	}
	cfg.Name = "test@1of3"
	if err := esjs.Subscribe(within(t), r.store, cfg, newHandled(t, 0).handle); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("the name of a partition: %v", err)
	}
}
