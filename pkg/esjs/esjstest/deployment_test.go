package esjstest

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func createStream(t *testing.T, d *Deployment) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: d.Replicas(), Storage: jetstream.FileStorage}
	err = answered(t.Context(), func(ctx context.Context) error {
		_, err := js.CreateStream(ctx, cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func publish(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	err := answered(t.Context(), func(ctx context.Context) error {
		_, err := js.Publish(ctx, "s.a", nil)
		return err
	})
	if err != nil {
		t.Fatalf("the message was not stored: %v", err)
	}
}

func count(t *testing.T, js jetstream.JetStream) (messages uint64) {
	t.Helper()
	err := answered(t.Context(), func(ctx context.Context) error {
		stream, err := js.Stream(ctx, "S")
		if err == nil {
			messages = stream.CachedInfo().State.Msgs
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func TestServerKeepsDataAndPortOverARestart(t *testing.T) {
	t.Parallel()
	d := Server(t, SyncAlways())
	js, url := createStream(t, d), d.URL()
	publish(t, js)
	d.Restart(t, 0)
	publish(t, js)
	if got := count(t, js); got < 2 || d.URL() != url || d.Replicas() != 1 {
		t.Errorf("%d messages, %d replicas, %s, then %s", got, d.Replicas(), url, d.URL())
	}
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	nc := Server(t, InProcess()).Connect(t)
	if addr := nc.ConnectedAddr(); addr != "pipe" {
		t.Errorf("connected to %q", addr)
	}
}

func TestClusterChangesLeadersAndServers(t *testing.T) {
	t.Parallel()
	d := Cluster(t)
	js := createStream(t, d)
	publish(t, js)
	old := d.Leader(t, "S")
	d.StepDown(t, "S")
	leader := d.Leader(t, "S")
	if leader == old {
		t.Errorf("server %d is still the leader", old)
	}
	publish(t, js)
	d.Restart(t, leader)
	publish(t, js)
	if got := count(t, js); got < 3 || d.Replicas() != 3 {
		t.Errorf("%d messages on %d replicas", got, d.Replicas())
	}
	nc, err := d.DialServer(1)("test")
	if err != nil || nc.ConnectedServerName() != d.Servers()[1].Name() || nc.Status() != nats.CONNECTED {
		t.Errorf("connected to %v, %v", nc, err)
	}
}
