package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/go-json-experiment/json"
)

// seen is one server-sent event as a browser would see it: with the id that it
// would come back with after it.
type seen struct {
	queries.StoredEvent
	id   string // "" unless the event has one of its own
	last string // the Last-Event-ID from now on
	size int    // of its data, in bytes
}

// stream reads server-sent events as the standard says.
type stream struct {
	t      testing.TB
	answer *http.Response
	events chan seen
	beats  chan string // the Last-Event-ID after each event without data
	ended  chan struct{}
	close  func()
}

// live opens a stream; one that is refused is returned as an answer.
func (r *rig) live(t testing.TB, path string, header ...string) (*stream, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		cancel()
		return nil, answer
	}
	s := &stream{
		t: t, answer: answer, events: make(chan seen, 100), beats: make(chan string, 1000), ended: make(chan struct{}),
	}
	s.close = sync.OnceFunc(func() {
		cancel()
		<-s.ended
		answer.Body.Close()
	})
	t.Cleanup(s.close)
	go s.read(ctx)
	return s, answer
}

func (s *stream) read(ctx context.Context) {
	defer close(s.ended)
	var data []string
	var id, last string
	for lines := bufio.NewReader(s.answer.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
				s.t.Logf("stream ended with %v", err)
			}
			return
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			data = append(data, value)
		case "id":
			id, last = value, value
		case "":
			if line != "\n" {
				continue // a comment
			}
			if data == nil {
				select {
				case s.beats <- last:
				case <-ctx.Done():
				}
			} else {
				text := strings.Join(data, "\n")
				e := seen{id: id, last: last, size: len(text)}
				if err := json.Unmarshal([]byte(text), &e.StoredEvent); err != nil {
					s.t.Errorf("a stream has %q: %v", data, err)
				}
				select {
				case s.events <- e:
				case <-ctx.Done():
				}
			}
			data, id = nil, ""
		}
	}
}

// next is the stream's next event.
func (s *stream) next() seen {
	s.t.Helper()
	e, more := s.more()
	if !more {
		s.t.Fatal("the stream has ended")
	}
	return e
}

// more is the stream's next event, or tells that the stream has ended.
func (s *stream) more() (e seen, more bool) {
	s.t.Helper()
	select {
	case e = <-s.events:
		return e, true
	case <-s.ended:
		select {
		case e = <-s.events:
			return e, true
		default:
		}
	case <-time.After(servicetest.Patience):
		s.t.Fatal("no event")
	}
	return seen{}, false
}

// beat waits for the next event without data.
func (s *stream) beat() (last string) {
	s.t.Helper()
	select {
	case last = <-s.beats:
	case <-s.ended:
		s.t.Fatal("the stream has ended")
	case <-time.After(servicetest.Patience):
		s.t.Fatal("no beat")
	}
	return last
}

// end waits until the server ends the stream.
func (s *stream) end() {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(servicetest.Patience):
		s.t.Fatal("the stream does not end")
	}
}
