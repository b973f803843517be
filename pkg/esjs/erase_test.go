package esjs_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestAnErasedPersonIsErasedEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		here, there := keyedStore(t, d, master(1)), keyedStore(t, d, master(1))
		handlers := []*esjs.CommandHandler[club, esjs.Event, esjs.Event]{
			clubHandler(t, here, esjs.HandlerConfig[club]{}), clubHandler(t, there, esjs.HandlerConfig[club]{}),
		}
		for _, m := range []string{"m-1", "m-2"} {
			if _, err := here.Append(testContext(t), member("club"), esjs.Any(), ada(m), noted{}); err != nil {
				t.Fatal(err)
			}
		}
		before := map[string]string{"m-1": "Ada", "m-2": "Ada"}
		for _, h := range handlers {
			if c := loaded(t, h, "club"); !reflect.DeepEqual(c.Names, before) {
				t.Fatalf("before: %+v", c)
			}
		}
		if report, err := esjs.VerifyErased(testContext(t), here, joinedCodec(t), "m-1"); err != nil || report.Complete() || len(report.Readable) != 7 {
			t.Errorf("before: %+v, %v", report, err)
		}

		for range 2 { // the second time changes nothing
			if err := here.ErasePerson(testContext(t), "m-1"); err != nil {
				t.Fatal(err)
			}
		}
		for i, h := range handlers {
			eventually(t, "a handler still has the name", func() bool { return loaded(t, h, "club").Names["m-1"] == "" })
			if c := loaded(t, h, "club"); c.Names["m-2"] != "Ada" || !reflect.DeepEqual(c.Erased, []string{"m-1"}) || c.Events != 4+i {
				t.Errorf("handler %d has %+v", i, c)
			}
			if past, err := h.Load(testContext(t), "club", esjs.AtVersion(1)); err != nil || past.State.Names["m-1"] != "" || len(past.State.Erased) != 1 {
				t.Errorf("handler %d remembers %+v, %v", i, past.State, err)
			}
			var erased *esjs.ErasedError
			if _, err := h.Handle(testContext(t), "club", ada("m-1")); !errors.As(err, &erased) || erased.Person != "m-1" {
				t.Errorf("handler %d stores more of the person: %v", i, err)
			}
			if _, err := h.Handle(testContext(t), "club", noted{}); err != nil {
				t.Errorf("handler %d stores nothing else: %v", i, err)
			}
		}
		for _, store := range []*esjs.Store{here, there} {
			report, err := esjs.VerifyErased(testContext(t), store, joinedCodec(t), "m-1")
			if err != nil || !report.Complete() || report.Events != 1 || report.Values != 8 || report.Read != 7 || time.Since(report.Erased) > time.Hour {
				t.Errorf("after: %+v, %v", report, err)
			}
			for r, err := range store.Read(testContext(t), member("club"), 1, 1) {
				recorded, decodeErr := joinedCodec(t).Decode(r)
				if err != nil || decodeErr != nil || r.Person != "m-1" {
					t.Fatalf("%+v, %v, %v", r, err, decodeErr)
				}
				checkErased(t, recorded.Event.(joined))
			}
		}
	})
}

// A person of whom nothing was stored can ask for erasure too.
func TestAnErasedPersonNeverGetsAKey(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	var erased *esjs.ErasedError
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), noted{}, ada("m-1")); !errors.As(err, &erased) {
		t.Errorf("got %v", err)
	}
	for r, err := range store.Read(testContext(t), member("m-1"), 0, 0) {
		if !errors.Is(err, esjs.ErrNotFound) {
			t.Errorf("stored %+v, %v", r, err)
		}
	}
}

func TestErasureIsToldOnce(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	for range 2 {
		if err := store.ErasePerson(testContext(t), "müller"); err != nil {
			t.Fatal(err)
		}
	}
	var told []esjs.Record
	for r, err := range store.ReadAll(testContext(t), esjs.Query{Categories: []string{"erasure"}}) {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, r)
	}
	if len(told) != 1 || told[0].Stream.Key != "müller" || told[0].Type != "esjs.PersonErased" || string(told[0].Data) != `{"person":"müller"}` {
		t.Errorf("the store tells %+v", told)
	}
	_, err := store.Append(testContext(t), esjs.StreamID{Category: "erasure", Key: "m-2"}, esjs.NoStream(), noted{})
	if !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("somebody else tells of an erasure: %v", err)
	}
}

