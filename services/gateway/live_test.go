package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/live"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
	"github.com/go-json-experiment/json"
)

// happen stores what happens to an order in three categories, and to another one.
func (r *rig) happen(id string) {
	r.Append("order", "other", events.ItemRemoved{LineID: "l1"})
	r.Append("order", id, events.OrderCreated{OrderID: id, CustomerID: "c-1", Currency: "EUR"}, events.ShippingAddressSet{AddressRef: "a", Country: "DE"})
	r.Append("payment", "p-"+id, events.PaymentVoided{OrderID: id})
	r.Append("payment", "p-other", events.PaymentVoided{OrderID: "other"})
	r.Append("fulfilment", id, events.FulfilmentCompleted{OrderID: id})
}

var happened = []string{"OrderCreated", "ShippingAddressSet", "PaymentVoided", "FulfilmentCompleted"}

func TestAnOrderIsSeenAsItHappens(t *testing.T) {
	r := newRig(t, gateway.Config{})
	s, answer := r.live(t, "/v1/orders/o-1/live")
	if h := answer.Header; h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Errorf("the stream begins with %v", h)
	}
	s.beat() // where it begins
	r.happen("o-1")
	var types, ids []string
	for range happened {
		e := s.next()
		types, ids = append(types, e.Type), append(ids, e.id)
	}
	if !slices.Equal(types, happened) {
		t.Errorf("seen were %v, want %v", types, happened)
	}
	// Of a commit's two events the last one has the id.
	if ids[0] != "" || ids[1] == "" || ids[2] == "" || ids[3] == "" {
		t.Errorf("the ids are %q", ids)
	}

	all, _ := r.live(t, "/v1/events/live?after="+ids[1])
	if e := all.next(); e.Type != "PaymentVoided" || e.Key != "p-o-1" {
		t.Errorf("after %s comes %+v", ids[1], e)
	}
	if e := all.next(); e.Key != "p-other" {
		t.Errorf("and then %+v", e)
	}
	sagas, _ := r.live(t, "/v1/sagas/live", "Last-Event-ID", "0-0")
	if e := sagas.next(); e.Category != "fulfilment" || e.Version != 1 || e.EventID == "" || string(e.Data) == "" || e.Time.IsZero() {
		t.Errorf("of sagas is seen %+v", e)
	}
}

// Whoever comes back with the last id that he got misses nothing and sees nothing
// out of order, wherever he broke off, while more is being stored.
func TestNothingIsMissedByWhoComesBack(t *testing.T) {
	const commits = 300
	r := newRig(t, gateway.Config{Live: live.Config{Queue: 16}})
	s, _ := r.live(t, "/v1/orders/o-1/live")
	begun := s.beat()
	s.close()
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		for i := range commits {
			r.Append("order", "o-1", events.ItemRemoved{LineID: fmt.Sprint(i)}, events.ItemRemoved{LineID: fmt.Sprint(i)})
			r.Append("order", "other", events.ItemRemoved{LineID: "x"})
		}
	}()
	last, version := begun, uint64(0)
	for lives := 0; version < 2*commits; lives++ {
		s, refused := r.live(t, "/v1/orders/o-1/live", "Last-Event-ID", last)
		if s == nil {
			t.Fatalf("refused with %s", refused.Status)
		}
		for range 1 + lives*7%23 { // breaks off within a commit too
			if version == 2*commits {
				break
			}
			e, more := s.more()
			if !more {
				break // it was too slow, and comes back like those that broke off
			}
			switch {
			case e.Version == version+1:
				version++
			case e.Version > version+1:
				t.Fatalf("after version %d came %d: %d are missed", version, e.Version, e.Version-version-1)
			}
			last = e.last
			if last == "" {
				t.Fatalf("version %d came without an id to come back with", e.Version)
			}
		}
		s.close()
	}
	<-stored
	r.Until("all streams are closed", func() bool { return r.metric(t, "http_live_streams") == "0" })
}

