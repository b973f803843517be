package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var ownPairs = flag.Int("pairs", 1_000, "how many `pairs` of a command and a query TestWritersSeeTheirOwnWrites sends")

// lanes are who sends pairs beside each other, each about an order of his own.
const lanes = 8

// Whoever changes an order by a command over NATS, and asks for it with the revision
// that the reply carried, is shown the change, by every query that takes one. The views
// are rebuilt meanwhile, so that versions take over and are dropped under the queries.
// The bar is 10,000 pairs:
//
//	go test ./test/e2e -run TestWritersSeeTheirOwnWrites -v -pairs 10000
func TestWritersSeeTheirOwnWrites(t *testing.T) {
	s := up(t, "--ephemeral", "--log-level", "error")
	nc := connect(t, s)
	defer nc.Close()
	begun := time.Now()
	var writers, others sync.WaitGroup
	var pairs, again atomic.Int64
	for n := range lanes {
		writers.Go(func() {
			l := lane{t: t, nc: nc, order: fmt.Sprint("o-", n), again: &again}
			l.revision, l.version = l.command("create", "0", fmt.Sprintf(`{"customer_id":"c-%d","currency":"EUR"}`, n))
			for i := range *ownPairs / lanes {
				if t.Failed() {
					return
				}
				l.pair(n, i)
				pairs.Add(1)
			}
		})
	}
	done := make(chan struct{})
	rebuilt := 0
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if r := s.tool(t, "orderflow", "projections", "rebuild", "orders", "--wait", "--timeout", patience.String()); r.status != 0 {
				t.Errorf("the rebuild: %d %s", r.status, r.stderr)
				return
			}
			rebuilt++
		}
	})
	writers.Wait()
	took := time.Since(begun)
	close(done)
	others.Wait()
	if n := pairs.Load(); n != int64(*ownPairs/lanes*lanes) || rebuilt == 0 {
		t.Errorf("%d pairs were sent, and the view was rebuilt %d times", n, rebuilt)
	}
	t.Logf("%d pairs in %v, %.0f a second; %d queries were asked again, %d rebuilds", pairs.Load(), took.Round(time.Millisecond), float64(pairs.Load())/took.Seconds(), again.Load(), rebuilt)
	s.interrupt(t)
}

// lane is one writer.
type lane struct {
	t        *testing.T
	nc       *nats.Conn
	order    string
	revision string // of his last write
	version  int
	again    *atomic.Int64
}

// pair is a command, and a query that shows what it did.
func (l *lane) pair(n, i int) {
	address := fmt.Sprint("addr-", i)
	before := l.version
	l.revision, l.version = l.command("set-shipping", fmt.Sprint(i+1), fmt.Sprintf(`{"address_ref":%q,"country":"DE"}`, address))
	if l.version != before+1 {
		l.t.Errorf("%s was at version %d, and a change made it %d", l.order, before, l.version)
	}
	type shown struct {
		Version  int `json:"version"`
		Shipping struct {
			AddressRef string `json:"address_ref"`
		} `json:"shipping"`
	}
	var o shown
	switch i % 2 {
	case 0:
		l.query("query.orders.get", fmt.Sprintf(`{"order_id":%q,"min_revision":%q}`, l.order, l.revision), &o)
		if o.Shipping.AddressRef != address {
			l.t.Errorf("%s is shown to go to %q, and %s made it go to %q", l.order, o.Shipping.AddressRef, l.revision, address)
		}
	case 1:
		var page struct {
			Orders []shown `json:"orders"`
		}
		l.query("query.orders.list", fmt.Sprintf(`{"customer_id":"c-%d","min_revision":%q}`, n, l.revision), &page)
		if len(page.Orders) != 1 {
			l.t.Errorf("the customer of %s has %d orders", l.order, len(page.Orders))
			return
		}
		o = page.Orders[0]
	}
	if o.Version != l.version {
		l.t.Errorf("%s is shown at version %d, and %s made it %d", l.order, o.Version, l.revision, l.version)
	}
}

// command sends one until it is answered for good.
func (l *lane) command(verb, id, body string) (revision string, version int) {
	msg := nats.NewMsg("cmd.order." + l.order + "." + verb)
	msg.Header.Set("Command-Id", l.order+"/"+id)
	msg.Data = []byte(body)
	var reply struct {
		Revision string `json:"revision"`
		Version  int    `json:"version"`
	}
	l.until(msg, &reply, "busy", "timeout", "unknown_outcome") // the same id has one effect
	return reply.Revision, reply.Version
}

// query asks until the view has come so far.
func (l *lane) query(subject, body string, v any) {
	l.until(&nats.Msg{Subject: subject, Data: []byte(body)}, v, "busy", "not_yet", "timeout")
}

func (l *lane) until(msg *nats.Msg, v any, passing ...string) {
	for deadline := time.Now().Add(patience); ; {
		answer, err := l.nc.RequestMsg(msg, patience)
		if err != nil {
			l.t.Errorf("%s %s: %v", msg.Subject, msg.Data, err)
			return
		}
		code := answer.Header.Get("Nats-Service-Error")
		if code == "" {
			if err := json.Unmarshal(answer.Data, v); err != nil {
				l.t.Errorf("%s: %s: %v", msg.Subject, answer.Data, err)
			}
			return
		}
		if !slices.Contains(passing, code) || time.Now().After(deadline) {
			l.t.Errorf("%s %s: %s", msg.Subject, msg.Data, answer.Data)
			return
		}
		l.again.Add(1)
	}
}
