package esjs_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// deafness is a network on which nobody answers a program that asks for a consumer of the events.
type deafness struct{ on atomic.Bool }

// Dial is the client's hook.
func (d *deafness) Dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	return deafConn{c, d}, err
}

type deafConn struct {
	net.Conn
	deafness *deafness
}

func (c deafConn) Write(b []byte) (int, error) {
	if c.deafness.on.Load() {
		b = bytes.ReplaceAll(b, []byte(".CONSUMER.CREATE.EVENTS."), []byte(".CONSUMER.NOBODY.EVENTS."))
	}
	return c.Conn.Write(b)
}

// Who has the lease and cannot read says so, and how much there is that it does not handle.
func TestAStreamThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	if err := esjs.ProvisionBucket(within(t), r.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	network, told := &deafness{}, newSignals()
	away := r.instance(t, network)
	cfg := r.cfg
	cfg.Observer = told
	run := away.start(t, cfg, newHandled(t, 0).handle)
	ctx, stop := context.WithCancel(context.Background())
	projection := &running{stop, make(chan error, 1)}
	t.Cleanup(stop)
	go func() {
		projection.ended <- esjs.NewProjector(away.store, kvsink.New(away.store, "VIEWS"), esjs.Projection[*kvsink.Tx, esjs.Event]{
			Name: "view", Version: 1, Codec: r.cfg.Codec,
			Apply: func(context.Context, *kvsink.Tx, esjs.Recorded[esjs.Event]) error { return nil },
		}, esjs.ProjectionConfig{Observer: told}).Run(ctx)
	}()
	both := []string{"test", "view_v1"}
	r.tick(t, "a")
	for _, name := range both {
		told.await(t, name, func() bool { return told.handled[name] > 0 })
	}
	network.on.Store(true)
	js := jetStream(t, r.Connect(t))
	for _, name := range consumers(t, js, "EVENTS") {
		if err := js.DeleteConsumer(within(t), "EVENTS", name); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		r.tick(t, "a")
	}
	for _, name := range both {
		told.await(t, name, func() bool {
			return strings.Contains(told.lastError[name], "nothing was heard of the stream EVENTS") && told.lag[name] == 3
		})
	}
	network.on.Store(false)
	for _, name := range both {
		told.await(t, name, func() bool { return told.lag[name] == 0 })
	}
	run.stopped(t)
	projection.stopped(t)
}
