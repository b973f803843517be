package esjstest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const clusterSize = 3

// Cluster runs three nats-servers as one JetStream cluster on free loopback
// ports, and returns when it has a leader and all servers are current.
func Cluster(t testing.TB, options ...Option) *Deployment {
	t.Helper()
	var err error
	for range 3 { // another process may take a port before the server does
		d := newDeployment(options)
		if err = d.startCluster(directory(t)); err == nil {
			t.Cleanup(d.shutdown)
			return d
		}
		d.shutdown()
	}
	t.Fatalf("start a cluster: %v", err)
	return nil
}

func (d *Deployment) startCluster(dir string) error {
	ports, err := natsproc.FreePorts(2 * clusterSize)
	if err != nil {
		return err
	}
	name := "c-" + nuid.Next()
	var routes []*url.URL
	for _, port := range ports[:clusterSize] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i := range clusterSize {
		o := d.serverOptions(filepath.Join(dir, fmt.Sprint(i)))
		o.Port = ports[clusterSize+i]
		o.Cluster = server.ClusterOpts{Name: name, Host: "127.0.0.1", Port: ports[i]}
		o.Routes = routes
		d.options = append(d.options, o)
	}
	d.servers = make([]*server.Server, clusterSize)
	failed := make(chan error, clusterSize)
	for i, o := range d.options { // together: none is ready without another one
		go func() {
			var err error
			d.servers[i], err = start(o)
			failed <- err
		}()
	}
	var all []error
	for range d.options {
		all = append(all, <-failed)
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	if !until(d.settled) {
		return errors.New("the cluster has no leader, or not all servers are current")
	}
	return nil
}

// settled tells that there is one meta leader, that it knows all servers, and
// that all are current.
func (d *Deployment) settled() bool {
	leaders := 0
	for _, s := range d.Servers() {
		if s == nil || !s.Running() || !s.JetStreamIsCurrent() {
			return false
		}
		if s.JetStreamIsLeader() {
			leaders++
			if len(s.JetStreamClusterPeers()) != len(d.options) {
				return false
			}
		}
	}
	return leaders == 1
}

// Leader returns the number of the server that leads the stream. It waits for one.
func (d *Deployment) Leader(t testing.TB, stream string) int {
	t.Helper()
	leader := -1
	found := until(func() bool {
		for i, s := range d.Servers() {
			if s.Running() && (len(d.options) == 1 || s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)) {
				leader = i
				return true
			}
		}
		return false
	})
	if !found {
		t.Fatalf("the stream %s has no leader", stream)
	}
	return leader
}

// StepDown makes another server the stream's leader and waits until it is.
func (d *Deployment) StepDown(t testing.TB, stream string) {
	t.Helper()
	nc := d.Connect(t)
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var answer []byte
	old := d.Leader(t, stream)
	changed := until(func() bool {
		if d.Leader(t, stream) == old {
			answer = askToStepDown(ctx, nc, stream)
		}
		return d.Leader(t, stream) != old
	})
	if !changed {
		t.Fatalf("the stream %s kept its leader: %s", stream, answer)
	}
	err = answered(ctx, func(ctx context.Context) error { // by the new leader
		_, err := js.Stream(ctx, stream)
		return err
	})
	if err != nil {
		t.Fatalf("ask the new leader of %s: %v", stream, err)
	}
}

// askToStepDown asks a stream's leader to leave. One that is just being elected does not
// answer, and one that has just been may stay: the caller asks again.
func askToStepDown(ctx context.Context, nc *nats.Conn, stream string) []byte {
	ctx, cancel := context.WithTimeout(ctx, patience/20)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	if err != nil {
		return []byte(err.Error())
	}
	return answer.Data
}

// Stop shuts server i down; its data and its port stay.
func (d *Deployment) Stop(i int) {
	s := d.Servers()[i]
	s.Shutdown()
	s.WaitForShutdown()
}

// Start starts server i again and waits until it is current.
func (d *Deployment) Start(t testing.TB, i int) {
	t.Helper()
	s, err := start(d.options[i])
	if err != nil {
		t.Fatalf("start server %d again: %v", i, err)
	}
	d.mu.Lock()
	d.servers[i] = s
	d.mu.Unlock()
	if len(d.options) > 1 && !until(d.settled) {
		t.Fatalf("server %d is not current", i)
	}
}

// Restart stops server i and starts it again.
func (d *Deployment) Restart(t testing.TB, i int) {
	t.Helper()
	d.Stop(i)
	d.Start(t, i)
}
