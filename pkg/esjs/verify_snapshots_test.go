package esjs_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestVerifyComparesSnapshotsWithAFold(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		ctx, store := testContext(t), d.Store(t)
		const name = "SNAPSHOTS_verify"
		if err := esjs.ProvisionBucket(ctx, d.Dial(), name, d.Replicas()); err != nil {
			t.Fatal(err)
		}
		agg := accountAggregate(t)
		policy := esjs.SnapshotPolicy[balance]{Bucket: name, Every: 3}
		h, err := esjs.NewCommandHandler(ctx, store, agg, esjs.HandlerConfig[balance]{Snapshots: &policy})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			for _, key := range []string{"right", "wrong", "of version 9", "lost"} {
				if _, err := h.Handle(ctx, key, deposit(i+1), esjs.WithMetadata(esjs.Metadata{CommandID: fmt.Sprint(key, i), CommandHash: "h"})); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := h.Close(ctx); err != nil {
			t.Fatal(err)
		}
		cfg := esjs.VerifyConfig{Snapshots: []esjs.SnapshotCheck{esjs.CheckSnapshots(agg, policy)}}
		if r := verified(t, store, cfg); !r.Sound() || r.Snapshots != 4 || r.Unused != 0 {
			t.Errorf("%+v", r)
		}

		kv, err := jetStream(t, d.Connect(t)).KeyValue(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		change := func(key, as, old, new string) {
			t.Helper()
			entry, err := kv.Get(ctx, "account."+key)
			if err != nil {
				t.Fatal(err)
			}
			body := bytes.ReplaceAll(entry.Value(), []byte(old), []byte(new))
			if old != new && bytes.Equal(body, entry.Value()) {
				t.Fatalf("%s has no %s", body, old)
			}
			if _, err := kv.Put(ctx, "account."+as, body); err != nil {
				t.Fatal(err)
			}
		}
		change("wrong", "wrong", `"total":`, `"total":9`)
		change("of=20version=209", "of=20version=209", `"state_version":0`, `"state_version":9`)
		change("right", "nobody", "", "")
		change("lost", "lost", `"commands":`, `"lost":`)
		r := verified(t, store, cfg)
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprint(f.Kind, " ", f.Stream))
		}
		slices.Sort(got)
		if want := []string{"snapshot account/lost", "snapshot account/nobody", "snapshot account/wrong"}; !slices.Equal(got, want) || r.Snapshots != 1 || r.Unused != 1 {
			t.Errorf("%v, %+v", got, r)
		}

		// An Apply that gives another state than the one that wrote the snapshots.
		other := agg
		other.Apply = func(s balance, e esjs.Event) balance { s = agg.Apply(s, e); s.Total++; return s }
		if r := verified(t, store, esjs.VerifyConfig{Snapshots: []esjs.SnapshotCheck{esjs.CheckSnapshots(other, policy)}}); r.Found != 4 || r.Snapshots != 0 {
			t.Errorf("another Apply: %+v", r)
		}
		missing := esjs.VerifyConfig{Snapshots: []esjs.SnapshotCheck{esjs.CheckSnapshots(agg, esjs.SnapshotPolicy[balance]{Bucket: "SNAPSHOTS_none"})}}
		if _, err := esjs.Verify(ctx, store, agg.Codec, missing); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("a bucket that is not there: %v", err)
		}
	})
}
