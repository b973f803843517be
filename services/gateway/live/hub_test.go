package live

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/prometheus/client_golang/prometheus"
)

// reader is a client of a hub.
type reader struct {
	t     *testing.T
	lines *bufio.Reader
	id    string // the last one that it was given
}

func connect(t *testing.T, url, lastEventID string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(headerLastEventID, lastEventID)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return &reader{t: t, lines: bufio.NewReader(answer.Body)}
}

// next returns the data of the next event; "" when the stream has ended in good order.
func (r *reader) next() string {
	r.t.Helper()
	for {
		line, err := r.lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if id, found := strings.CutPrefix(line, "id: "); found {
			r.id = strings.TrimSpace(id)
		}
		if data, found := strings.CutPrefix(line, "data: "); found {
			return data
		}
	}
}

// served is a hub as an operator sees it.
func served(h *Hub) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(signin.With(r.Context(), signin.Principal{Subject: "op-1", Roles: []signin.Role{signin.Operator}}))
		if err := h.Serve(w, r, Topic{}, ""); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
}

// A hub that loses its subscription ends its streams and tries again at once, and from
// then on not more often than it may; when it follows again nobody has missed anything.
func TestALostSubscriptionComesBack(t *testing.T) {
	house := servicetest.New(t, events.Types)
	lost := house.Server.Store(t)
	h, err := New(lost, Config{}, NewMetrics(prometheus.NewRegistry()))
	house.Check(err)
	waits := make(chan time.Duration)
	h.again = 0 // it has followed for longer than that when it is lost
	h.pause = func(ctx context.Context, d time.Duration) {
		select {
		case waits <- d:
		case <-ctx.Done():
		}
	}
	var mended atomic.Bool
	news, failures := make(chan error, 10), 0
	house.Run(func(ctx context.Context) error {
		return h.Run(ctx, func(why error) {
			if why != nil {
				if failures++; failures > 1 {
					h.again = time.Hour
				}
				if mended.Load() {
					h.store = house.Store
				}
			}
			news <- why
		})
	})
	follows := func(want bool) {
		t.Helper()
		select {
		case why := <-news:
			if (why == nil) != want {
				t.Fatalf("told was %v", why)
			}
		case <-time.After(servicetest.Patience):
			t.Fatal("nothing was told")
		}
	}
	web := httptest.NewServer(served(h))
	t.Cleanup(web.Close)
	happens := func(reason string) { house.Append("order", "o-1", events.OrderCancelled{Reason: reason}) }

	follows(true)
	client := connect(t, web.URL, "0-0")
	happens("one")
	if got := client.next(); !strings.Contains(got, "one") {
		t.Errorf("the first event is %q", got)
	}
	lost.Close()
	if got := client.next(); got != "" {
		t.Errorf("after the subscription was lost came %q", got)
	}
	happens("two")
	follows(false)
	if d := <-waits; d > 0 {
		t.Errorf("it tries again in %v, and not at once", d)
	}
	for i := range 3 { // in vain
		follows(false)
		mended.Store(i == 2) // before the next attempt
		if d := <-waits; d < 50*time.Minute {
			t.Errorf("after an attempt in vain it tries again in %v", d)
		}
	}
	follows(false)
	<-waits
	follows(true)
	happens("three")
	client = connect(t, web.URL, client.id)
	for _, want := range []string{"two", "three"} {
		if got := client.next(); !strings.Contains(got, want) {
			t.Errorf("who has come back is told %q, want %s", got, want)
		}
	}
}

// followed is a hub that follows a store and is served.
func followed(t *testing.T, cfg Config) (house *servicetest.House[events.Event], h *Hub, web *httptest.Server) {
	t.Helper()
	house = servicetest.New(t, events.Types)
	h, err := New(house.Store, cfg, NewMetrics(prometheus.NewRegistry()))
	house.Check(err)
	follows := make(chan struct{}, 1)
	house.Run(func(ctx context.Context) error {
		return h.Run(ctx, func(why error) {
			if why == nil {
				follows <- struct{}{}
			}
		})
	})
	<-follows
	web = httptest.NewUnstartedServer(served(h))
	web.Config.ConnContext = servicetest.HoldLittle
	web.Start()
	t.Cleanup(func() {
		web.CloseClientConnections() // and with them the streams, for which Close waits
		web.Close()
	})
	return house, h, web
}

// Clients who take what they missed very slowly keep nobody else from reading what he missed.
func TestSlowReadersOfThePastKeepNobodyUp(t *testing.T) {
	house, h, web := followed(t, Config{Patience: time.Hour})
	url := web.URL
	large := strings.Repeat("x", 50_000)
	for range 20 { // 1 MB, which no connection of this server holds for a client who takes nothing
		house.Append("order", "o-1", events.OrderCancelled{Reason: large})
	}
	house.Until("the hub has seen them", func() bool { return h.position().Sequence() >= 20 })
	for range 2 * cap(h.reading) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		house.Check(err)
		t.Cleanup(func() { _ = conn.Close() })
		house.Check(errors.Join(conn.(*net.TCPConn).SetReadBuffer(4096), conn.SetDeadline(time.Now().Add(servicetest.Patience))))
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0-0\r\n\r\n")
		house.Check(err)
		for taken := ""; !strings.Contains(taken, "data:"); { // he is told of the past, and takes no more of it
			part := make([]byte, 256)
			n, err := conn.Read(part)
			house.Check(err)
			taken += string(part[:n])
		}
	}
	client := connect(t, url, "0-0")
	defer time.AfterFunc(servicetest.Patience, web.CloseClientConnections).Stop()
	for range 20 {
		if got := client.next(); !strings.Contains(got, "xxx") {
			t.Fatalf("who is quick is told %.100q", got)
		}
	}
}

// Who waits until others have read is shown that the stream lives.
func TestWhoWaitsToReadThePastIsToldSo(t *testing.T) {
	house, h, web := followed(t, Config{Heartbeat: 10 * time.Millisecond})
	house.Append("order", "o-1", events.OrderCancelled{Reason: "one"})
	house.Until("the hub has seen it", func() bool { return h.position().Sequence() >= 1 }) // it is the past, and not told as it happens
	for range cap(h.reading) {
		h.reading <- struct{}{}
	}
	client := connect(t, web.URL, "0-0")
	for beats := 0; beats < 3; {
		line, err := client.lines.ReadString('\n')
		house.Check(err)
		if strings.HasPrefix(line, ": still here") {
			beats++
		}
	}
	<-h.reading
	if got := client.next(); !strings.Contains(got, "one") {
		t.Errorf("then comes %q", got)
	}
}

// Who takes too long for all that he missed is let go, and comes back for the rest of it.
func TestWhoCatchesUpSlowlyComesBackForTheRest(t *testing.T) {
	house, h, web := followed(t, Config{CatchUp: time.Nanosecond})
	want := []string{"one", "two", "three"}
	for _, reason := range want {
		house.Append("order", "o-1", events.OrderCancelled{Reason: reason + strings.Repeat("x", pageBytes)})
	}
	house.Until("the hub has seen them", func() bool { return h.position().Sequence() >= 3 })
	last := "0-0"
	for i, reason := range want {
		client := connect(t, web.URL, last)
		if got := client.next(); !strings.Contains(got, `"`+reason+"x") {
			t.Errorf("after %s comes %.100q, want %s", last, got, reason)
		}
		if last = client.id; i < len(want)-1 {
			if got := client.next(); got != "" {
				t.Errorf("he is not let go, and told %.100q", got)
			}
		}
	}
}
