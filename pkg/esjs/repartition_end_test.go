package esjs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

func TestAMoveCanBeTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		interleave(t, old)
		repartition(t, moving(d, 2))
		for range 2 {
			if err := esjs.Reopen(testContext(t), d.Dial(), d.Config()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := old.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
			t.Errorf("append: %v", err)
		}
		if err := errors.Join(old.Check(testContext(t)), esjs.Provision(testContext(t), d.Dial(), d.Config())); err != nil {
			t.Error(err)
		}
		// The new store may be in use: it is not filled any more.
		if _, err := esjs.Repartition(testContext(t), moving(d, 2)); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "no copy of EVENTS") {
			t.Errorf("a move into a store that was opened: %v", err)
		}
		if err := esjs.Reopen(testContext(t), d.Dial(), esjs.Config{Stream: "NONE"}); !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("reopen what is not there: %v", err)
		}
	})
}

func TestWhatCannotBeMovedIsRefused(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	old := d.Store(t)
	interleave(t, old)
	full := d.Config()
	full.Stream, full.Prefix, full.Partitions = "OTHER", "other", 2
	other := d.StoreWith(t, full)
	if _, err := other.Append(testContext(t), account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	second := d.Config()
	second.Stream, second.Prefix = "SECOND", "second"
	interleave(t, d.StoreWith(t, second))
	filling := moving(d, 2)
	filling.To.Stream, filling.To.Prefix, filling.CutOver = "FILLING", "filling", false
	repartition(t, filling)

	for name, c := range map[string]struct {
		change func(*esjs.RepartitionConfig)
		says   string
	}{
		"the same stream":          {func(c *esjs.RepartitionConfig) { c.To.Stream = "EVENTS" }, "streams of its own"},
		"the same stream, by dial": {func(c *esjs.RepartitionConfig) { c.To.Stream, c.ToDial = "EVENTS", c.Dial }, "Partitions: 1"},
		"from several":             {func(c *esjs.RepartitionConfig) { c.From = full }, "only one of 1 can be copied"},
		"from nothing":             {func(c *esjs.RepartitionConfig) { c.From.Stream = "NONE" }, "there is no stream NONE"},
		"into another store":       {func(c *esjs.RepartitionConfig) { c.To = full }, "holds 1 messages and is no copy"},
		"into another's copy":      {func(c *esjs.RepartitionConfig) { c.From, c.To = second, filling.To }, "filled with the store EVENTS"},
		"too little room":          {func(c *esjs.RepartitionConfig) { c.To.MaxBytes = 100 }, "bytes are stored"},
		"too many":                 {func(c *esjs.RepartitionConfig) { c.To.Partitions = 65 }, "1 to 64"},
		"another number":           {func(c *esjs.RepartitionConfig) { c.To = filling.To; c.To.Partitions = 3 }, "Partitions: 2"},
	} {
		cfg := moving(d, 2)
		c.change(&cfg)
		if _, err := esjs.Repartition(testContext(t), cfg); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := old.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
		t.Errorf("the store was ended: %v", err)
	}

	// Somebody wrote into the copy, behind its end and before.
	stream, prefix := filling.To.StreamOf(0)
	nc := d.Connect(t)
	if _, err := jetStream(t, nc).PublishMsg(testContext(t), &nats.Msg{Subject: prefix + ".account.zzz", Data: []byte("[]")}); err != nil {
		t.Fatal(err)
	}
	filling.CutOver = true
	if _, err := esjs.Repartition(testContext(t), filling); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), stream) || !strings.Contains(err.Error(), "did somebody write to it") {
		t.Errorf("a copy that somebody wrote to: %v", err)
	}
	if err := esjs.Reopen(testContext(t), d.Dial(), d.Config()); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // one of them is in the partition
		if _, err := old.Append(testContext(t), account(fmt.Sprint(i)), esjs.Any(), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
	}
	filling.CutOver = false
	if _, err := esjs.Repartition(testContext(t), filling); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "something else than the commit") {
		t.Errorf("a copy that somebody wrote into: %v", err)
	}
}

// While a replica is away nothing is ended: it might not hear of it, and lead when it comes back.
func TestAStoreIsNotEndedWithoutAllItsReplicas(t *testing.T) {
	t.Parallel()
	d := esjstest.Cluster(t)
	old := d.Store(t)
	interleave(t, old)
	cfg := moving(d, 2)
	cfg.CutOver = false
	repartition(t, cfg)
	away := (d.Leader(t, "EVENTS") + 1) % 3
	d.Stop(away)
	eventually(t, "the cluster notices that a server is away", func() bool {
		info, err := jetStream(t, old.Conn()).Stream(testContext(t), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range info.CachedInfo().Cluster.Replicas {
			if r.Offline {
				return true
			}
		}
		return false
	})
	cfg.CutOver = true
	if _, err := esjs.Repartition(testContext(t), cfg); !errors.Is(err, esjs.ErrUnavailable) || !strings.Contains(err.Error(), "is away") {
		t.Errorf("moved without a replica: %v", err)
	}
	if _, err := old.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
		t.Errorf("the store was ended: %v", err)
	}
	d.Start(t, away)
	repartition(t, cfg)
	wantMoved(t, old, reopened(t, d, cfg.To), 2)
}

// Why a store is ended by the size of its messages: what else ends a stream cannot be taken back, or leaves its writers without an answer.
func TestWhatElseEndsAStream(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		js := jetStream(t, store.Conn())
		stream, err := js.Stream(testContext(t), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		was := stream.CachedInfo().Config
		elsewhere := was
		elsewhere.Subjects = []string{"nowhere.>"}
		if _, err := js.UpdateStream(testContext(t), elsewhere); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Conn().Request("ev.account.a", []byte("[]"), time.Minute); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("a stream without the subject answers %v", err)
		}
		sealed := was
		sealed.Sealed = true
		if _, err := js.UpdateStream(testContext(t), sealed); err != nil {
			t.Fatal(err)
		}
		was.Sealed = false
		if _, err := js.UpdateStream(testContext(t), was); err == nil {
			t.Error("a sealed stream was opened again")
		}
	})
}
