package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// scroll grows by what is written on it.
type scroll struct {
	Text string `json:"text"`
}

type written struct {
	Text string `json:"text"`
}

func (written) EventType() string { return "Written" }

type scrolls = esjs.CommandHandler[scroll, string, esjs.Event]

// snapshotsTold is an observer that keeps what became of snapshots.
type snapshotsTold struct {
	esjs.NopObserver
	told chan esjs.SnapshotInfo
}

func (s snapshotsTold) SnapshotStored(info esjs.SnapshotInfo) { s.told <- info }

// next returns what became of the next snapshot.
func (s snapshotsTold) next(t *testing.T) esjs.SnapshotInfo {
	t.Helper()
	select {
	case info := <-s.told:
		return info
	case <-testContext(t).Done():
		t.Fatal("no snapshot was told")
		return esjs.SnapshotInfo{}
	}
}

// scrollHandler stores a snapshot after every commit, unless the policy says otherwise.
func scrollHandler(t *testing.T, dial esjs.Dial, cfg esjs.Config, policy esjs.SnapshotPolicy[scroll]) (*scrolls, snapshotsTold) {
	t.Helper()
	seen := snapshotsTold{told: make(chan esjs.SnapshotInfo, 1000)}
	cfg.Observer = seen
	store, err := esjs.Open(testContext(t), dial, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, written]())
	if err != nil {
		t.Fatal(err)
	}
	if policy.Every == 0 {
		policy.Every = 1
	}
	policy.Bucket = snapshotBucket
	h, err := esjs.NewCommandHandler(testContext(t), store, esjs.Aggregate[scroll, string, esjs.Event]{
		Category: "account", Codec: codec,
		Apply:  func(s scroll, e esjs.Event) scroll { return scroll{s.Text + e.(written).Text} },
		Decide: func(_ scroll, text string) ([]esjs.Event, error) { return []esjs.Event{written{text}}, nil },
	}, esjs.HandlerConfig[scroll]{Snapshots: &policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	return h, seen
}

func inscribe(t *testing.T, h *scrolls, key, text string) {
	t.Helper()
	if _, err := h.Handle(testContext(t), key, text); err != nil {
		t.Fatal(err)
	}
}

// provisioned is a server with a store and a bucket for snapshots.
func provisioned(t *testing.T, opts ...esjs.BucketOption) *esjstest.Deployment {
	t.Helper()
	d := esjstest.Server(t)
	d.Store(t)
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), snapshotBucket, 1, opts...); err != nil {
		t.Fatal(err)
	}
	return d
}

// writeTime is for how long a snapshot is tried to be stored.
const writeTime = 5 * time.Second

// Snapshots are stored one after the other: one that never can be must not keep the others waiting.
func TestAStateThatIsTooLargeHoldsUpNoOtherSnapshot(t *testing.T) {
	t.Parallel()
	d := provisioned(t)
	h, seen := scrollHandler(t, d.Dial(), d.Config(), esjs.SnapshotPolicy[scroll]{})
	const half = 600 << 10 // of two the state is larger than a message may be
	inscribe(t, h, "large", strings.Repeat("x", half))
	if info := seen.next(t); info.Stream.Key != "large" || info.Err != nil || info.Took <= 0 {
		t.Fatalf("told of half of it was %+v", info)
	}
	inscribe(t, h, "large", strings.Repeat("x", half))
	inscribe(t, h, "small", "y")
	if info := seen.next(t); info.Stream.Key != "large" || !errors.Is(info.Err, esjs.ErrTooLarge) || info.Took >= writeTime {
		t.Errorf("told of the large one was %+v", info)
	}
	if info := seen.next(t); info.Stream.Key != "small" || info.Err != nil {
		t.Errorf("told of the small one was %+v", info)
	}
	if e := snapshot(t, d, "small"); !strings.Contains(string(e.Value()), `"text":"y"`) {
		t.Errorf("stored is %s", e.Value())
	}
}

