package main

import (
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
)

func TestLoadPlacesOrders(t *testing.T) {
	p := up(t, t.TempDir(), "--ephemeral")
	status, stdout, stderr := once(t, t.TempDir(), "load", "--orders", "10", "--rate", "50", "--nats-url", p.natsURL)
	if want := "orders: 10 placed, 0 not,"; status != 0 || !strings.Contains(stdout, want) {
		t.Fatalf("load: %d %q %s, want %q", status, stdout, stderr, want)
	}
	ended := func(state queries.OrderState) int {
		var page queries.OrderPage
		if err := p.client.query(t.Context(), "query.orders.list", map[string]any{"state": state}, &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Orders)
	}
	for deadline := time.Now().Add(patience); ended(queries.Completed) != 9 || ended(queries.Rejected) != 1; <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d orders are completed and %d rejected, want 9 and 1", ended(queries.Completed), ended(queries.Rejected))
		}
	}
	for _, args := range [][]string{{"--rate", "0"}, {"--orders", "-1"}} {
		if status, _, stderr := once(t, t.TempDir(), append([]string{"load"}, args...)...); status != service.ExitUsage || !strings.Contains(stderr, args[0]) {
			t.Errorf("load %q: %d %s", args, status, stderr)
		}
	}
}
