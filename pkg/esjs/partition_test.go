package esjs_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// These numbers never change: a store of n partitions finds its aggregates by them.
func TestAKeyStaysInItsPartition(t *testing.T) {
	for key, want := range map[string][4]int{ // of 2, 3, 4 and 64
		"a":                                    {0, 1, 0, 44},
		"o-1":                                  {0, 1, 0, 40},
		"o-2":                                  {1, 1, 1, 33},
		"ü":                                    {0, 0, 2, 14},
		"a.b c":                                {0, 0, 2, 26},
		"01928f4e-7a2c-7cc1-9d53-6a1f0b8e4d20": {1, 0, 1, 17},
	} {
		for i, n := range []int{2, 3, 4, 64} {
			if got := esjs.Partition(key, n); got != want[i] {
				t.Errorf("of %d partitions %q is in %d, want %d", n, key, got, want[i])
			}
		}
		if esjs.Partition(key, 1) != 0 || esjs.Partition(key, 0) != 0 {
			t.Errorf("%q is not in the only partition", key)
		}
	}
}

func TestKeysSpreadOverPartitions(t *testing.T) {
	for name, key := range map[string]func(int) string{
		"numbers": func(i int) string { return fmt.Sprint(i) },
		"orders":  func(i int) string { return fmt.Sprintf("order-%06d", i) },
	} {
		for _, n := range []int{2, 3, 4, 8, 64} {
			const keys = 64_000
			counts := make([]int, n)
			for i := range keys {
				counts[esjs.Partition(key(i), n)]++
			}
			if least, most := slices.Min(counts), slices.Max(counts); least < keys/n*8/10 || most > keys/n*12/10 {
				t.Errorf("%s over %d partitions: %d to %d keys in each", name, n, least, most)
			}
		}
	}
}

// What is of another number of partitions is never written to, and the refusal says what is there.
func TestTheNumberOfPartitionsIsFixed(t *testing.T) {
	ctx, d := testContext(t), esjstest.Server(t)
	four := esjs.Config{Partitions: 4, MaxBytes: 16 << 20}
	if err := esjs.Provision(ctx, d.Dial(), four); err != nil {
		t.Fatal(err)
	}
	store, err := esjs.Open(ctx, d.Dial(), four)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, n := range []int{1, 3, 5} {
		other := four
		other.Partitions = n
		for name, err := range map[string]error{
			"provision": esjs.Provision(ctx, d.Dial(), other),
			"open":      openError(t, d.Dial(), other),
		} {
			if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "Partitions: 4") {
				t.Errorf("%s with %d partitions: %v", name, n, err)
			}
		}
	}
	for _, n := range []int{-1, 65} {
		other := four
		other.Partitions = n
		if err := esjs.Provision(ctx, d.Dial(), other); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("provision with %d partitions: %v", n, err)
		}
	}
	if err := store.Check(ctx); err != nil {
		t.Errorf("check: %v", err)
	}
}

func openError(t *testing.T, dial esjs.Dial, cfg esjs.Config) error {
	store, err := esjs.Open(testContext(t), dial, cfg)
	if err == nil {
		store.Close()
	}
	return err
}

