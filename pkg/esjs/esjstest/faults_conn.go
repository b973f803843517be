package esjstest

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
)

type dialer struct{ faults *Faults }

// faultyConn cuts both directions of a client's connection into frames.
type faultyConn struct {
	net.Conn
	faults *Faults

	writing sync.Mutex
	sent    []byte // written by the client, not yet a whole frame

	received []byte     // from the server, not yet a whole frame; only Read uses it
	ready    []byte     // for the client; only Read uses it
	withheld []withheld // only Read uses it

	mu    sync.Mutex
	acks  map[string]bool   // inboxes whose answer breaks the connection
	reads map[string]string // inboxes of get-last, and what was asked
	// commits are the inboxes of reads by sequence.
	commits map[string]bool
}

var (
	errBroken   = errors.New("the test broke the connection")
	expectation = []byte("Nats-Expected-Last-Subject-Sequence: ")
	batch       = []byte("Nats-Batch-Id: ")
	batchEnd    = []byte("Nats-Batch-Commit: ")
	getLast     = []byte("$JS.API.DIRECT.GET.")
	lineEnd     = []byte("\r\n")
)

// leaderGet begins the subject of a question to a stream's leader.
const leaderGet = "$JS.API.STREAM.MSG.GET."

// frame is one line of the protocol with its payload, if it has one.
type frame struct {
	whole  []byte
	fields [][]byte // of the line
	body   []byte   // headers and payload
}

// cut takes one whole frame from the front of buffer.
func cut(buffer []byte) (f frame, rest []byte, ok bool) {
	end := bytes.Index(buffer, lineEnd)
	if end < 0 {
		return f, buffer, false
	}
	f.fields = bytes.Fields(buffer[:end])
	size := end + len(lineEnd)
	if f.published() || f.delivered() {
		n, err := strconv.Atoi(string(f.fields[len(f.fields)-1]))
		if err != nil || len(buffer) < size+n+len(lineEnd) {
			return f, buffer, false
		}
		f.body = buffer[size : size+n]
		size += n + len(lineEnd)
	}
	f.whole = buffer[:size]
	return f, buffer[size:], true
}

func (f frame) verb() string {
	if len(f.fields) == 0 {
		return ""
	}
	return string(bytes.ToUpper(f.fields[0]))
}

func (f frame) published() bool { return f.verb() == "PUB" || f.verb() == "HPUB" }

func (f frame) delivered() bool { return f.verb() == "MSG" || f.verb() == "HMSG" }

// inbox is where a published request wants its answer.
func (f frame) inbox() string {
	if f.verb() == "PUB" && len(f.fields) == 4 || f.verb() == "HPUB" && len(f.fields) == 5 {
		return string(f.fields[2])
	}
	return ""
}

func (c *faultyConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.sent = append(c.sent, b...)
	var out []byte
	for {
		f, rest, ok := cut(c.sent)
		if !ok {
			break
		}
		damaged, err := c.fromClient(f)
		if err != nil {
			_ = c.Conn.Close()
			return 0, err
		}
		out = append(out, damaged...)
		c.sent = rest
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// fromClient returns what the server shall get of a frame.
func (c *faultyConn) fromClient(f frame) ([]byte, error) {
	if !f.published() {
		return f.whole, nil
	}
	if f.inbox() != "" {
		c.faults.request()
		if c.faults.take(loseAnyRequest) {
			return nil, nil
		}
	}
	if f.asksForCommit() {
		c.mu.Lock()
		c.commits[f.inbox()] = true
		c.mu.Unlock()
		return f.whole, nil
	}
	if question, ok := f.asksForLast(); ok {
		c.mu.Lock()
		c.reads[f.inbox()] = question
		c.mu.Unlock()
		return f.whole, nil
	}
	if !bytes.Contains(f.body, expectation) || bytes.Contains(f.body, batch) && !bytes.Contains(f.body, batchEnd) {
		return f.whole, nil // not an append, or not the end of one
	}
	c.faults.runBefore()
	switch {
	case c.faults.take(loseRequest):
		return nil, errBroken
	case c.faults.take(refuse):
		return wrongExpectation(f.whole), nil
	case c.faults.take(loseAck):
		c.mu.Lock()
		c.acks[f.inbox()] = true
		c.mu.Unlock()
	}
	return f.whole, nil
}

// asksForLast tells that a request asks a replica, or the leader, for an
// aggregate's last commit.
func (f frame) asksForLast() (question string, ok bool) {
	subject := string(f.fields[1])
	switch {
	case f.verb() != "PUB":
		return "", false
	case len(f.body) == 0:
		return subject, bytes.HasPrefix(f.fields[1], getLast)
	}
	return subject + string(f.body), strings.HasPrefix(subject, leaderGet) && !strings.HasPrefix(subject, leaderGet+"KV_") &&
		bytes.Contains(f.body, []byte(`"last_by_subj"`))
}

// wrongExpectation returns an append that expects what cannot be: no commit
// where there must be one, and otherwise one where there is none yet. It has the
// same length.
func wrongExpectation(whole []byte) []byte {
	damaged := bytes.Clone(whole)
	digits := damaged[bytes.Index(damaged, expectation)+len(expectation):]
	digits = digits[:bytes.IndexByte(digits, '\r')]
	if string(digits) == "0" {
		digits[0] = '9'
		return damaged
	}
	for i := range digits {
		digits[i] = '0'
	}
	return damaged
}

func (c *faultyConn) Read(b []byte) (int, error) {
	for len(c.ready) == 0 {
		var chunk [16 << 10]byte
		n, err := c.Conn.Read(chunk[:])
		c.received = append(c.received, chunk[:n]...)
		for {
			f, rest, ok := cut(c.received)
			if !ok {
				break
			}
			damaged, broken := c.fromServer(f)
			if broken != nil {
				_ = c.Conn.Close()
				return 0, broken
			}
			c.ready = append(c.ready, damaged...)
			c.received = rest
		}
		if err != nil && len(c.ready) == 0 {
			return 0, err
		}
	}
	n := copy(b, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// fromServer returns what the client shall get of a frame.
func (c *faultyConn) fromServer(f frame) ([]byte, error) {
	if !f.delivered() {
		return f.whole, nil
	}
	if f.delivery() {
		return c.deliver(f), nil
	}
	inbox := string(f.fields[1])
	c.mu.Lock()
	subject, read := c.reads[inbox]
	delete(c.reads, inbox)
	lost, commit := c.acks[inbox], c.commits[inbox]
	delete(c.acks, inbox)
	delete(c.commits, inbox)
	c.mu.Unlock()
	switch {
	case lost:
		return nil, errBroken
	case commit:
		return c.faults.commit(f), nil
	case !read || (f.verb() == "MSG") != strings.HasPrefix(subject, leaderGet): // nobody was there to answer
		return f.whole, nil
	}
	return withBody(f, c.faults.answer(subject, bytes.Clone(f.body))), nil
}

// withBody returns a frame with other headers and payload.
func withBody(f frame, body []byte) []byte {
	if f.verb() == "MSG" {
		line := bytes.Join(f.fields[:len(f.fields)-1], []byte(" "))
		line = strconv.AppendInt(append(line, ' '), int64(len(body)), 10)
		return bytes.Join([][]byte{line, body, nil}, lineEnd)
	}
	headers := bytes.Index(body, []byte("\r\n\r\n")) + 4
	line := bytes.Join(f.fields[:len(f.fields)-2], []byte(" "))
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(headers), 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(len(body)), 10)
	return bytes.Join([][]byte{line, body, nil}, lineEnd)
}
