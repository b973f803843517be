package e2e

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	orders "github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/test/program"
)

var writeState = flag.Bool("write-state", false, "write testdata/state.tar.gz with the present program: what the next ones must be able to go on with")

// state is the data directory of an "orderflow up" of the program that its VERSION names, which was stopped with
// orders under way. Before the first release it is a build of the day on which this was written.
var state = filepath.Join("testdata", "state.tar.gz")

// What an earlier build has stored, the present one goes on with: finished orders are shown by views that
// are not built again, unfinished ones end although their deadlines may have passed long ago, and nothing is
// found wrong.
func TestTheStateOfAnEarlierReleaseGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if *writeState {
		writtenState(t)
	}
	unpack(t, state, dir)
	version, err := os.ReadFile(filepath.Join(dir, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("written by %s", version)
	if err := os.Remove(filepath.Join(dir, "VERSION")); err != nil {
		t.Fatal(err)
	}
	s := up(t, "--data", dir)
	if o := s.shown(t, "done"); o.State != "Completed" || o.Captured != (money{"49.80", "EUR"}) {
		t.Errorf("the finished order is %+v", o)
	}
	var page struct {
		Projections []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"projections"`
	}
	decode(t, s.tool(t, "orderflow", "projections", "list", "--json").stdout, &page)
	if len(page.Projections) == 0 {
		t.Error("no version of a view is listed")
	}
	for _, v := range page.Projections {
		if !strings.HasSuffix(v.Name, "_v1") || v.State != "live" {
			t.Errorf("%s is %s; no view is to be built again", v.Name, v.State)
		}
	}
	store, err := esjs.Open(t.Context(), esjs.DialURL(s.nats), esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	shop := settled(t, s, store, 4)
	for _, id := range []string{"done", "unknown-1", "unknown-2", "unknown-3"} {
		if !shop.Orders[id].Ended() {
			t.Errorf("order %s is %s", id, shop.Orders[id].Status)
		}
		t.Logf("order %s is %s", id, shop.Orders[id].Status)
	}
	if status := shop.Orders["draft"].Status; status != orders.Draft {
		t.Errorf("the draft is %s", status)
	}
	nc := connect(t, s)
	defer nc.Close()
	place(t, nc, "new", "card-ok")
	submit(t, s, "new")
	await(t, func() order { return s.shown(t, "new") }, "Completed")
	if r := s.tool(t, "orderflow", "verify"); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
	s.interrupt(t)
}

// writtenState writes the file: one finished order, a draft, and three whose payment nobody knows the outcome of.
func writtenState(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s := up(t, "--data", dir)
	s.stocked(t, "beans-1kg", 100)
	nc := connect(t, s)
	defer nc.Close()
	place(t, nc, "done", "card-ok")
	submit(t, s, "done")
	await(t, func() order { return s.shown(t, "done") }, "Completed")
	place(t, nc, "draft", "card-ok")
	var told struct{}
	ask(t, "POST", s.partners+"/admin/faults", `{"seed":1,"faults":[{"partner":"psp","kind":"unavailable","rate":1}]}`, &told)
	for _, id := range []string{"unknown-1", "unknown-2", "unknown-3"} {
		place(t, nc, id, "card-ok")
		submit(t, s, id)
		program.Until(t, patience, id+" waits for the provider", func() bool {
			return strings.Contains(s.tool(t, "orderflow", "saga", "show", id).stdout, ": AUTH_UNKNOWN")
		})
	}
	version := s.tool(t, "orderflow", "version").stdout
	s.interrupt(t)
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(version), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(state), 0o755), pack(dir, state)); err != nil {
		t.Fatal(err)
	}
}

func pack(dir, to string) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	zipped, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	return errors.Join(archive.AddFS(os.DirFS(dir)), archive.Close(), zipped.Close(), file.Close())
}

func unpack(t *testing.T, from, dir string) {
	t.Helper()
	file, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		if header.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(archive)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
