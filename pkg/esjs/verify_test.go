package esjs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// verified is what Verify finds with the account's codec.
func verified(t *testing.T, store *esjs.Store, cfg esjs.VerifyConfig) esjs.VerifyReport {
	t.Helper()
	report, err := esjs.Verify(testContext(t), store, accountAggregate(t).Codec, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func deposits(t *testing.T, store *esjs.Store, key string, n int) {
	t.Helper()
	for i := range n {
		if _, err := store.Append(testContext(t), account(key), esjs.Any(), deposited{Amount: i, Note: fmt.Sprintf("note %s %d", key, i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyFindsNothingInASoundLog(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		if r := verified(t, store, esjs.VerifyConfig{}); !r.Sound() || r.Commits != 0 || r.Aggregates != 0 {
			t.Errorf("an empty store: %+v", r)
		}
		deposits(t, store, "many", 130) // more than one window of pointers, and more than one page
		deposits(t, store, "few", 2)
		read, err := store.AppendAll(testContext(t),
			esjs.Write{Stream: account("new"), Events: []esjs.Event{deposited{Amount: 1}, closed{}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.AppendAll(testContext(t), // stores a guard, which the codec does not know
			esjs.Write{Stream: account("other"), Events: []esjs.Event{deposited{Amount: 1}}},
			esjs.Unchanged(account("new"), read[0].Revision)); err != nil {
			t.Fatal(err)
		}
		r := verified(t, store, esjs.VerifyConfig{})
		if !r.Sound() || r.Commits != 135 || r.Events != 136 || r.Aggregates != 5 || r.Until.Sequence() != 135 {
			t.Errorf("%+v", r)
		}
		if len(r.Categories) != 2 || r.Categories[0].Category != "account" || r.Categories[0].Aggregates != 4 ||
			r.Categories[0].Bytes == 0 || r.Stored <= r.Categories[0].Bytes {
			t.Errorf("%+v", r.Categories)
		}
		if leader := d.Servers()[d.Leader(t, "EVENTS")].Name(); r.Leader != leader {
			t.Errorf("%q was read, the leader is %q", r.Leader, leader)
		}
		part := verified(t, store, esjs.VerifyConfig{Until: read[0].Revision.Position()})
		if !part.Sound() || part.Commits != 133 || part.Digest == r.Digest {
			t.Errorf("up to %s: %+v", part.Until, part)
		}
		if again := verified(t, store, esjs.VerifyConfig{}); again.Digest != r.Digest {
			t.Error("the digest is another one when nothing was stored")
		}
	})
}

func TestVerifyFindsWhatIsNotAsItWasWritten(t *testing.T) {
	d := esjstest.Server(t)
	store, js := d.Store(t), jetStream(t, d.Connect(t))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	publish := func(key string, body []byte) {
		t.Helper()
		if _, err := js.Publish(testContext(t), "ev.account."+key, body); err != nil {
			t.Fatal(err)
		}
	}
	event := func(key, id string, version uint64, at time.Time) wire.Event {
		return wire.Event{ID: id, Type: "Deposited", Source: "/account", Subject: key, Time: at, Sequence: version, Data: []byte(`{"amount":1}`)}
	}
	commit := func(window []uint64, events ...wire.Event) []byte {
		t.Helper()
		body, err := wire.AppendCommit(nil, window, events)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	unknown := event("type", "id-type", 1, at)
	unknown.Type = "Unheard"
	publish("a", commit(nil, event("a", "id-1", 1, at)))                                           // 1: sound
	publish("a", commit([]uint64{1}, event("a", "id-2", 3, at)))                                   // 2: version 2 is not there
	publish("a", commit([]uint64{1}, event("a", "id-3", 4, at)))                                   // 3: leaves 2 out
	publish("b", commit(nil, event("b", "id-1", 1, at)))                                           // 4: the id of 1
	publish("b", commit([]uint64{4}, event("b", "id-5", 2, at.Add(-time.Second))))                 // 5: older
	publish("c", []byte(`[]`))                                                                     // 6: no commit
	publish("d", commit(nil, event("e", "id-7", 1, at)))                                           // 7: another's
	publish("type", commit(nil, unknown))                                                          // 8: no such type
	publish("two", commit(nil, event("two", "id-9", 1, at), event("two", "id-10", 2, at.Add(-1)))) // 9: older inside
	publish("a", commit([]uint64{3, 1}, event("a", "id-11", 5, at), event("a", "id-12", 6, at)))   // 10: follows 3
	publish("a", commit([]uint64{10, 3}, event("a", "id-13", 7, at)))                              // 11: leaves 1 out
	publish("first", commit([]uint64{11}, event("first", "id-14", 2, at)))                         // 12: its first version is 2
	deposits(t, store, "sound", 2)                                                                 // 13, 14

	r := verified(t, store, esjs.VerifyConfig{})
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s %d %d", f.Kind, f.Stream, f.Version, f.Position.Sequence()))
		if f.Reason == "" || !strings.Contains(f.String(), f.Reason) || !strings.HasPrefix(f.String(), string(f.Kind)) {
			t.Errorf("%+v is told as %q", f, f)
		}
	}
	want := []string{
		"gap account/a 3 2",
		"pointers account/a 4 3",
		"duplicate account/b 1 4",
		"time account/b 2 5",
		"unreadable account/c 0 6",
		"unreadable account/d 0 7",
		"decode account/type 1 8",
		"time account/two 2 9",
		"pointers account/a 7 11",
		"gap account/first 2 12",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Sound() || r.Found != len(want) || r.Commits != 12 {
		t.Errorf("%+v", r)
	}
	bare, err := esjs.Verify[esjs.Event](testContext(t), store, nil, esjs.VerifyConfig{})
	if err != nil || bare.Found != len(want)-1 {
		t.Errorf("without a codec: %d findings, %v", bare.Found, err)
	}
}

// flip changes one bit of a text in the files of a server's event stream.
func flip(t *testing.T, storeDir, text string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(storeDir, "*", "streams", "EVENTS", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%s has no blocks: %v", storeDir, err)
	}
	for _, name := range blocks {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(content, []byte(text)); i >= 0 {
			content[i] ^= 1
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in none of %v", text, blocks)
}

func TestVerifyFindsAFlippedBit(t *testing.T) {
	d := esjstest.Server(t)
	store := d.Store(t)
	deposits(t, store, "a", 3)
	deposits(t, store, "b", 3)
	dir := d.Servers()[0].JetStreamConfig().StoreDir
	d.Stop(0)
	flip(t, dir, "note a 1")
	d.Start(t, 0)
	r := verified(t, store, esjs.VerifyConfig{})
	if len(r.Findings) < 2 || r.Findings[0].Kind != esjs.FindingMissing || r.Findings[0].Position.Sequence() != 2 ||
		r.Findings[1].Kind != esjs.FindingGap || r.Findings[1].Stream != "account/a" || r.Findings[1].Version != 3 {
		t.Errorf("%+v", r)
	}
}

func TestVerifyReplicasNamesTheDamagedOne(t *testing.T) {
	d := esjstest.Cluster(t)
	store := d.Store(t)
	deposits(t, store, "a", 3)
	deposits(t, store, "b", 3)
	before := d.Leader(t, "EVENTS")
	reports, err := esjs.VerifyReplicas(testContext(t), store, accountAggregate(t).Codec, esjs.VerifyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	leaders := map[string]bool{}
	for _, r := range reports {
		leaders[r.Leader] = true
		if !r.Sound() || r.Commits != 6 {
			t.Errorf("%s: %+v", r.Leader, r)
		}
	}
	if len(leaders) != 3 || reports[0].Leader != d.Servers()[before].Name() || d.Leader(t, "EVENTS") != before {
		t.Errorf("%v were read; the leader was %s and is %s", leaders, d.Servers()[before].Name(), d.Servers()[d.Leader(t, "EVENTS")].Name())
	}

	damaged := (before + 1) % 3
	server := d.Servers()[damaged]
	dir := server.JetStreamConfig().StoreDir
	d.Stop(damaged)
	flip(t, dir, "note a 1")
	d.Start(t, damaged)
	reports, err = esjs.VerifyReplicas(testContext(t), store, accountAggregate(t).Codec, esjs.VerifyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		found := slices.ContainsFunc(r.Findings, func(f esjs.Finding) bool { return f.Kind == esjs.FindingReplica })
		if (r.Leader == server.Name()) != found || found == r.Sound() {
			t.Errorf("%s of the damaged %s: %+v", r.Leader, server.Name(), r.Findings)
		}
	}
}

func TestVerifyReplicasOfEachPartition(t *testing.T) {
	d := esjstest.Cluster(t)
	cfg := d.Config()
	cfg.Partitions = 2
	store := d.StoreWith(t, cfg)
	for _, key := range []string{"a", "b", "c", "d"} {
		deposits(t, store, key, 3)
	}
	last, err := store.Last(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, until := range []esjs.Position{{}, last, last.In(1)} {
		reports, err := esjs.VerifyReplicas(testContext(t), store, accountAggregate(t).Codec, esjs.VerifyConfig{Until: until})
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[esjs.Position]map[string]bool{}
		for _, r := range reports {
			if leaders[r.Until] == nil {
				leaders[r.Until] = map[string]bool{}
			}
			leaders[r.Until][r.Leader] = true
			if !r.Sound() || r.Commits != int(r.Until.Sequence()) {
				t.Errorf("%s: %+v", r.Leader, r)
			}
		}
		partitions := 2
		if until == last.In(1) {
			partitions = 1
		}
		if len(reports) != 3*partitions || len(leaders) != partitions || len(leaders[last.In(1)]) != 3 {
			t.Errorf("up to %s these were read: %v", until, leaders)
		}
	}
}

func TestVerifyOpensPersonalValues(t *testing.T) {
	ctx, d := testContext(t), esjstest.Server(t)
	if err := esjs.ProvisionBucket(ctx, d.Dial(), snapshotBucket, 1); err != nil {
		t.Fatal(err)
	}
	store := keyedStore(t, d, master(1))
	policy := esjs.SnapshotPolicy[club]{Bucket: snapshotBucket, Every: 1}
	h := clubHandler(t, store, esjs.HandlerConfig[club]{Snapshots: &policy})
	if _, err := h.Handle(ctx, "club", ada("m-1")); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(store *esjs.Store, apply func(club, esjs.Event) club) esjs.VerifyReport {
		t.Helper()
		agg := esjs.Aggregate[club, esjs.Event, esjs.Event]{Category: "member", Codec: joinedCodec(t), Apply: apply}
		r, err := esjs.Verify(ctx, store, agg.Codec, esjs.VerifyConfig{Snapshots: []esjs.SnapshotCheck{esjs.CheckSnapshots(agg, policy)}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(store, applyClub); !r.Sound() || r.Snapshots != 1 {
		t.Errorf("%+v", r)
	}
	other := check(store, func(c club, e esjs.Event) club { c = applyClub(c, e); c.Events++; return c })
	if other.Found != 1 || strings.Contains(other.Findings[0].Reason, "Ada") {
		t.Errorf("another Apply: %+v", other)
	}
	if r, err := esjs.Verify(ctx, d.Store(t), joinedCodec(t), esjs.VerifyConfig{}); err != nil || r.Found != 1 || r.Findings[0].Kind != esjs.FindingDecode {
		t.Errorf("without keys: %+v, %v", r, err)
	}
	if err := store.ErasePerson(ctx, "m-1"); err != nil {
		t.Fatal(err)
	}
	if r := check(store, applyClub); !r.Sound() || r.Snapshots != 0 || r.Unused != 1 {
		t.Errorf("after the erasure: %+v", r)
	}
}
