//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/nats-io/nats.go"
)

// judged is a shop whose partners know of some payments.
func judged(t *testing.T, payments ...partners.Payment) *shop {
	books := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/psp/") {
			_ = json.NewEncoder(w).Encode(map[string]any{"payments": payments})
			return
		}
		fmt.Fprint(w, `{"shipments":[]}`)
	}))
	t.Cleanup(books.Close)
	return &shop{r: newRecorder(), partners: books.URL, program: "true"}
}

func TestTheJudgeOfOrdersObjects(t *testing.T) {
	store := esjstest.Server(t).Store(t)
	for what, c := range map[string]struct {
		placed   []string
		payments []partners.Payment
		says     string
	}{
		"nothing happened":                 {},
		"an order is lost":                 {placed: []string{"o-1"}, says: "of the orders that were placed [o-1] are not stored"},
		"the PSP has money we do not know": {payments: []partners.Payment{{Reference: "o-1/1", Captured: partners.Money{Amount: "1.00", Currency: "EUR"}, Captures: 1}}, says: "P6"},
	} {
		s := judged(t, c.payments...)
		for _, id := range c.placed {
			s.r.placed(id, false)
		}
		if err := s.judge(t.Context(), store, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(s.r.h.Wrong, "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: objected %q, want %q", what, got, c.says)
		}
		for _, o := range s.r.h.Orders {
			if o.End != history.NotStored {
				t.Errorf("%s: %+v", what, o)
			}
		}
	}
}

// The judge objects to a view that shows something else, and to what orderflow verify finds.
func TestWhatIsShownIsJudged(t *testing.T) {
	d := esjstest.Server(t)
	store, nc := d.Store(t), d.Connect(t)
	shows := order.Paid
	_, err := nc.Subscribe(queries.OrderGet.Subject, func(m *nats.Msg) { _ = m.Respond(fmt.Appendf(nil, `{"state":%q}`, shows)) })
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shows   order.Status
		program string
		says    string
	}{
		{order.Completed, "true", ""},
		{order.Paid, "true", "the view of orders shows o-1 as Paid"},
		{order.Completed, "false", "orderflow verify --each-replica: exit status 1"},
	} {
		s := judged(t)
		s.program, shows = c.program, c.shows
		folded := truth.NewShop()
		folded.Orders["o-1"] = order.State{Status: order.Completed}
		if err := s.shown(t.Context(), store, folded, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(s.r.h.Wrong, "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("shown as %s, verified by %s: objected %q, want %q", c.shows, c.program, got, c.says)
		}
	}
}

func TestTimesOfAnAggregateThatDecreaseAreTold(t *testing.T) {
	at := func(key string, version uint64, second int) esjs.Record {
		return esjs.Record{Stream: esjs.StreamID{Category: "order", Key: key}, Version: version, Time: time.Unix(int64(second), 0)}
	}
	log := func(all ...esjs.Record) iter.Seq2[esjs.Record, error] {
		return func(yield func(esjs.Record, error) bool) {
			for _, r := range all {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	if err := timed(log(at("a", 1, 5), at("b", 1, 4), at("a", 2, 5), at("b", 2, 6))); err != nil {
		t.Error(err)
	}
	if err := timed(log(at("a", 1, 5), at("b", 1, 4), at("a", 2, 4))); err == nil {
		t.Error("a decreasing time is not told")
	}
}

// A command at the gateway is sent again until it is answered for good.
func TestCommandsAtTheGatewayAreSentUntilTheyAreAnswered(t *testing.T) {
	answers := []struct {
		status int
		body   string
	}{{503, `{"code":"unavailable"}`}, {502, `no problem`}, {504, `{"code":"timeout"}`}, {409, `{"code":"too_late"}`}}
	n := 0
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "o-1/cancel" || (r.Header.Get("If-Match") == "*") != strings.Contains(r.URL.Path, "set-") {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		w.WriteHeader(answers[n].status)
		fmt.Fprint(w, answers[n].body)
		n++
	}))
	t.Cleanup(gateway.Close)
	if code, err := posted(t.Context(), gateway.URL+"/v1/orders/o-1/cancel", "o-1/cancel", "{}"); err != nil || code != "too_late" || n != len(answers) {
		t.Errorf("%d answers, then %q, %v", n, code, err)
	}
}
