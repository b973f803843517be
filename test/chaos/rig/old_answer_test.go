//go:build linux

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The server's part of what docs/reliability.md calls old answers, without anything of ours: a leader that is cut off
// from the others, and not from its clients, answers a question to the leader from what it has, although the
// others have elected another one and stored more.
func TestALeaderThatIsCutOffAnswersFromWhatItHas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if missing := Missing(ctx); missing != "" {
		t.Skip("NOT RUN: " + missing) //nolint:forbidigo // as bin/chaos says of itself, and in no other way
	}
	home, err := Home("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	server := program.NATSServer()
	if err := program.Build(ctx, home, server); err != nil {
		t.Fatal(err)
	}
	c, err := Start(ctx, Config{Program: filepath.Join(home, server.Name()), Dir: home, Sync: "always", Disk: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	js, err := jetstream.New(connect(t, c.URL()))
	if err != nil {
		t.Fatal(err)
	}
	// The others elect within nine seconds, and the old leader gives up after ten to twenty: on a busy machine it may be first.
	for attempt := range 10 {
		name := fmt.Sprint("S", attempt)
		stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Replicas: Size, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		old := c.Index(stream.CachedInfo().Cluster.Leader)
		atOld, atOthers := connect(t, "nats://"+c.network.Address(old)), connect(t, "nats://"+c.network.Address((old+1)%Size))
		published(ctx, t, atOthers, name, "old")
		if err := c.Cut(ctx, old, false); err != nil {
			t.Fatal(err)
		}
		published(ctx, t, atOthers, name, "new")
		was, is := last(t, atOld, name), last(t, atOthers, name)
		if err := errors.Join(c.Heal(ctx, old), c.Healthy(ctx, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if is != "new" {
			t.Fatalf("what was acknowledged is not there: %q", is)
		}
		if was == "old" {
			return
		}
	}
	t.Error("a leader that is cut off does not answer from what it has: if servers have learned that, docs/reliability.md and ADR 62 can say so")
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// published publishes until that is acknowledged.
func published(ctx context.Context, t *testing.T, nc *nats.Conn, subject, text string) {
	t.Helper()
	for {
		answer, err := nc.Request(subject, []byte(text), 200*time.Millisecond)
		if err == nil && bytes.Contains(answer.Data, []byte(`"seq":`)) && !bytes.Contains(answer.Data, []byte(`"error"`)) {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
}

// last is what the leader, as it is seen from the connection, says of the stream's last message.
func last(t *testing.T, nc *nats.Conn, stream string) string {
	t.Helper()
	answer, err := nc.Request("$JS.API.STREAM.MSG.GET."+stream, fmt.Appendf(nil, `{"last_by_subj":%q}`, stream), 5*time.Second)
	if err != nil {
		return err.Error()
	}
	var m struct {
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &m); err != nil {
		t.Fatal(err)
	}
	return string(m.Message.Data)
}
