package live

import (
	"bytes"
	"context"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/go-json-experiment/json"
)

// listener is a client's place at the hub.
type listener struct {
	topic   Topic
	commits chan *commit
	ended   chan struct{} // closed when nothing will come any more
	why     error         // it ended; to be read when ended is closed
}

// listen gives the topic's commits behind the position at to a listener, until
// leave is called.
func (h *Hub) listen(topic Topic) (l *listener, at esjs.Position, leave func()) {
	l = &listener{topic: topic, commits: make(chan *commit, h.cfg.Queue), ended: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[l] = struct{}{}
	if !h.following {
		h.end(l, errInterrupted)
	}
	return l, h.at, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.end(l, nil)
	}
}

// reached is up to where a listener has been given everything, provided that it
// still listens and nothing waits in its queue; else ok is false: the hub may have
// gone on without it.
func (h *Hub) reached(l *listener) (at esjs.Position, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, listens := h.listeners[l]
	return h.at, listens && len(l.commits) == 0
}

// commit is what happened at once to one aggregate. It is shared by all who are
// given it.
type commit struct {
	records       []esjs.Record
	all, customer frames // for who sees all of it, and for its customer

	mu    sync.Mutex
	owned bool   // owner is known
	owner string // the customer whose order it is about; "" for nobody's
}

func (c *commit) position() esjs.Position { return c.records[0].Position }

// ownedBy is whose order the commit is about, as ask says. What is known stays known;
// after an error the next one asks again.
func (c *commit) ownedBy(ctx context.Context, ask func(context.Context, string) (string, error)) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owned {
		return c.owner, nil
	}
	first := c.records[0]
	owner, err := ask(ctx, events.OrderOf(first.Stream.Category, first.Stream.Key, first.Data))
	if err != nil {
		return "", err
	}
	c.owner, c.owned = owner, true
	return owner, nil
}

// frames are a commit as server-sent events, made when the first one asks for them.
type frames struct {
	once sync.Once
	text []byte
	err  error
}

// of writes one event for each record of which something is seen; the last one has the id.
func (f *frames) of(records []esjs.Record, seen func(queries.StoredEvent) (queries.StoredEvent, bool)) ([]byte, error) {
	f.once.Do(func() {
		var shown []queries.StoredEvent
		for _, r := range records {
			if e, ok := seen(stored(r)); ok {
				shown = append(shown, e)
			}
		}
		var b bytes.Buffer
		for i, e := range shown {
			var data []byte
			if data, f.err = json.Marshal(e); f.err != nil {
				return
			}
			if i == len(shown)-1 {
				b.WriteString("id: " + e.Position + "\n")
			}
			b.WriteString("data: ")
			b.Write(oneLine(data))
			b.WriteString("\n\n")
		}
		f.text = b.Bytes()
	})
	return f.text, f.err
}

// everything is all of an event.
func everything(e queries.StoredEvent) (queries.StoredEvent, bool) { return e, true }

// oneLine replaces line breaks, which in JSON stand between values only.
func oneLine(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, data)
}

// stored is what the store has of an event.
func stored(r esjs.Record) queries.StoredEvent {
	return queries.StoredEvent{
		Position: r.Position.String(), Category: r.Stream.Category, Key: r.Stream.Key, Version: r.Version,
		Type: r.Type, SchemaVersion: r.SchemaVersion, Time: r.Time, EventID: r.ID,
		CorrelationID: r.Metadata.CorrelationID, CausationID: r.Metadata.CausationID, CommandID: r.Metadata.CommandID,
		Actor: r.Metadata.Actor, Data: r.Data,
	}
}
