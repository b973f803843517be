package e2e

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// customerPause is what a customer does between two orders: without it the log would grow as fast as the machine
// lets it, and a projector that begins anew would not catch up on the same machine.
const customerPause = time.Second

// customers place orders, each one after the other, until they are told to stop. A command that is not
// answered, or by a service that cannot take it now, is sent again with the same id.
type customers struct {
	stop     chan struct{}
	all      sync.WaitGroup
	mu       sync.Mutex
	placed   []string // orders whose submission was answered
	refused  []error
	repeated int
}

// customers lets n of them begin.
func (s *system) customers(t *testing.T, n int, opts ...nats.Option) *customers {
	t.Helper()
	c := &customers{stop: make(chan struct{})}
	for i := range n {
		nc, err := nats.Connect(s.nats, append([]nats.Option{nats.MaxReconnects(-1)}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		c.all.Go(func() {
			defer nc.Close()
			for k := 0; c.place(nc, fmt.Sprintf("o-%d-%d", i, k)); k++ {
			}
		})
	}
	t.Cleanup(func() { c.end(t) })
	return c
}

// place places one order; false when it is the customer's last one.
func (c *customers) place(nc *nats.Conn, id string) bool {
	for _, step := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"card-ok"}`},
		{"submit", `{}`},
	} {
		if err := c.insist(nc, "cmd.order."+id+"."+step[0], step[1]); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.refused = append(c.refused, fmt.Errorf("%s of %s: %w", step[0], id, err))
			return false
		}
	}
	c.mu.Lock()
	c.placed = append(c.placed, id)
	c.mu.Unlock()
	select {
	case <-c.stop:
		return false
	case <-time.After(customerPause):
		return true
	}
}

// insist sends a command until it is answered for good.
func (c *customers) insist(nc *nats.Conn, subject, body string) error {
	msg := &nats.Msg{Subject: subject, Header: nats.Header{"Command-Id": {subject}}, Data: []byte(body)}
	for deadline := time.Now().Add(2 * patience); ; {
		answer, err := nc.RequestMsg(msg, 5*time.Second)
		code := ""
		if err == nil {
			code = answer.Header.Get("Nats-Service-Error")
		}
		switch {
		case err == nil && code == "":
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("still %w %s", errors.Join(err), code)
		case err == nil && !slices.Contains([]string{"busy", "stopping", "unavailable", "unknown_outcome", "timeout"}, code):
			return fmt.Errorf("%s %s", code, answer.Data)
		}
		c.mu.Lock()
		c.repeated++
		c.mu.Unlock()
		<-time.After(50 * time.Millisecond) // it is sent again
	}
}

// so far are the orders that were placed.
func (c *customers) soFar() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.placed)
}

// end waits for each customer's last order, and returns all that were placed.
func (c *customers) end(t *testing.T) []string {
	t.Helper()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.all.Wait()
	for _, err := range c.refused {
		t.Error(err)
	}
	c.refused = nil
	return c.placed
}
