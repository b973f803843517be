package esjstest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// BeforeRequest calls other when the n-th request from now on, whatever it asks
// for, is on its way and before the server has it. With [Faults.Disconnect], or
// the end of a context, a test reaches every step of a call: 1, 2, 3 … until
// the call ends without having made so many.
func (f *Faults) BeforeRequest(n int, other func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = append(f.steps, step{at: f.requests + n, do: other})
}

// LoseRequests lets the next n requests, whatever they ask for, be lost while the
// connection stays: nobody answers them, as in a cluster that elects a leader.
func (f *Faults) LoseRequests(n int) { f.arm(loseAnyRequest, n) }

// Requests returns how many requests were sent so far.
func (f *Faults) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// MissingReads answers the next n reads of a commit by its sequence as a replica
// does that has lost it.
func (f *Faults) MissingReads(n int) { f.arm(missingRead, n) }

// RottenReads flips a bit in the answers to the next n reads of a commit by its sequence.
func (f *Faults) RottenReads(n int) { f.arm(rottenRead, n) }

// Disconnect breaks all connections that are open. They are made again at once.
func (f *Faults) Disconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		_ = c.Conn.Close() // a connection that is closed is as broken as it can be
	}
	clear(f.open)
}

// step is what is done before a request.
type step struct {
	at int
	do func()
}

// request counts a request and does what was to be done before it.
func (f *Faults) request() {
	f.mu.Lock()
	f.requests++
	var due []func()
	kept := f.steps[:0]
	for _, s := range f.steps {
		if s.at == f.requests {
			due = append(due, s.do)
		} else {
			kept = append(kept, s)
		}
	}
	f.steps = kept
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
}

// wrap puts the faults between a client and its connection.
func (f *Faults) wrap(nc net.Conn) net.Conn {
	c := &faultyConn{Conn: nc, faults: f, acks: map[string]bool{}, reads: map[string]string{}, commits: map[string]bool{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
	return c
}

// Close forgets the connection.
func (c *faultyConn) Close() error {
	c.faults.mu.Lock()
	delete(c.faults.open, c)
	c.faults.mu.Unlock()
	return c.Conn.Close()
}

// asksForCommit tells that a frame asks any replica for a message by its sequence.
func (f frame) asksForCommit() bool {
	return f.verb() == "PUB" && bytes.HasPrefix(f.fields[1], getLast) && bytes.HasPrefix(f.body, []byte(`{"seq":`))
}

// commit returns what the client shall get of the answer to a read by sequence.
func (f *Faults) commit(answer frame) []byte {
	switch {
	case f.take(missingRead):
		header := []byte("NATS/1.0 404 Message Not Found\r\n\r\n")
		size := strconv.Itoa(len(header))
		line := bytes.Join([][]byte{[]byte("HMSG"), answer.fields[1], answer.fields[2], []byte(size), []byte(size)}, []byte(" "))
		return bytes.Join([][]byte{line, header, nil}, lineEnd)
	case len(answer.body) > 0 && f.take(rottenRead):
		damaged := bytes.Clone(answer.whole)
		damaged[len(damaged)-len(lineEnd)-1-len(answer.body)/2] ^= 0x80 // no character of JSON any more
		return damaged
	}
	return answer.whole
}

// pipes connects inside the process: to one server, or to any that runs.
type pipes struct {
	deployment *Deployment
	server     int // any: -1
	faults     *Faults
}

// InProcessConn is the client's hook.
func (p pipes) InProcessConn() (net.Conn, error) {
	var running []*server.Server
	for i, s := range p.deployment.Servers() {
		if (p.server < 0 || p.server == i) && s.Running() {
			running = append(running, s)
		}
	}
	if len(running) == 0 {
		return nil, errors.New("esjstest: no server is running")
	}
	nc, err := running[rand.IntN(len(running))].InProcessConn()
	if err != nil || p.faults == nil {
		return nc, err
	}
	return p.faults.wrap(nc), nil
}

// Dial is the client's hook.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience/12)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.faults.wrap(nc), nil
}

// disarm takes back what has not come yet.
func (f *Faults) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.armed)
	f.before, f.steps = nil, nil
}
