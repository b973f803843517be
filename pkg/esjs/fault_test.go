package esjs_test

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
)

// faults sits between a store's append connection and the server and damages
// the publishes that it is armed for. Everything else passes unchanged.
type faults struct {
	mu   sync.Mutex
	next []fault
}

// fault is what happens to one publish of a commit.
type fault int

const (
	// loseAck lets the server have the publish and breaks the connection before
	// its ack is read.
	loseAck fault = iota
	// refuseFalsely makes the server refuse a publish whose expectation is right.
	refuseFalsely
	// loseRequest breaks the connection before the publish reaches the server.
	loseRequest
)

func (f *faults) arm(next ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, next...)
}

func (f *faults) take() (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		return 0, false
	}
	first := f.next[0]
	f.next = f.next[1:]
	return first, true
}

// dial wraps url's append connections; the others go to the server directly.
func (f *faults) dial(url string) esjs.Dial {
	return func(purpose string) (*nats.Conn, error) {
		var opts []nats.Option
		if purpose == "append" {
			opts = append(opts, nats.SetCustomDialer(f), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		}
		return esjs.DialURL(url, opts...)(purpose)
	}
}

// Dial is the client's hook.
func (f *faults) Dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: c, faults: f}, nil
}

type faultyConn struct {
	net.Conn
	faults *faults

	mu   sync.Mutex
	mute bool // answers are read and thrown away, and the connection then ends
}

var errBroken = errors.New("the test broke the connection")

var expectation = []byte("Nats-Expected-Last-Subject-Sequence: ")

func (c *faultyConn) Write(b []byte) (int, error) {
	if !bytes.Contains(b, expectation) {
		return c.Conn.Write(b)
	}
	f, ok := c.faults.take()
	if !ok {
		return c.Conn.Write(b)
	}
	switch f {
	case loseRequest:
		_ = c.Conn.Close()
		return 0, errBroken
	case refuseFalsely:
		damaged := bytes.Clone(b)
		digit := bytes.Index(damaged, expectation) + len(expectation)
		damaged[digit] = '9' - (damaged[digit]-'0')%2 // another sequence of the same length
		return c.Conn.Write(damaged)
	default:
		c.mu.Lock()
		c.mute = true
		c.mu.Unlock()
		return c.Conn.Write(b)
	}
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mute && n > 0 {
		_ = c.Conn.Close()
		return 0, errBroken
	}
	return n, err
}