// What is written while a person is erased is either refused or erased.
func TestErasureAgainstWriters(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		eraser := keyedStore(t, d, master(1))
		var writers sync.WaitGroup
		for i := range 4 {
			store := keyedStore(t, d, master(1))
			writers.Go(func() {
				for n := 0; ; n++ {
					_, err := store.Append(testContext(t), member(fmt.Sprint(i)), esjs.Any(), ada("m-1"))
					if errors.As(err, new(*esjs.ErasedError)) {
						return
					}
					if err != nil || n == 100_000 {
						t.Errorf("append %d: %v", n, err)
						return
					}
				}
			})
		}
		for range 20 { // let some be stored
			if _, err := eraser.Append(testContext(t), member("eraser"), esjs.Any(), ada("m-1")); err != nil {
				t.Error(err)
			}
		}
		if err := eraser.ErasePerson(testContext(t), "m-1"); err != nil {
			t.Error(err)
		}
		writers.Wait()
		report, err := esjs.VerifyErased(testContext(t), keyedStore(t, d, master(1)), joinedCodec(t), "m-1")
		if err != nil || !report.Complete() || report.Events < 20 || report.Values != 8*report.Events {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// Many writers of a person who has no key yet must agree on one.
func TestAPersonHasOneKey(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		var writers sync.WaitGroup
		for i := range 4 {
			store := keyedStore(t, d, master(1))
			writers.Go(func() {
				for n := range 5 {
					if _, err := store.Append(testContext(t), member(fmt.Sprint(i)), esjs.Any(), ada(fmt.Sprint("m-", n))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		h := clubHandler(t, keyedStore(t, d, master(1)), esjs.HandlerConfig[club]{})
		for i := range 4 {
			if c := loaded(t, h, fmt.Sprint(i)); len(c.Names) != 5 || c.Names["m-0"] != "Ada" || len(c.Erased) > 0 {
				t.Errorf("%d: %+v", i, c)
			}
		}
	})
}

// A store that hears nothing of erasures asks when its keys are old.
func TestAKeyInMemoryIsNotUsedForLong(t *testing.T) {
	d := esjstest.Server(t)
	eraser, deaf := keyedStore(t, d, master(1)), keyedStore(t, d, master(1))
	esjs.StopKeyWatch(deaf)
	h := clubHandler(t, deaf, esjs.HandlerConfig[club]{})
	if _, err := h.Handle(testContext(t), "club", ada("m-1")); err != nil {
		t.Fatal(err)
	}
	if err := eraser.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	if c := loaded(t, h, "club"); c.Names["m-1"] != "Ada" {
		t.Fatalf("the store is not deaf: %+v", c)
	}
	esjs.SetKeyLife(deaf, 0) // what it has in memory was used long enough
	if c := loaded(t, h, "club"); c.Names["m-1"] != "" || len(c.Erased) != 1 {
		t.Errorf("the handler still has %+v", c)
	}
}

func TestAnErasedKeyLeavesMemory(t *testing.T) {
	d := esjstest.Server(t)
	here, there := keyedStore(t, d, master(1)), keyedStore(t, d, master(1))
	if _, err := there.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	if n := esjs.KeysInMemory(there); n != 1 {
		t.Fatalf("%d keys are in memory", n)
	}
	if err := here.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key stays in memory", func() bool { return esjs.KeysInMemory(there) == 0 })
}

// An erasure that was cut off after its note is completed by another one.
func TestAnErasureThatWasCutOffIsCompleted(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	// The note alone, as a crash leaves it.
	kv, err := jetStream(t, d.Connect(t)).KeyValue(testContext(t), keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(testContext(t), "person.m-1", []byte(`{"erased":"2026-11-23T06:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	report, err := esjs.VerifyErased(testContext(t), store, joinedCodec(t), "m-1")
	if err != nil || report.Complete() || !report.OldKey || report.Told || len(report.Readable) > 0 {
		t.Errorf("cut off: %+v, %v", report, err)
	}
	if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	report, err = esjs.VerifyErased(testContext(t), store, joinedCodec(t), "m-1")
	if err != nil || !report.Complete() || report.Erased.Format(time.RFC3339) != "2026-11-23T06:00:00Z" {
		t.Errorf("completed: %+v, %v", report, err)
	}
}

// Values that were stored before their field became personal are found.
func TestVerifyErasedFindsValuesInClear(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), joinedBefore{Member: "m-1", Name: "Ada", Plan: "gold"}); err != nil {
		t.Fatal(err)
	}
	report, err := esjs.VerifyErased(testContext(t), store, joinedCodec(t), "m-1")
	want := []esjs.ReadableValue{{Stream: member("m-1"), Version: 1, Type: "Joined", Path: "/name"}}
	if err != nil || report.Complete() || !reflect.DeepEqual(report.Readable, want) {
		t.Errorf("%+v, %v", report, err)
	}
}

// joinedBefore is how [joined] was before its author thought of erasure.
type joinedBefore struct {
	Member string `json:"member"`
	Name   string `json:"name"`
	Plan   string `json:"plan"`
}

func (joinedBefore) EventType() string { return "Joined" }
