package esjs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// wrappedKey is the text of a person's wrapped key in the bucket.
func wrappedKey(t *testing.T, d *esjstest.Deployment, person string) []byte {
	t.Helper()
	kv, err := jetStream(t, d.Connect(t)).KeyValue(testContext(t), keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(testContext(t), "person."+person)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(entry.Value()), `"key":"`)
	text, _, found := strings.Cut(text, `"`)
	if !found || len(text) < 60 {
		t.Fatalf("no wrapped key in %s", entry.Value())
	}
	return []byte(text)
}

// filesWith returns the server's files that contain text.
func filesWith(t *testing.T, d *esjstest.Deployment, text []byte) (names []string) {
	t.Helper()
	for _, server := range d.Servers() {
		root := server.StoreDir()
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			data, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if bytes.Contains(data, text) {
				names = append(names, strings.TrimPrefix(name, root))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// On one server the wrapped key is in no file after the erasure. A cluster's
// log of proposals keeps it for a while: see docs/esjs/erasure.md.
func TestAnErasedKeyIsOverwrittenOnDisk(t *testing.T) {
	d := esjstest.Server(t, esjstest.SyncAlways())
	store := keyedStore(t, d, master(1))
	for _, m := range []string{"m-1", "m-2"} {
		if _, err := store.Append(testContext(t), member(m), esjs.NoStream(), ada(m)); err != nil {
			t.Fatal(err)
		}
	}
	gone, kept := wrappedKey(t, d, "m-1"), wrappedKey(t, d, "m-2")
	if len(filesWith(t, d, gone)) == 0 || len(filesWith(t, d, kept)) == 0 {
		t.Fatal("the keys are in no file, so the test does not see them")
	}
	if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
		t.Fatal(err)
	}
	if names := filesWith(t, d, gone); len(names) > 0 {
		t.Errorf("the key is still in %v", names)
	}
	if len(filesWith(t, d, kept)) == 0 {
		t.Error("another person's key is gone")
	}
	stream, err := jetStream(t, d.Connect(t)).Stream(testContext(t), "KV_"+keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(testContext(t), jetstream.WithSubjectFilter("$KV."+keyBucket+".person.m-1"))
	if err != nil || info.State.Subjects["$KV."+keyBucket+".person.m-1"] != 1 {
		t.Errorf("the bucket has %v of the person, %v", info.State.Subjects, err)
	}
}
