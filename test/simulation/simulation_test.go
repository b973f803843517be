package simulation

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

var (
	firstSeed = flag.Uint64("seed", 0, "the first shop's `seed`; the next shops' are the numbers after it. 0: of the clock")
	wanted    = flag.Int("orders", generated, "how many `orders` are generated, in shops of 20")
)

// ordersPerShop share one stock, one clock and the partners.
const ordersPerShop = 20

// envs are what the desks run in; they count, and log to nobody.
var envs sync.Map

func env(name string) *service.Env {
	e, _ := envs.LoadOrStore(name, &service.Env{Name: name, Log: zerolog.Nop(), Metrics: service.NewMetrics(), Health: service.NewHealth()})
	return e.(*service.Env)
}

// shop runs one shop in a bubble of its own, in which time is simulated.
func shop(t *testing.T, seed uint64, d defect) (w *world) {
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, d)
		if err := w.open(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		policy := fulfilment.DefaultPolicy()
		if w.rand.IntN(2) == 0 { // gives up soon
			policy.Reserve.Attempts, policy.Book.Attempts, policy.Confirm.Attempts = 2, 2, 2
			policy.AuthorizeCheck.Attempts, policy.CaptureCheck.Attempts, policy.Compensate.Attempts, policy.Dispatch.Attempts = 2, 2, 2, 2
			policy.Book.First = 5 * time.Second // too soon for shipping to ask a carrier that is away again
			policy.MethodWindow = time.Duration(w.rand.IntN(2)) * time.Minute
		}
		if err := w.addSagas(policy); err != nil {
			t.Fatal(err)
		}
		for _, sku := range sortedKeys(goods) {
			w.stockUp(sku, 5+w.rand.IntN(40))
		}
		for i := range ordersPerShop {
			w.customers = append(w.customers, &customer{w: w, id: fmt.Sprint("o-", i+1)})
		}
		w.run(t.Context(), 400+w.rand.IntN(1800))
		if err := w.partners.stop(); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// Properties P1 to P6 under generated faults: of the partners, by rate; of programs
// that die between any two steps and read again; of webhooks that come twice, late
// and out of order; of customers who change their mind; of operators who decide in
// right and in wrong states, and twice.
//
//	P1 stock is conserved and never negative
//	P2 captured <= authorised, refunded <= captured
//	P3 a terminal order tells the truth
//	P4 every saga ends or asks for attention
//	P5 replayed twice it is the same, and from a snapshot as from the beginning
//	P6 the PSP's ledger is ours, at most one capture per order that we asked for or used
//
// A failure names the shop's seed; the same shop is run again, and told, by
//
//	go test ./test/simulation -run TestProperties -orders 20 -v -seed SEED
func TestProperties(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) >> 20
	}
	shops := (*wanted + ordersPerShop - 1) / ordersPerShop
	// Worlds are made and left by the hundred; what they leave is collected less often.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	t.Logf("seeds %d to %d", seed, seed+uint64(shops)-1)
	var next, failed atomic.Int64
	var mu sync.Mutex
	ends, events, orders := map[string]int{}, 0, 0
	begun := time.Now()
	t.Run("shops", func(t *testing.T) {
		for worker := range 2 {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1) - 1; i < int64(shops) && failed.Load() < 3; i = next.Add(1) - 1 {
					w := shop(t, seed+uint64(i), sound)
					if len(w.shop.Violations) > 0 {
						failed.Add(1)
					}
					for _, v := range w.shop.Violations {
						t.Errorf("seed %d: %v", seed+uint64(i), v)
					}
					if t.Failed() && shops == 1 {
						t.Log("\n" + w.story(""))
					}
					mu.Lock()
					w.count(ends)
					events += len(w.log)
					orders += len(w.orders.states)
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d orders, %d events in %v", orders, events, time.Since(begun).Round(time.Second))
	for _, end := range sortedKeys(ends) {
		t.Logf("%6d %s", ends[end], end)
	}
	if t.Failed() {
		return
	}
	if orders != shops*ordersPerShop {
		t.Errorf("%d orders were generated, want %d", orders, shops*ordersPerShop)
	}
	if *wanted < 10_000 {
		return
	}
	attention := 0
	for end, n := range ends {
		if strings.Contains(end, "ATTENTION") {
			attention += n
		}
	}
	if attention*8 > orders {
		t.Errorf("of %d orders %d ask for attention, more than one of eight", orders, attention)
	}
	// What the orders were meant to meet they met.
	for _, end := range []string{
		"COMPLETED", "COMPENSATED out_of_stock", "COMPENSATED customer", "COMPENSATED declined", "COMPENSATED no_carrier",
		"COMPENSATED capture_failed", "COMPENSATED payment_unknown", "COMPENSATED carrier_timeout", "refund SETTLED", "refund ATTENTION refund_refused",
		"COMPENSATED operator", "operator may retry", "operator may resolve", "operator may compensate", "operator may release",
		"paid late by a card that was given up", "paid late and used", "paid late and undone", "money given back by hand",
		"operator may not retry", "operator may not resolve", "operator may not compensate", "operator may not release",
	} {
		if ends[end] == 0 {
			t.Errorf("of all orders none is %q", end)
		}
	}
}

// count adds how the sagas ended.
func (w *world) count(ends map[string]int) {
	for _, s := range w.shop.Fulfilments {
		end := string(s.Status)
		if s.Status == fulfilment.Compensated {
			end += " " + s.Compensation.Cause
		}
		if s.Attention != "" {
			end += " ATTENTION " + s.Attention
		}
		ends[end]++
	}
	w.countRefunds(ends)
	for what, n := range w.operators {
		ends[what] += n
	}
	ends["money given back by hand"] += len(w.givenBack)
	for id := range w.latecomers {
		switch f := w.shop.Fulfilments[w.payments.states[id].OrderID]; {
		case slices.Contains(f.PaymentsGivenUp, id):
			ends["paid late by a card that was given up"]++
		case f.Status == fulfilment.Completed:
			ends["paid late and used"]++
		default:
			ends["paid late and undone"]++
		}
	}
}

// A shop is the same each time: that is what makes a failure one that can be looked at.
func TestASeedIsAShop(t *testing.T) {
	seed := rand.Uint64()
	first, second := shop(t, seed, sound).types(), shop(t, seed, sound).types()
	if !slices.Equal(first, second) {
		for i := range min(len(first), len(second)) {
			if first[i] != second[i] {
				t.Fatalf("seed %d: event %d of %d and %d is\n%s\nand, again,\n%s", seed, i+1, len(first), len(second), first[i], second[i])
			}
		}
		t.Fatalf("seed %d: %d events, and %d", seed, len(first), len(second))
	}
}

// The checks can fail: each of these mistakes is found, by the property that it breaks.
func TestDefectsAreFound(t *testing.T) {
	for _, property := range []string{"P1", "P2", "P3", "P4", "P5", "P6"} {
		if !slices.Contains(slices.Collect(maps.Values(found)), property) {
			t.Errorf("no defect shows that %s can fail", property)
		}
	}
	for d, property := range found {
		t.Run(string(d), func(t *testing.T) {
			for i := range uint64(60) {
				seed := (late[d] + i) % 60
				w := shop(t, seed, d)
				for _, v := range w.shop.Violations {
					if v.Property == property {
						t.Logf("shop %d: %s: %s", seed+1, v.Property, v.Text[:min(len(v.Text), 300)])
						return
					}
				}
			}
			t.Errorf("in 60 shops nothing violates %s", property)
		})
	}
}
