//go:build browser

package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// decide opens the dialog of what can be done with a version, and confirms it.
func (tb *tab) decide(verb, of string) {
	tb.Helper()
	tb.click("#open-" + verb + "-" + of)
	tb.see("#" + verb + "-" + of + "[open]")
	tb.click("#" + verb + "-" + of + ` button[type="submit"]`)
}

// A view is rebuilt, promoted, gone back from, and its other version paused, resumed and
// dropped, each after a question; a form that is sent again changes nothing more.
func TestViewsAreRebuilt(t *testing.T) {
	system := upFor(t)
	tb := openAt(t, system.http)
	tb.expect("409")
	state := func(name, state string) {
		t.Helper()
		tb.see(`tr[data-projection="` + name + `"][data-state="` + state + `"]`)
	}
	tb.visit("projections")
	state("orders_v1", "live")
	tb.click("#open-rebuild-orders_v1")
	tb.see("#rebuild-orders_v1[open]")
	tb.click(`#rebuild-orders_v1 input[name="by_hand"]`)
	tb.click(`#rebuild-orders_v1 button[type="submit"]`)
	state("orders_v2", "standby") // although no event tells of it
	tb.decide("pause", "orders_v2")
	state("orders_v2", "paused")
	tb.decide("resume", "orders_v2")
	state("orders_v2", "standby")
	again := evaluate[string](tb, `JSON.stringify([...new FormData(document.querySelector("#promote-orders_v2 form"))])`)
	tb.decide("promote", "orders_v2")
	state("orders_v2", "live")
	tb.see(`tr[data-projection="orders_v1"] .chip.quiet`)
	if got := tb.text(`tr[data-projection="orders_v1"] .chip.quiet`); got != "previous" {
		t.Errorf("the version that was live before is marked as %q", got)
	}
	tb.decide("promote", "orders_v1")
	state("orders_v1", "live")
	// The form that had promoted the other one is sent again.
	if at := evaluateAsync[string](tb, `(async () => (await fetch("/console/projections/orders_v2/promote", {method: "POST", body: new URLSearchParams(`+again+`)})).url)()`); !strings.HasSuffix(at, "/console/projections") {
		t.Errorf("it is answered at %s", at)
	}
	tb.visit("projections")
	state("orders_v1", "live")
	tb.decide("drop", "orders_v2")
	state("orders_v1", "live")
	tb.gone(`tr[data-projection="orders_v2"]`)

	// The order of a customer who never opened it cannot be counted: it is parked, and
	// who releases it is told that nothing has changed.
	store, err := esjs.Open(t.Context(), esjs.DialURL(system.nats), esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Append(context.Background(), esjs.StreamID{Category: "order", Key: "o <parked>"}, esjs.Any(), events.OrderCompleted{}); err != nil {
		t.Fatal(err)
	}
	tb.see("#open-release-customers_v1-0")
	tb.decide("release", "customers_v1-0")
	tb.see("#refusal")
	if got := tb.text("#refusal"); !strings.Contains(got, "still_failing") || !strings.Contains(got, "o <parked>") {
		t.Errorf("it says %q", got)
	}
	tb.see("#open-release-customers_v1-0")
}
