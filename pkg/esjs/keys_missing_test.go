package esjs_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// What was moved or changed, and a key that is gone without a note, is an error
// that names the place, and never an erased value.
func TestWhatCannotBeOpenedIsNotErased(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	for _, m := range []string{"m-1", "m-2", "m-3"} {
		if _, err := store.Append(testContext(t), member(m), esjs.NoStream(), ada(m)); err != nil {
			t.Fatal(err)
		}
	}
	kv, err := jetStream(t, d.Connect(t)).KeyValue(testContext(t), keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	// The first member's commit is copied to other aggregates, with changes.
	body := rawCommit(t, d, "ev.member.m-1")
	publishRaw(t, d, "ev.member.moved", bytes.ReplaceAll(body, []byte(`"subject":"m-1"`), []byte(`"subject":"moved"`)))
	renamed := bytes.ReplaceAll(body, []byte(`"subject":"m-1"`), []byte(`"subject":"swapped"`))
	publishRaw(t, d, "ev.member.swapped", bytes.ReplaceAll(renamed, []byte(`"esjsperson":"m-1"`), []byte(`"esjsperson":"m-2"`)))
	unsealed := bytes.ReplaceAll(body, []byte(`"subject":"m-1"`), []byte(`"subject":"odd"`))
	publishRaw(t, d, "ev.member.odd", bytes.ReplaceAll(unsealed, []byte(`{"$sealed":"`), []byte(`{"$sealed":"_`)))
	// Keys go wrong in the bucket.
	if err := kv.Purge(testContext(t), "person.m-2"); err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(testContext(t), "person.m-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(testContext(t), "person.m-3", entry.Value()); err != nil {
		t.Fatal(err)
	}
	fresh := keyedStore(t, d, master(1))
	h := clubHandler(t, fresh, esjs.HandlerConfig[club]{})
	for key, want := range map[string]error{
		"moved": esjs.ErrBrokenSeal, "swapped": esjs.ErrNoKey, "odd": nil, // of a form that is not known
		"m-2": esjs.ErrNoKey, "m-3": esjs.ErrBrokenSeal,
	} {
		l, err := h.Load(testContext(t), key)
		var place *esjs.DecodeError
		if want != nil && !errors.Is(err, want) || !errors.As(err, &place) || place.Stream != member(key) || place.Version != 1 || place.Unknown {
			t.Errorf("%s: %+v, %v, want a DecodeError with %v", key, l.State, err, want)
		}
	}
	if c := loaded(t, h, "m-1"); c.Names["m-1"] != "Ada" {
		t.Errorf("m-1: %+v", c)
	}
	// A key that others have removed is not replaced by a new one.
	if _, err := fresh.Append(testContext(t), member("more"), esjs.NoStream(), ada("m-2")); !errors.Is(err, esjs.ErrNoKey) {
		t.Errorf("more of m-2: %v", err)
	}
	// A subscription parks them and goes on.
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), "SUBSCRIPTIONS_x", 1); err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 10)
	ctx, stop := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() {
		ended <- esjs.Subscribe(ctx, fresh, esjs.SubscriptionConfig[esjs.Event]{
			Name: "x", Codec: joinedCodec(t), Bucket: "SUBSCRIPTIONS_x", OnCaughtUp: stop,
		}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error { handled <- e.Stream.Key; return nil })
	}()
	if err := <-ended; err != nil || len(handled) != 1 || <-handled != "m-1" {
		t.Errorf("the subscription ended with %v, and handled %d others", err, len(handled))
	}
	status, err := esjs.Subscriptions(testContext(t), fresh, "SUBSCRIPTIONS_x")
	if err != nil || len(status) != 1 || len(status[0].Parked) != 5 {
		t.Errorf("%+v, %v", status, err)
	}
}

// While no server can tell the key, reads wait; they never take the person for erased.
func TestKeysThatCannotBeReadAreWaitedFor(t *testing.T) {
	d := esjstest.Cluster(t)
	if err := esjs.ProvisionKeys(testContext(t), d.Dial(), keyBucket, 1); err != nil {
		t.Fatal(err)
	}
	cfg := d.Config()
	cfg.Keys = &esjs.KeyConfig{Bucket: keyBucket, Master: master(1)}
	if err := esjs.Provision(testContext(t), d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	store, err := esjs.Open(testContext(t), d.Dial(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	esjs.SetKeyLife(store, 0) // keys are asked for each time
	stream, err := jetStream(t, d.Connect(t)).Stream(testContext(t), "KV_"+keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	holder := 0
	for i, s := range d.Servers() {
		if s.Name() == stream.CachedInfo().Cluster.Leader {
			holder = i
		}
	}
	handled := make(chan esjs.Recorded[esjs.Event], 10)
	ctx, stop := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	d.Stop(holder)
	go func() {
		ended <- esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{Name: "x", EveryInstance: true, Codec: joinedCodec(t)},
			func(_ context.Context, e esjs.Recorded[esjs.Event]) error { handled <- e; return nil })
	}()
	h := clubHandler(t, store, esjs.HandlerConfig[club]{})
	short, cancel := context.WithTimeout(testContext(t), 2*time.Second)
	defer cancel()
	if l, err := h.Load(short, "m-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("loaded %+v, %v", l, err)
	}
	select {
	case e := <-handled:
		t.Errorf("handled %+v without its key", e)
	default:
	}
	d.Start(t, holder)
	if c := loaded(t, h, "m-1"); c.Names["m-1"] != "Ada" {
		t.Errorf("loaded %+v", c)
	}
	if e := (<-handled).Event.(joined); e.Name.Value() != "Ada" {
		t.Errorf("handled %+v", e)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAFullBucketOfKeysRefuses(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	js := jetStream(t, d.Connect(t))
	stream, err := js.Stream(testContext(t), "KV_"+keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	full := stream.CachedInfo().Config
	full.MaxBytes = 1
	if _, err := js.UpdateStream(testContext(t), full); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); !errors.Is(err, esjs.ErrStoreFull) {
		t.Errorf("a new person: %v", err)
	}
	if err := store.ErasePerson(testContext(t), "m-1"); !errors.Is(err, esjs.ErrStoreFull) {
		t.Errorf("an erasure: %v", err)
	}
}
