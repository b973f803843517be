package esjs_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

const keyBucket = "KEYS_test"

// master is a master key made of one byte.
func master(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// keyedStore opens another store with keys, as another program does.
func keyedStore(t testing.TB, d *esjstest.Deployment, masters ...[]byte) *esjs.Store {
	t.Helper()
	store, err := openKeyed(t, d, masters...)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// openKeyed opens a store whose Master is the first of masters; it makes the key
// bucket where that is missing.
func openKeyed(t testing.TB, d *esjstest.Deployment, masters ...[]byte) (*esjs.Store, error) {
	t.Helper()
	if err := esjs.ProvisionKeys(testContext(t), d.Dial(), keyBucket, d.Replicas()); err != nil {
		t.Fatal(err)
	}
	cfg := d.Config()
	if err := esjs.Provision(testContext(t), d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Keys = &esjs.KeyConfig{Bucket: keyBucket, Master: masters[0], Previous: masters[1:]}
	store, err := esjs.Open(testContext(t), d.Dial(), cfg)
	if err == nil {
		t.Cleanup(store.Close)
	}
	return store, err
}

func member(key string) esjs.StreamID { return esjs.StreamID{Category: "member", Key: key} }

// club is the state of an aggregate that may hold several persons. Names are
// plain text, as in a state whose author did not think of erasure.
type club struct {
	Names  map[string]string `json:"names"`
	Erased []string          `json:"erased"`
	Events int               `json:"events"`
}

func applyClub(c club, e esjs.Event) club {
	c.Events++
	j, ok := e.(joined)
	if !ok {
		return c
	}
	names := map[string]string{}
	for member, name := range c.Names {
		names[member] = name
	}
	names[j.Member] = j.Name.Value()
	c.Names = names
	if j.Name.Erased() {
		c.Erased = append(c.Erased[:len(c.Erased):len(c.Erased)], j.Member)
	}
	return c
}

func clubHandler(t testing.TB, store *esjs.Store, cfg esjs.HandlerConfig[club]) *esjs.CommandHandler[club, esjs.Event, esjs.Event] {
	t.Helper()
	h, err := esjs.NewCommandHandler(testContext(t), store, esjs.Aggregate[club, esjs.Event, esjs.Event]{
		Category: "member",
		Codec:    joinedCodec(t),
		Apply:    applyClub,
		Decide:   func(_ club, e esjs.Event) ([]esjs.Event, error) { return []esjs.Event{e}, nil },
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	return h
}

// loaded is the state that a handler gives of an aggregate.
func loaded(t testing.TB, h *esjs.CommandHandler[club, esjs.Event, esjs.Event], key string) club {
	t.Helper()
	l, err := h.Load(testContext(t), key)
	if err != nil {
		t.Fatal(err)
	}
	return l.State
}

// publishRaw stores a body beside the library, as a damaged or a foreign writer would.
func publishRaw(t *testing.T, d *esjstest.Deployment, subject string, body []byte) {
	t.Helper()
	if _, err := d.Connect(t).Request(subject, body, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}