func TestSnapshotsThatMayNotBeStoredAreRefused(t *testing.T) {
	t.Parallel()
	url := startGuarded(t, limited("$JS.API.STREAM.INFO.KV_"+snapshotBucket, "$JS.API.DIRECT.GET.KV_"+snapshotBucket, "$JS.API.DIRECT.GET.KV_"+snapshotBucket+".>")).url
	admin, cfg := esjs.DialURL(url("admin")), esjs.Config{MaxBytes: 1 << 20}
	if err := errors.Join(esjs.Provision(testContext(t), admin, cfg), esjs.ProvisionBucket(testContext(t), admin, snapshotBucket, 1)); err != nil {
		t.Fatal(err)
	}
	h, seen := scrollHandler(t, esjs.DialURL(url("limited")), cfg, esjs.SnapshotPolicy[scroll]{})
	inscribe(t, h, "a", "x")
	if info := seen.next(t); info.Stream != account("a") || !errors.Is(info.Err, esjs.ErrRefused) || info.Took >= writeTime {
		t.Errorf("told was %+v", info)
	}
}

// Aggregates for which a full bucket has no room have no snapshot, until it is made larger.
func TestAFullBucketOfSnapshotsIsToldAndEnlarged(t *testing.T) {
	t.Parallel()
	d := provisioned(t, esjs.MaxBytes(8<<10))
	h, seen := scrollHandler(t, d.Dial(), d.Config(), esjs.SnapshotPolicy[scroll]{})
	page := strings.Repeat("x", 3<<10)
	for i := range 4 {
		inscribe(t, h, fmt.Sprint("k-", i), page)
		if info := seen.next(t); (info.Err != nil) != (i >= 2) || i >= 2 && (!errors.Is(info.Err, esjs.ErrStoreFull) || info.Took >= writeTime) {
			t.Fatalf("of 3 kB in a bucket of 8 kB number %d is %+v", i+1, info)
		}
	}
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), snapshotBucket, 1, esjs.MaxBytes(64<<10)); err != nil {
		t.Fatal(err)
	}
	inscribe(t, h, "k-3", "y")
	if info := seen.next(t); info.Err != nil {
		t.Errorf("in the larger bucket: %v", info.Err)
	}
}

// Who only reads stores nothing, however often aggregates leave its cache, and also those that have ended. Who
// writes stores an aggregate that leaves, when that saves a later load more than it costs.
func TestSnapshotsOfAggregatesThatLeaveTheCache(t *testing.T) {
	t.Parallel()
	d := provisioned(t)
	policy := esjs.SnapshotPolicy[scroll]{Every: 10, Terminal: func(s scroll) bool { return strings.HasSuffix(s.Text, ".") }}
	writer, wrote := scrollHandler(t, d.Dial(), d.Config(), policy)
	reader, read := scrollHandler(t, d.Dial(), d.Config(), policy)
	for key, commits := range map[string]int{"one": 1, "three": 3, "four": 4, "nine": 9} {
		for range commits {
			inscribe(t, writer, key, "x")
		}
		for _, h := range []*scrolls{reader, writer} {
			if _, err := h.Load(testContext(t), key); err != nil {
				t.Fatal(err)
			}
			h.Forget(key)
		}
	}
	inscribe(t, writer, "ended", "x")
	inscribe(t, writer, "ended", ".")
	if _, err := reader.Load(testContext(t), "ended"); err != nil {
		t.Fatal(err)
	}
	for range 10 { // a reader who has to read so many does not want to read them again
		inscribe(t, writer, "long", "x")
	}
	if _, err := reader.Load(testContext(t), "long"); err != nil {
		t.Fatal(err)
	}
	stored := func(h *scrolls, of snapshotsTold) []string {
		if err := h.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
		close(of.told)
		var keys []string
		for info := range of.told {
			if info.Err != nil {
				t.Errorf("%s: %v", info.Stream, info.Err)
			}
			keys = append(keys, info.Stream.Key)
		}
		slices.Sort(keys)
		return keys
	}
	if keys, want := stored(writer, wrote), []string{"ended", "four", "long", "nine"}; !slices.Equal(keys, want) {
		t.Errorf("the writer stored %q, want %q", keys, want)
	}
	if keys, want := stored(reader, read), []string{"long"}; !slices.Equal(keys, want) {
		t.Errorf("the reader stored %q, want %q", keys, want)
	}
}
