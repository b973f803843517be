package live

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// writer writes server-sent events to a client who has to take them in time.
type writer struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	taken    time.Duration // that the client took to receive what was written
}

// begin answers that a stream follows.
func begin(w http.ResponseWriter, patience time.Duration) (*writer, error) {
	out := &writer{w: w, control: http.NewResponseController(w), patience: patience}
	// The server bounds how long reading a request takes; this one goes on being read.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("live stream: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy passes on what comes when it comes
	header.Set("Connection", "close")     // its deadlines are not those of a next request
	w.WriteHeader(http.StatusOK)
	return out, nil
}

// head tells a client when to come back and behind which event he begins.
func (o *writer) head(from esjs.Position) error {
	text := fmt.Sprintf("retry: %d\nid: %s\n\n", comeBack, from)
	return errors.Join(o.write([]byte(text)), o.flush())
}

// beat writes what is no event, and moves the client's Last-Event-ID on to a position, unless it is zero.
func (o *writer) beat(at esjs.Position) error {
	text := ": still here\n"
	if !at.IsZero() {
		text += "id: " + at.String() + "\n"
	}
	return errors.Join(o.write([]byte(text+"\n")), o.flush())
}

func (o *writer) write(text []byte) error {
	return o.timed(func() error {
		_, err := o.w.Write(text)
		return err
	})
}

func (o *writer) flush() error { return o.timed(o.control.Flush) }

// timed does what the client has to keep up with.
func (o *writer) timed(do func() error) error {
	if err := o.wait(); err != nil {
		return err
	}
	begun := time.Now()
	err := do()
	o.taken += time.Since(begun)
	return err
}

// wait gives the client his time from now on.
func (o *writer) wait() error { return o.control.SetWriteDeadline(time.Now().Add(o.patience)) }

// close bounds what the server still has to write.
func (o *writer) close() { _ = o.wait() }
