package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// place sends the commands of an order up to its submission, over one connection.
func place(t *testing.T, nc *nats.Conn, id, method string) {
	t.Helper()
	for _, step := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"` + method + `"}`},
	} {
		msg, err := nc.Request("cmd.order."+id+"."+step[0], []byte(step[1]), patience)
		if err != nil || msg.Header.Get("Nats-Service-Error") != "" {
			t.Fatalf("%s of %s: %v %+v", step[0], id, err, msg)
		}
	}
}

// submit repeats the submission, always with the same command id, until it is answered.
func submit(t *testing.T, s *system, id string) {
	t.Helper()
	answer, code := s.request(t, "cmd.order."+id+".submit", `{}`, "Command-Id:submit-"+id)
	if code != "" {
		t.Fatalf("submit %s again: %s", id, answer)
	}
}

func connect(t *testing.T, s *system) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.nats, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// The program is killed at moments that nobody chose, from right after an order
// was submitted until after it has ended; started again, every order completes,
// is paid once and takes its goods out of stock once. Half of the orders have a
// slow bank, so that kills meet calls to it that are under way.
func TestKilledAtAnyMomentOrdersCompleteOnce(t *testing.T) {
	const kills = 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	delays := make([]time.Duration, kills)
	for i := range delays {
		whole := 120 * time.Millisecond // what a quick order takes, and more
		if slow(i) {
			whole = 2400 * time.Millisecond // two answers of a slow bank
		}
		delays[i] = time.Duration(random.Int64N(int64(whole)))
	}
	t.Logf("killed after %v", delays)

	dir := t.TempDir()
	s := up(t, "--data", dir)
	s.stocked(t, "beans-1kg", 100)
	ids := make([]string, kills)
	for i, delay := range delays {
		ids[i] = fmt.Sprintf("o-%d", i+1)
		nc := connect(t, s)
		method := "card-ok"
		if slow(i) {
			method = "card-slow"
		}
		place(t, nc, ids[i], method)
		msg := nats.NewMsg("cmd.order." + ids[i] + ".submit")
		msg.Header.Set("Command-Id", "submit-"+ids[i])
		msg.Data = []byte(`{}`)
		if err := nc.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		<-time.After(delay) // the moment of the kill
		s.kill(t)
		nc.Close()
		s = up(t, "--data", dir)
		submit(t, s, ids[i]) // nobody has heard the first answer
	}
	for _, id := range ids {
		await(t, func() order { return s.shown(t, id) }, "Completed")
	}
	s.paidOnce(t, kills)
	if stock := s.stock(t, "beans-1kg"); stock != (level{OnHand: 100 - 2*kills, Available: 100 - 2*kills}) {
		t.Errorf("the stock is %+v after %d orders of 2 from 100", stock, kills)
	}
	s.interrupt(t)
}

// Some orders have a slow bank.
func slow(i int) bool { return i%2 == 1 }

// Ctrl-C while orders are in flight is no crash: it ends cleanly, and what was
// begun goes on at the next start.
func TestInterruptedInFlightOrdersGoOn(t *testing.T) {
	dir := t.TempDir()
	s := up(t, "--data", dir)
	s.stocked(t, "beans-1kg", 100)
	nc := connect(t, s)
	ids := []string{"quick", "slow"}
	place(t, nc, "quick", "card-ok")
	place(t, nc, "slow", "card-slow")
	for _, id := range ids {
		submit(t, s, id)
	}
	nc.Close()
	s.interrupt(t)
	s = up(t, "--data", dir)
	for _, id := range ids {
		await(t, func() order { return s.shown(t, id) }, "Completed")
	}
	s.paidOnce(t, len(ids))
	s.interrupt(t)
}

// paidOnce asks the payment provider's own ledger: so many payments, each
// captured once and in full.
func (s *system) paidOnce(t *testing.T, payments int) {
	t.Helper()
	var ledger struct {
		Payments []struct {
			Reference      string `json:"reference"`
			Status         string `json:"status"`
			Captured       money  `json:"captured"`
			Authorisations int    `json:"authorisations"`
			Captures       int    `json:"captures"`
			Voids          int    `json:"voids"`
		} `json:"payments"`
	}
	if status := ask(t, "GET", s.partners+"/psp/v1/payments", "", &ledger); status != 200 || len(ledger.Payments) != payments {
		t.Errorf("the provider's ledger (%d) has %d payments, want %d", status, len(ledger.Payments), payments)
	}
	for _, p := range ledger.Payments {
		if p.Status != "captured" || p.Captures != 1 || p.Authorisations != 1 || p.Voids != 0 || p.Captured != (money{"49.80", "EUR"}) {
			t.Errorf("the provider has %+v, want one capture of 49.80 EUR", p)
		}
	}
}

type level struct {
	OnHand    int `json:"on_hand"`
	Reserved  int `json:"reserved"`
	Available int `json:"available"`
}

// stock reads a sku's level from the answer to a command that changes nothing.
func (s *system) stock(t *testing.T, sku string) (l level) {
	t.Helper()
	var reply struct {
		EventIDs []string `json:"event_ids"`
		State    level    `json:"state"`
	}
	answer, code := s.request(t, "cmd.stock."+sku+".register", `{}`)
	decode(t, answer, &reply)
	if code != "" || !slices.Equal(reply.EventIDs, []string{}) {
		t.Errorf("registering again answers %s", answer)
	}
	return reply.State
}
