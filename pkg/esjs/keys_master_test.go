package esjs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestOpenRefusesMasterKeys(t *testing.T) {
	d := esjstest.Server(t)
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := openKeyed(t, d, make([]byte, n)); !errors.Is(err, esjs.ErrMasterKey) || !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	if _, err := openKeyed(t, d, master(1), []byte("short")); !errors.Is(err, esjs.ErrMasterKey) {
		t.Errorf("a short previous key: %v", err)
	}
	keyedStore(t, d, master(1))
	if _, err := openKeyed(t, d, master(2)); !errors.Is(err, esjs.ErrMasterKey) {
		t.Errorf("another key than the bucket's: %v", err)
	}
	keyedStore(t, d, master(1)) // the refused one has changed nothing

	cfg := d.Config()
	cfg.Keys = &esjs.KeyConfig{Bucket: "KEYS_missing", Master: master(1)}
	if _, err := esjs.Open(testContext(t), d.Dial(), cfg); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "KEYS_missing") {
		t.Errorf("a bucket that is not there: %v", err)
	}
	if err := esjs.ProvisionBucket(testContext(t), d.Dial(), "KEYS_other", 1); err != nil {
		t.Fatal(err)
	}
	cfg.Keys.Bucket = "KEYS_other"
	if _, err := esjs.Open(testContext(t), d.Dial(), cfg); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a bucket of another kind: %v", err)
	}
	if err := esjs.ProvisionKeys(testContext(t), d.Dial(), "KEYS_other", 1); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a bucket of another kind is made one for keys: %v", err)
	}
	if err := esjs.ProvisionKeys(testContext(t), d.Dial(), "a.b", 1); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a bad name: %v", err)
	}
}

func TestTheMasterKeyIsRotated(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		const members = 20
		old := keyedStore(t, d, master(1), master(2)) // step 1: it knows the new key
		for i := range members {
			if _, err := old.Append(testContext(t), member("club"), esjs.Any(), ada(fmt.Sprint("m-", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.ErasePerson(testContext(t), "m-0"); err != nil {
			t.Fatal(err)
		}
		before := wrappedKey(t, d, "m-1")
		now := keyedStore(t, d, master(2), master(1)) // step 2
		if _, err := now.Append(testContext(t), member("club"), esjs.Any(), ada("m-new")); err != nil {
			t.Fatal(err)
		}
		// Both are read by both meanwhile.
		for _, store := range []*esjs.Store{old, now} {
			c := loaded(t, clubHandler(t, store, esjs.HandlerConfig[club]{}), "club")
			if c.Names["m-1"] != "Ada" || c.Names["m-new"] != "Ada" || len(c.Erased) != 1 {
				t.Errorf("meanwhile: %+v", c)
			}
		}
		if _, err := openKeyed(t, d, master(1)); !errors.Is(err, esjs.ErrMasterKey) {
			t.Errorf("a store that does not know the new key: %v", err)
		}
		cut, cancel := context.WithCancel(testContext(t))
		cancel()
		if n, err := now.RotateMasterKey(cut); err == nil { // step 3, cut off
			t.Errorf("a rotation that was cut off: %d", n)
		}
		if n, err := now.RotateMasterKey(testContext(t)); err != nil || n != members-1 {
			t.Errorf("rotated %d keys, %v; want %d", n, err, members-1)
		}
		if n, err := now.RotateMasterKey(testContext(t)); err != nil || n != 0 {
			t.Errorf("rotated again: %d keys, %v", n, err)
		}
		if bytes.Equal(before, wrappedKey(t, d, "m-1")) {
			t.Error("the key of m-1 is wrapped as it was")
		}
		if d.Replicas() == 1 {
			if names := filesWith(t, d, before); len(names) > 0 {
				t.Errorf("what the old key wraps is still in %v", names)
			}
		}
		// Step 4: the old key is of no use and is not needed.
		if _, err := openKeyed(t, d, master(1)); !errors.Is(err, esjs.ErrMasterKey) {
			t.Errorf("the old key opens the bucket: %v", err)
		}
		c := loaded(t, clubHandler(t, keyedStore(t, d, master(2)), esjs.HandlerConfig[club]{}), "club")
		if len(c.Names) != members+1 || c.Names["m-1"] != "Ada" || len(c.Erased) != 1 || c.Erased[0] != "m-0" {
			t.Errorf("after: %+v", c)
		}
		// A store that still wraps by the old key gives nobody a key any more.
		eventually(t, "the old key still wraps new keys", func() bool {
			_, err := old.Append(testContext(t), member("club"), esjs.Any(), ada(fmt.Sprint("late-", time.Now().UnixNano())))
			return errors.Is(err, esjs.ErrMasterKey)
		})
	})
}

// A store whose master keys do not open a person's key must not take the person for erased.
func TestAKeyUnderAnUnknownMasterIsNotErased(t *testing.T) {
	d := esjstest.Server(t)
	old := keyedStore(t, d, master(1))
	now := keyedStore(t, d, master(2), master(1))
	if _, err := now.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	h := clubHandler(t, old, esjs.HandlerConfig[club]{})
	if l, err := h.Load(testContext(t), "m-1"); !errors.Is(err, esjs.ErrMasterKey) {
		t.Errorf("loaded %+v, %v", l, err)
	}
	for r, err := range old.ReadAll(testContext(t), esjs.Query{}) {
		if !errors.Is(err, esjs.ErrMasterKey) {
			t.Errorf("read %+v, %v", r, err)
		}
	}
	err := esjs.Subscribe(testContext(t), old, esjs.SubscriptionConfig[esjs.Event]{Name: "x", EveryInstance: true, Codec: joinedCodec(t)},
		func(_ context.Context, e esjs.Recorded[esjs.Event]) error { t.Errorf("handled %+v", e); return nil })
	if !errors.Is(err, esjs.ErrMasterKey) {
		t.Errorf("the subscription ended with %v", err)
	}
}
