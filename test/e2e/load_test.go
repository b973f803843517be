package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/truth"
)

var (
	loadOrders = flag.Int("load-orders", 200, "how many `orders` are placed at once")
	loadSeed   = flag.Uint64("load-seed", 0, "`seed` of orders and faults; 0: of the clock")
)

// loadSKUs are scarce: there is less of them than is wanted.
const loadSKUs = 20

// Many customers at once want what there is too little of; some change their mind, some
// cards are declined, and the partners fail now and then. Stock is conserved, the two
// ledgers are equal, and every order ends truthfully or asks for attention. How fast it
// was is told and never a failure. The bar is 1,000 orders:
//
//	make load ORDERS=1000
func TestOrdersUnderLoad(t *testing.T) {
	seed := *loadSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	// The provider is asked again about what is unknown each ten seconds, and not each five minutes.
	policies := filepath.Join(t.TempDir(), "policies.json")
	if err := os.WriteFile(policies, []byte(`{"policies":[{"version":2,"authorize_check":{"max":"10s"},"capture_check":{"max":"10s"},"compensate":{"max":"10s"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := up(t, "--ephemeral", "--log-level", "error", "--policies", policies)
	nc := connect(t, s)
	defer nc.Close()
	wanted := 0
	plans := make([]plan, *loadOrders)
	for i := range plans {
		plans[i] = newPlan(rand.New(rand.NewPCG(seed, uint64(i))), i)
		for _, n := range plans[i].lines {
			wanted += n
		}
	}
	for sku := range loadSKUs {
		id := fmt.Sprint("sku-", sku)
		mustRequest(t, nc, "cmd.product."+id+".list", fmt.Sprintf(`{"name":"Thing %d","price":"%d.90","currency":"EUR"}`, sku, sku+1))
		mustRequest(t, nc, "cmd.stock."+id+".receive", fmt.Sprintf(`{"quantity":%d,"reference":"PO-1"}`, max(wanted*7/10/loadSKUs, 1)))
	}
	fail(t, s, []partners.Fault{
		{Partner: "psp", Kind: partners.KindError, Rate: 0.02}, {Partner: "psp", Kind: partners.KindReset, Rate: 0.02},
		{Partner: "psp", Kind: partners.KindUnavailable, Rate: 0.02}, {Partner: "psp", Kind: partners.KindTimeout, Rate: 0.002},
		{Partner: "psp", Kind: partners.KindDelay, DelayMS: 100, Rate: 0.05}, {Partner: "carrier", Kind: partners.KindError, Rate: 0.02},
		{Partner: "webhook", Kind: partners.KindDuplicate, Rate: 0.05}, {Partner: "webhook", Kind: partners.KindDelay, DelayMS: 200, Rate: 0.05},
	})

	var customers sync.WaitGroup
	begun := time.Now()
	for _, p := range plans {
		customers.Go(func() { p.play(t, nc) })
	}
	customers.Wait()
	if t.Failed() {
		return
	}
	placed := time.Since(begun)
	ctx := context.Background()
	store, err := esjs.Open(ctx, esjs.DialURL(s.nats), esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	shop := settled(t, s, store, len(plans))
	reportLoad(t, shop, begun, placed)
	reportSteps(t, store)
	s.interrupt(t)
}

// plan is what one customer will do.
type plan struct {
	id, method string
	lines      map[string]int // quantity by sku
	cancels    time.Duration  // after the submission; 0: never
}

func newPlan(random *rand.Rand, i int) plan {
	p := plan{id: fmt.Sprint("o-", i), method: "card-ok", lines: map[string]int{}}
	for range 1 + random.IntN(3) {
		p.lines[fmt.Sprint("sku-", random.IntN(loadSKUs))] = 1 + random.IntN(3)
	}
	switch random.IntN(20) {
	case 0:
		p.method = "card-declined"
	case 1:
		p.method = "card-capture-refused"
	case 2:
		p.method = "card-timeout"
	}
	if random.IntN(5) == 0 {
		p.cancels = time.Duration(1 + random.IntN(int(2*time.Second)))
	}
	return p
}

// play does it. Requests that a busy service does not take are sent again.
func (p plan) play(t *testing.T, nc *nats.Conn) {
	subject := "cmd.order." + p.id + "."
	requests := [][2]string{{"create", `{"customer_id":"c-1","currency":"EUR"}`}}
	for _, sku := range slices.Sorted(maps.Keys(p.lines)) {
		requests = append(requests, [2]string{"add-item", fmt.Sprintf(`{"sku":%q,"quantity":%d}`, sku, p.lines[sku])})
	}
	requests = append(requests, [][2]string{
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", fmt.Sprintf(`{"method_ref":%q}`, p.method)},
		{"submit", `{}`},
	}...)
	for i, r := range requests {
		if code := commanded(t, nc, subject+r[0], fmt.Sprint(p.id, "/", i), r[1]); code != "" {
			t.Errorf("%s%s: %s", subject, r[0], code)
			return
		}
	}
	if p.cancels == 0 {
		return
	}
	<-time.After(p.cancels) // the customer thinks
	switch code := commanded(t, nc, subject+"cancel", p.id+"/cancel", `{"reason":"changed_mind"}`); code {
	case "", "too_late", "already_ended":
	default:
		t.Errorf("%scancel: %s", subject, code)
	}
}

// commanded sends a command until it is answered for good, and returns the answer's
// code, "" for none.
func commanded(t *testing.T, nc *nats.Conn, subject, id, body string) (code string) {
	msg := nats.NewMsg(subject)
	msg.Header.Set("Command-Id", id)
	msg.Data = []byte(body)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		answer, err := nc.RequestMsg(msg, patience)
		if err != nil {
			t.Errorf("%s: %v", subject, err)
			return ""
		}
		switch code = answer.Header.Get("Nats-Service-Error"); code {
		case "busy", "timeout", "unknown_outcome": // of an overloaded server; the same id is handled once
		default:
			return code
		}
		<-time.After(100 * time.Millisecond) // it is asked again
	}
	return code
}

func mustRequest(t *testing.T, nc *nats.Conn, subject, body string) {
	t.Helper()
	if code := commanded(t, nc, subject, subject, body); code != "" {
		t.Fatalf("%s: %s", subject, code)
	}
}

// fail lets the partners fail by rate.
func fail(t *testing.T, s *system, faults []partners.Fault) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"faults": faults})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(s.partners+"/admin/faults", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the faults are refused: %s", answer.Status)
	}
}

// settled waits until every order has ended or asks for attention and the partners
// have told all their news, and returns what is stored.
func settled(t *testing.T, s *system, store *esjs.Store, orders int) *truth.Shop {
	t.Helper()
	ctx := context.Background()
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		t.Fatal(err)
	}
	var violations []truth.Violation
	for deadline := time.Now().Add(10 * patience); time.Now().Before(deadline); <-time.After(500 * time.Millisecond) { // nothing announces it
		shop, err := truth.Read(ctx, store, codec)
		if err != nil {
			t.Fatal(err)
		}
		if left := shop.Unsettled(); len(left) > 0 || len(shop.Submitted) < orders {
			violations = []truth.Violation{{Property: "P4", Text: fmt.Sprintf("of %d orders %d have ended, and %d of %d submitted wait: %v",
				orders, len(shop.Ended), len(left), len(shop.Submitted), left[:min(len(left), 5)])}}
			continue
		}
		books, err := truth.ReadLedger(ctx, http.DefaultClient, s.partners)
		if err != nil {
			t.Fatal(err)
		}
		// News of the partners may be under way: then the books differ for a moment.
		if violations = shop.Check(books, time.Now()); len(violations) == 0 {
			return shop
		}
	}
	for _, v := range violations[:min(len(violations), 20)] {
		t.Errorf("%v", v)
	}
	t.FailNow()
	return nil
}

// reportLoad tells what became of the orders, and how fast.
func reportLoad(t *testing.T, shop *truth.Shop, begun time.Time, placed time.Duration) {
	ends, attention := map[string]int{}, 0
	var took []time.Duration
	last := begun
	for id, at := range shop.Ended {
		ends[string(shop.Orders[id].Status)]++
		took = append(took, at.Sub(shop.Submitted[id]))
		if at.After(last) {
			last = at
		}
	}
	for _, f := range shop.Fulfilments {
		if f.Attention != "" {
			attention++
		}
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(time.Millisecond)
	}
	t.Logf("%d orders: %v, %d with attention", len(shop.Submitted), ends, attention)
	t.Logf("all were submitted after %v and the last ended after %v: %.0f orders/s", placed.Round(time.Millisecond), last.Sub(begun).Round(time.Millisecond), float64(len(took))/last.Sub(begun).Seconds())
	t.Logf("from submission to end: p50 %v, p90 %v, p99 %v, longest %v", at(0.5), at(0.9), at(0.99), at(1))
	if ends["Completed"] == 0 || ends["Rejected"] == 0 {
		t.Errorf("orders of such a kind both complete and are rejected: %v", ends)
	}
}

// reportSteps tells how long completed orders took from one step to the next: it is
// where the time goes.
func reportSteps(t *testing.T, store *esjs.Store) {
	t.Helper()
	at := map[string]map[string]time.Time{} // by order and type, the first
	for record, err := range store.ReadAll(context.Background(), esjs.Query{Categories: []string{events.CategoryOrder, events.CategoryFulfilment}}) {
		if err != nil {
			t.Fatal(err)
		}
		types := at[record.Stream.Key]
		if types == nil {
			types = map[string]time.Time{}
			at[record.Stream.Key] = types
		}
		if _, seen := types[record.Type]; !seen {
			types[record.Type] = record.Time
		}
	}
	steps := []string{
		"OrderSubmitted", "FulfilmentStarted", "ReservationSucceeded", "AuthorizationSucceeded", "ConfirmationAccepted",
		"ShipmentSecured", "CaptureSucceeded", "CompletionRequested", "OrderCompleted", "FulfilmentCompleted",
	}
	for i := range len(steps) - 1 {
		var took []time.Duration
		for _, types := range at {
			if types["FulfilmentCompleted"].IsZero() {
				continue
			}
			took = append(took, types[steps[i+1]].Sub(types[steps[i]]))
		}
		if len(took) == 0 {
			t.Fatal("no order was completed")
		}
		slices.Sort(took)
		t.Logf("%22s to %-22s p50 %v, p99 %v", steps[i], steps[i+1], took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond))
	}
}
