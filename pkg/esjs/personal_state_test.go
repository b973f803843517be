package esjs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// clubSnapshot is the stored snapshot of an aggregate, nil when there is none.
func clubSnapshot(t *testing.T, d *esjstest.Deployment, key string) []byte {
	t.Helper()
	kv, err := jetStream(t, d.Connect(t)).KeyValue(testContext(t), snapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(testContext(t), "member."+key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return entry.Value()
}

// loads counts how an aggregate was loaded.
type loads struct {
	esjs.NopObserver
	from chan esjs.LoadInfo
}

func (l loads) Loaded(info esjs.LoadInfo) { l.from <- info }

// A state that was folded from personal values is stored sealed, although its
// own fields are plain text, and is lost with any of the persons.
func TestSnapshotsOfPersonalStates(t *testing.T) {
	d := esjstest.Server(t)
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), snapshotBucket, 1); err != nil {
		t.Fatal(err)
	}
	store := keyedStore(t, d, master(1))
	policy := esjs.HandlerConfig[club]{Snapshots: &esjs.SnapshotPolicy[club]{Bucket: snapshotBucket, Every: 1}}
	h := clubHandler(t, store, policy)
	for _, m := range []string{"m-1", "m-2"} {
		if _, err := h.Handle(testContext(t), "club", ada(m)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Handle(testContext(t), "plain", noted{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	body := clubSnapshot(t, d, "club")
	if bytes.Contains(body, []byte(`"Ada"`)) || !bytes.Contains(body, []byte(`"persons":["m-1","m-2"]`)) || !bytes.Contains(body, []byte(`"form":2`)) {
		t.Errorf("the snapshot is %s", body)
	}
	if plain := clubSnapshot(t, d, "plain"); !bytes.Contains(plain, []byte(`"form":1`)) || bytes.Contains(plain, []byte("persons")) {
		t.Errorf("the snapshot without persons is %s", plain)
	}

	seen := loads{from: make(chan esjs.LoadInfo, 100)}
	again := observedKeyed(t, d, seen)
	h = clubHandler(t, again, policy)
	if c := loaded(t, h, "club"); c.Names["m-1"] != "Ada" || c.Names["m-2"] != "Ada" || c.Events != 2 {
		t.Errorf("from the snapshot: %+v", c)
	}
	if info := <-seen.from; info.Source != esjs.LoadedFromSnapshot || info.Commits != 0 {
		t.Errorf("loaded by %+v", info)
	}

	if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	third := observedKeyed(t, d, seen)
	h = clubHandler(t, third, policy)
	want := club{Names: map[string]string{"m-1": "", "m-2": "Ada"}, Erased: []string{"m-1"}, Events: 2}
	if c := loaded(t, h, "club"); !reflect.DeepEqual(c, want) {
		t.Errorf("after the erasure: %+v", c)
	}
	if info := <-seen.from; info.Source != esjs.LoadedFromLog || info.Commits != 2 {
		t.Errorf("after the erasure loaded by %+v", info)
	}
	// It is made anew in its place, without the person.
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if body := clubSnapshot(t, d, "club"); !bytes.Contains(body, []byte(`"persons":["m-2"]`)) {
		t.Errorf("the snapshot is still %s", body)
	}
}

func observedKeyed(t *testing.T, d *esjstest.Deployment, observer esjs.Observer) *esjs.Store {
	t.Helper()
	cfg := d.Config()
	cfg.Keys = &esjs.KeyConfig{Bucket: keyBucket, Master: master(1)}
	cfg.Observer = observer
	store, err := esjs.Open(testContext(t), d.Dial(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// A state of very many persons is not stored, and is loaded from its events.
func TestAStateOfTooManyPersonsIsNotStored(t *testing.T) {
	d := esjstest.Server(t)
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), snapshotBucket, 1); err != nil {
		t.Fatal(err)
	}
	keyedStore(t, d, master(1)) // provisions
	seen := snapshotsTold{told: make(chan esjs.SnapshotInfo, 1000)}
	store := observedKeyed(t, d, seen)
	h := clubHandler(t, store, esjs.HandlerConfig[club]{Snapshots: &esjs.SnapshotPolicy[club]{Bucket: snapshotBucket, Every: 256}})
	var events []esjs.Event
	for i := range 260 {
		events = append(events, joined{Member: fmt.Sprint("m-", i), Name: esjs.PersonalOf("Ada")})
	}
	for i, e := range events {
		if _, err := h.Handle(testContext(t), "club", e); err != nil {
			t.Fatal(err)
		}
		if i == 255 { // a snapshot is due
			eventually(t, "256 persons have no snapshot", func() bool { return clubSnapshot(t, d, "club") != nil })
		}
	}
	h.Forget("club") // it leaves the cache with commits that no snapshot has
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if body := clubSnapshot(t, d, "club"); bytes.Contains(body, []byte("m-256")) {
		t.Error("260 persons have a snapshot")
	}
	if first, last := seen.next(t), seen.next(t); first.Err != nil || last.Stream != member("club") || last.Err == nil || !strings.Contains(last.Err.Error(), "260 persons") {
		t.Errorf("told of the snapshots is %+v, %+v", first, last)
	}
	if c := loaded(t, clubHandler(t, store, esjs.HandlerConfig[club]{}), "club"); len(c.Names) != 260 {
		t.Errorf("%d names", len(c.Names))
	}
}

// Upcasters see values as they are, and null where they were erased.
func TestUpcastersSeeOpenedValues(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	for _, m := range []string{"m-1", "m-2"} {
		if _, err := store.Append(testContext(t), member("club"), esjs.Any(), joined{Member: m, Name: esjs.PersonalOf("Ada")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.ErasePerson(testContext(t), "m-2"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	base, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, renamed]())
	if err != nil {
		t.Fatal(err)
	}
	codec, err := base.WithUpcasters(esjs.Upcaster{Type: "Joined", To: "Renamed", Upcast: func(data []byte) ([]byte, error) {
		seen = append(seen, string(data))
		return bytes.Replace(data, []byte(`"name"`), []byte(`"called"`), 1), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r, err := range store.Read(testContext(t), member("club"), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := codec.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		called := e.Event.(renamed).Called
		names = append(names, fmt.Sprintf("%q %t", called.Value(), called.Erased()))
	}
	if got := strings.Join(names, ", "); got != `"Ada" false, "" true` {
		t.Errorf("read %s", got)
	}
	if len(seen) != 2 || !strings.Contains(seen[0], `"name":"Ada"`) || !strings.Contains(seen[1], `"name":null`) {
		t.Errorf("the upcaster saw %q", seen)
	}
}

type renamed struct {
	Member string                `json:"member"`
	Called esjs.Personal[string] `json:"called"`
}

func (renamed) EventType() string  { return "Renamed" }
func (r renamed) PersonID() string { return r.Member }