// Aggregates of one key are in one partition, and can be written together; others are
// refused before anything is written.
func TestWhatChangesTogetherHasOneKey(t *testing.T) {
	store := partitioned(t, 3)
	ctx := testContext(t)
	order, payment := esjs.StreamID{Category: "order", Key: "o-1"}, esjs.StreamID{Category: "payment", Key: "o-1"}
	saga := esjs.StreamID{Category: "saga", Key: "o-1"}
	elsewhere := esjs.StreamID{Category: "order", Key: "o-1"}
	for i := 2; esjs.Partition(elsewhere.Key, 3) == esjs.Partition(order.Key, 3); i++ {
		elsewhere.Key = fmt.Sprintf("o-%d", i)
	}
	event := []esjs.Event{closed{}}
	for _, writes := range [][]esjs.Write{
		{{Stream: order, Events: event}, {Stream: elsewhere, Events: event}},
		{{Stream: order, Events: event}, esjs.Unchanged(elsewhere, esjs.Revision{})},
	} {
		_, err := store.AppendAll(ctx, writes...)
		if !errors.Is(err, esjs.ErrInvalid) || !strings.Contains(err.Error(), elsewhere.String()) || !strings.Contains(err.Error(), "one key") {
			t.Errorf("over two partitions: %v", err)
		}
	}
	if last, err := store.Last(ctx); err != nil || !last.IsZero() {
		t.Fatalf("something was written: %v, %v", last, err)
	}
	out, err := store.AppendAll(ctx, esjs.Write{Stream: order, Events: event}, esjs.Write{Stream: payment, Events: event}, esjs.Unchanged(saga, esjs.Revision{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out[:2] {
		if p := o.Revision.Position(); p.Partition() != esjs.Partition("o-1", 3) {
			t.Errorf("stored at %v", p)
		}
	}
	report, err := esjs.Verify[esjs.Event](ctx, store, nil, esjs.VerifyConfig{})
	if err != nil || !report.Sound() || report.Commits != 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

// partitioned opens a new store of n partitions.
func partitioned(t *testing.T, n int) *esjs.Store {
	t.Helper()
	rig := esjstest.Server(t).PartitionsRig(n)(t)
	store, err := esjs.Open(testContext(t), rig.Dial, rig.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func TestPositionsOfSeveralPartitions(t *testing.T) {
	parse := func(text string) esjs.Position {
		p, err := esjs.ParsePosition(text)
		if err != nil || p.String() != text {
			t.Fatalf("%q is read as %v, %v", text, p, err)
		}
		return p
	}
	a, b, both := parse("0-9"), parse("2-5"), parse("0-9,2-5")
	if a.Later(b) != both || b.Later(a) != both || both.Later(parse("0-8")) != both || parse("0-3,2-5").Later(a) != both {
		t.Error("Later does not join")
	}
	if a.Before(b) || b.Before(a) || a.Covers(b) || !a.Before(both) || !b.Before(both) || both.Before(a) || both.Before(both) {
		t.Error("what is before what is wrong")
	}
	if !both.Covers(parse("2-5")) || both.Covers(parse("2-6")) || both.Covers(parse("1-1")) || !both.Covers(esjs.Position{}) || (esjs.Position{}).Covers(a) {
		t.Error("what covers what is wrong")
	}
	if both.Sequence() != 14 || (esjs.Position{}).Later(esjs.Position{}) != (esjs.Position{}) || (esjs.Position{}).Later(b) != b {
		t.Error("sums or zeros are wrong")
	}
	for _, text := range []string{"", "2-0", "0-9,", "2-5,0-9", "0-9,0-9", "0-9,1-0", "0-0,1-1", "0-09"} {
		if p, err := esjs.ParsePosition(text); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"3-1871", "3-2-1871"} {
		if r, err := esjs.ParseRevision(text); err != nil || r.String() != text {
			t.Errorf("%q is read as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"3-0-1871", "3-2-", "3-2-0", "0-2-0", "3-2-1-1"} {
		if r, err := esjs.ParseRevision(text); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%q is read as %v, %v", text, r, err)
		}
	}
}

// Each server leads its share of the partitions after Provision. Servers may elect again at any time,
// so that more than one store may be needed to see it.
func TestPartitionsAreLedByDifferentServers(t *testing.T) {
	d := esjstest.Cluster(t)
	js := jetStream(t, d.Connect(t))
	var leaders []string
	for attempt := range 3 {
		cfg := esjs.Config{Stream: fmt.Sprint("SPREAD", attempt), Prefix: fmt.Sprint("spread", attempt), Partitions: 3, Replicas: 3, MaxBytes: 1 << 20}
		if err := esjs.Provision(within(t), d.Dial(), cfg); err != nil {
			t.Fatal(err)
		}
		leaders = nil
		for partition := range 3 {
			name, _ := cfg.StreamOf(partition)
			stream, err := js.Stream(within(t), name)
			if err != nil {
				t.Fatal(err)
			}
			leaders = append(leaders, stream.CachedInfo().Cluster.Leader)
		}
		slices.Sort(leaders)
		if len(slices.Compact(slices.Clone(leaders))) == 3 {
			return
		}
	}
	t.Errorf("three partitions are led by %v, three times", leaders)
}
