//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/test/chaos/flat"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/nats-io/nats.go/jetstream"
)

// Bytes that orders really leave behind beyond what they may, in files, in memory, in their log and in another stream, are seen
// by what a soak measures and judges, and so is a connection of each cycle. What orders may leave in their log is no growth.
func TestALeakOfBytesIsSeen(t *testing.T) {
	server := esjstest.Server(t)
	monitor := httptest.NewServer(http.HandlerFunc(server.Servers()[0].HandleVarz))
	t.Cleanup(monitor.Close)
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	const other = "POSITIONS"
	for _, name := range []string{eventLog, other} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(stream string, bytes int) error {
		_, err := js.Publish(t.Context(), stream, make([]byte, bytes))
		return err
	}
	const (
		kB, MB             = 1 << 10, 1 << 20
		cycles, ordersEach = 8, 4
		events             = 30 * kB * ordersEach // of a cycle, in the log
	)
	files := t.TempDir()
	for what, leak := range map[string]func() error{
		"":          func() error { return nil },
		connections: func() error { _, err := server.Dial()("left behind"); return err },
		memory: func() error {
			mapped, err := syscall.Mmap(-1, 0, 8*MB, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
			if err == nil {
				t.Cleanup(func() { _ = syscall.Munmap(mapped) })
			}
			return err
		},
		disk: func() error {
			f, err := os.CreateTemp(files, "")
			if err != nil {
				return err
			}
			_, err = f.Write(make([]byte, 3*MB))
			return errors.Join(err, f.Close())
		},
		stored + " of " + eventLog: func() error { return publish(eventLog, events) }, // each order's twice
		stored + " of " + other:    func() error { return publish(other, events) },
	} {
		var rests []flat.Rest
		for cycle := range cycles {
			if err := errors.Join(publish(eventLog, events), leak()); err != nil {
				t.Fatal(err)
			}
			debug.FreeOSMemory()
			at, err := bytesHere(t.Context(), js, monitor.URL, files)
			if err != nil {
				t.Fatal(err)
			}
			for _, rest := range at {
				rest.Work = float64(cycle)
				if rest.What != connections {
					rest.Work *= ordersEach
				}
				rests = append(rests, rest)
			}
		}
		var out bytes.Buffer
		wrong := judgeRests(&out, rests)
		if what == "" && wrong != nil || what != "" && (len(wrong) != 1 || !strings.HasPrefix(wrong[0], "grows: "+what)) {
			t.Errorf("leaking %q: the judges say %q", what, wrong)
		}
	}
}

// bytesHere measures this process, the server in it, and files.
func bytesHere(ctx context.Context, js jetstream.JetStream, monitor, files string) ([]flat.Rest, error) {
	usage, err := rig.UsageOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	taken, err := rig.DiskOf(files)
	if err != nil {
		return nil, err
	}
	connected, err := serverConnections(ctx, monitor)
	if err != nil {
		return nil, err
	}
	rests := []flat.Rest{
		{Of: "it, process 1", What: memory, Value: float64(usage.Resident)},
		{Of: "files", What: disk, Value: float64(taken)},
		{Of: "n1", What: connections, Value: connected},
	}
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		rests = append(rests, flat.Rest{Of: info.Config.Name, What: stored, Value: float64(info.State.Bytes)})
	}
	return rests, streams.Err()
}
