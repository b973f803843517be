package esjs_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

// link is the network between one instance and the servers: it can be frozen,
// as by a pause of the process or a partition, and cut for ever.
type link struct {
	mu     sync.Mutex
	change sync.Cond
	frozen bool
	cut    bool
	conns  []net.Conn
}

func newLink() *link {
	l := &link{}
	l.change.L = &l.mu
	return l
}

func (l *link) set(frozen, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen, l.cut = frozen, cut
	l.change.Broadcast()
	if cut {
		for _, c := range l.conns {
			_ = c.Close()
		}
	}
}

func (l *link) pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.frozen && !l.cut {
		l.change.Wait()
	}
	if l.cut {
		return net.ErrClosed
	}
	return nil
}

// Dial is the client's hook.
func (l *link) Dial(network, address string) (net.Conn, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return linkConn{c, l}, nil
}

type linkConn struct {
	net.Conn
	link *link
}

func (c linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if broken := c.link.pass(); broken != nil {
		return 0, broken
	}
	return n, err
}

func (c linkConn) Write(b []byte) (int, error) {
	if err := c.link.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// instance is another process's store, on the given network.
func (r *rig) instance(t *testing.T, dialer nats.CustomDialer) *rig {
	t.Helper()
	return r.instanceOn(t, esjs.DialURL(r.URL(), nats.SetCustomDialer(dialer), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
}

func (r *rig) instanceOn(t *testing.T, dial esjs.Dial) *rig {
	t.Helper()
	store, err := esjs.Open(within(t), dial, r.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	other := *r
	other.store = store
	return &other
}