func TestASlowClientIsDroppedAndOthersAreNot(t *testing.T) {
	t.Parallel() // it waits for the end of a client's time, which the other one must never need
	r := newRig(t, gateway.Config{Live: live.Config{Queue: 4, Patience: 10 * time.Second}},
		func(s *http.Server) { s.ConnContext = servicetest.HoldLittle })
	quick, _ := r.live(t, "/v1/events/live")
	quick.beat()
	// A client who asks and then takes nothing.
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	r.Check(err)
	defer conn.Close()
	r.Check(conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprintf(conn, "GET /v1/events/live HTTP/1.1\r\nHost: x\r\n\r\n")
	r.Check(err)
	r.Until("both are open", func() bool { return r.metric(t, "http_live_streams") == "2" })
	large := strings.Repeat("x", 50_000)
	for range 20 { // 1 MB, which no connection of this server holds for a client who takes nothing
		r.Append("order", "o-1", events.OrderCancelled{Reason: large})
		quick.next() // takes it, so that it is never behind
	}
	r.Until("he was dropped", func() bool { return r.metric(t, "http_live_streams") == "1" })
	if slow := r.metric(t, `http_live_ended_total{why="slow"}`); slow != "1" {
		t.Errorf("%s were counted as slow", slow)
	}
	r.Append("order", "o-1", events.OrderCancelled{Reason: "the end"})
	if e := quick.next(); !strings.Contains(string(e.Data), "the end") {
		t.Errorf("the other one sees %.100s", e.Data)
	}
}

func TestADeadClientIsForgotten(t *testing.T) {
	r := newRig(t, gateway.Config{Live: live.Config{Heartbeat: 20 * time.Millisecond}})
	for range 20 {
		s, _ := r.live(t, "/v1/sagas/live")
		s.close()
	}
	r.Until("nobody is there", func() bool { return r.metric(t, "http_live_streams") == "0" })
	if left := r.metric(t, `http_live_ended_total{why="left"}`); left != "20" {
		t.Errorf("%s have left, of 20", left)
	}
}

// A stream outlives the times in which a request must be read and answered, shows that it lives,
// and tells a client where to come back even when nothing of his has happened.
func TestASilentStreamLives(t *testing.T) {
	t.Parallel() // it waits for the end of those times
	const most = 5 * time.Second
	r := newRig(t, gateway.Config{Live: live.Config{Heartbeat: 20 * time.Millisecond}},
		func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = most, most })
	opened := time.Now()
	s, _ := r.live(t, "/v1/orders/o-1/live")
	begun := s.beat()
	r.happen("another")
	last, err := r.Store.Last(t.Context())
	r.Check(err)
	for at := begun; at != last.String(); at = s.beat() {
	}
	for time.Since(opened) < most+most/2 {
		s.beat()
	}
	r.happen("o-1")
	if e := s.next(); e.Type != "OrderCreated" {
		t.Errorf("seen is %+v", e)
	}
}

func TestStreamsEnd(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config()})
	var short *stream
	for lasts := 2 * time.Second; short == nil; lasts *= 2 { // until it is there before its token ends
		soon := issuer.Sign("ed-1", issuer.Claims("c-1", map[string]any{"exp": time.Now().Add(lasts).Unix()}, signin.Auditor))
		short, _ = r.live(t, "/v1/events/live", "Authorization", "Bearer "+soon)
	}
	long, _ := r.live(t, "/v1/events/live", "Authorization", "Bearer "+issuer.Token("c-2", signin.Auditor))
	long.beat()
	short.end() // with its token
	if r.metric(t, `http_live_ended_total{why="expired"}`) != "1" {
		t.Error("its end was not counted")
	}
	r.stop()
	long.end() // with the gateway
	if s, answer := r.live(t, "/v1/events/live", "Authorization", "Bearer "+issuer.Token("c-2", signin.Auditor)); s != nil || answer.StatusCode != 503 {
		t.Errorf("a gateway that has stopped answers %s", answer.Status)
	}
}

func TestStreamsThatAreRefused(t *testing.T) {
	issuer := signintest.New(t)
	r := newRig(t, gateway.Config{SignIn: issuer.Config(), Live: live.Config{PerSubject: 2, Streams: 3, Behind: 5}})
	for range 3 {
		r.happen("o-1") // 15 commits
	}
	as := func(subject string) string { return "Bearer " + issuer.Token(subject, signin.Auditor) }
	for _, c := range []struct {
		name, path, id string
		status         int
		code           string
	}{
		{"no id", "/v1/events/live", "yesterday", 400, "bad_position"},
		{"an id in words, in the query", "/v1/events/live?after=yesterday", "", 400, "bad_position"},
		{"an id of another spelling", "/v1/events/live", "00-15", 400, "bad_position"},
		{"an id that nothing has yet", "/v1/events/live", "0-1000", 400, "bad_position"},
		{"an id of long ago", "/v1/events/live", "0-1", 410, "too_far_behind"},
		{"an unknown parameter", "/v1/events/live?since=1", "", 400, "bad_request"},
	} {
		_, answer := r.live(t, c.path, "Authorization", as("a-1"), "Last-Event-ID", c.id)
		var p service.Problem
		r.Check(json.UnmarshalRead(answer.Body, &p))
		if answer.StatusCode != c.status || p.Code != c.code {
			t.Errorf("%s: %d %+v, want %d %s", c.name, answer.StatusCode, p, c.status, c.code)
		}
	}
	open := func(subject string, want int) {
		t.Helper()
		_, answer := r.live(t, "/v1/events/live", "Authorization", as(subject))
		if answer.StatusCode != want || want == 429 && answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s is answered %s, want %d", subject, answer.Status, want)
		}
	}
	open("a-1", 200)
	open("a-1", 200)
	open("a-1", 429) // for one subject
	open("a-2", 200)
	open("a-3", 429) // for all
}

// metric is a metric's value, as text.
func (r *rig) metric(t testing.TB, name string) string {
	t.Helper()
	mux := http.NewServeMux()
	service.HandleMetrics(mux, r.env.Metrics)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
