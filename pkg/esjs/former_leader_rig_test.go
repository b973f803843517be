package esjs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// formerLeader is a server that led streams of a deployment until it was cut off from the others, and has not noticed: it
// answers what it is made to remember, and passes on everything else. Of a store that is opened with its dial only the
// connections for reading are with it.
type formerLeader struct {
	d    *esjstest.Deployment
	back *nats.Conn // to the deployment
	url  string

	mu         sync.Mutex
	remembered map[string][]byte // by subject and request
	asked      map[string]bool
}

func newFormerLeader(t testing.TB, d *esjstest.Deployment) *formerLeader {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	l := &formerLeader{d: d, back: d.Connect(t), url: s.ClientURL(), remembered: map[string][]byte{}, asked: map[string]bool{}}
	front, err := nats.Connect(l.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	inbox := l.back.NewInbox() + "."
	_, err = l.back.Subscribe(inbox+">", func(m *nats.Msg) {
		_ = front.PublishMsg(&nats.Msg{Subject: strings.TrimPrefix(m.Subject, inbox), Header: m.Header, Data: m.Data})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = front.Subscribe("$JS.API.>", func(m *nats.Msg) {
		if old := l.old(m); old != nil {
			_ = m.Respond(old)
			return
		}
		_ = l.back.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: inbox + m.Reply, Header: m.Header, Data: m.Data})
	})
	if err == nil {
		err = front.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects for reading with the former leader, and for all else with the deployment.
func (l *formerLeader) dial(purpose string) (*nats.Conn, error) {
	if strings.HasPrefix(purpose, "read-") {
		return esjs.DialURL(l.url)(purpose)
	}
	return l.d.Dial()(purpose)
}

// remember keeps what the leader of a stream has now as the last message of a subject.
func (l *formerLeader) remember(t testing.TB, stream, subject string) {
	t.Helper()
	l.keep(t, stream, fmt.Sprintf(`{"last_by_subj":%q}`, subject))
}

// rememberFirst is remember for the first message of a subject.
func (l *formerLeader) rememberFirst(t testing.TB, stream, subject string) {
	t.Helper()
	l.keep(t, stream, fmt.Sprintf(`{"seq":1,"next_by_subj":%q}`, subject))
}

func (l *formerLeader) keep(t testing.TB, stream, request string) {
	t.Helper()
	subject := "$JS.API.STREAM.MSG.GET." + stream
	now, err := l.back.Request(subject, []byte(request), patience)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remembered[subject+request] = now.Data
	delete(l.asked, subject+request)
}

// old is the answer that it remembers to a request, or nil.
func (l *formerLeader) old(m *nats.Msg) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	request := m.Subject + string(m.Data)
	l.asked[request] = true
	return l.remembered[request]
}

// resign lets everything be passed on again, and complains about what was remembered and not asked for since.
func (l *formerLeader) resign(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for request := range l.remembered {
		if !l.asked[request] {
			t.Errorf("the former leader was not asked %s", request)
		}
	}
	clear(l.remembered)
}
