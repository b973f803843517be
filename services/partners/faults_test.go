package partners_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/services/partners"
)

func TestFaultsHitTheNextRequestsAndThenNoMore(t *testing.T) {
	s, c := start(t, partners.Config{})
	if status, b := c.post("/admin/faults", "", `{"faults":[{"partner":"psp","op":"capture","kind":"unavailable","next":1},{"partner":"psp","op":"capture","kind":"throttled","next":1}]}`); status != 200 || len(b.Faults) != 2 {
		t.Fatalf("set: %d %+v", status, b)
	}
	c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	for _, want := range []int{503, 429, 200} {
		if status, _ := c.post("/psp/v1/payments/p/capture", "c", eur10); status != want {
			t.Errorf("answered %d, not %d", status, want)
		}
	}
	if p, _ := s.Payment("p"); p.Captures != 1 {
		t.Errorf("captured %d times", p.Captures)
	}
	for _, wrong := range []string{
		`{"faults":[{"partner":"bank","kind":"lost","next":1}]}`,
		`{"faults":[{"partner":"psp","kind":"explode","next":1}]}`,
		`{"faults":[{"partner":"psp","kind":"lost"}]}`,
		`{"faults":[{"partner":"psp","kind":"lost","rate":1.5}]}`,
		`{"faults":[{"partner":"psp","kind":"lost","next":1,"colour":"red"}]}`,
		`{"faults":[{"partner":"psp","kind":"lost","next":1,"code":"no"}]}`,
		`{"faults":[{"partner":"psp","kind":"decline","next":1,"class":"medium"}]}`,
		`{"faults":[{"partner":"webhook","kind":"decline","next":1}]}`,
		`{"faults":[{"partner":"carrier","op":"status","kind":"decline","next":1}]}`,
	} {
		if status, b := c.post("/admin/faults", "", wrong); status != 400 || b.Error.Message == "" {
			t.Errorf("%s was answered %d %+v", wrong, status, b)
		}
	}
	if err := s.Inject(partners.Fault{Partner: "carrier", Kind: partners.KindBusy, Rate: 1}); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.get("/carrier/v1/shipments/s"); status != 409 {
		t.Errorf("a fault by rate 1 missed: %d", status)
	}
	if status, b, err := c.do(http.MethodDelete, "/admin/faults", "", ""); err != nil || status != 200 || len(b.Faults) != 0 {
		t.Errorf("delete: %d %+v %v", status, b, err)
	}
	if status, _ := c.get("/carrier/v1/shipments/s"); status != 404 {
		t.Errorf("a deleted fault hit: %d", status)
	}
}

// rated returns which of many requests a fault by rate hit: for each reference the
// numbers of its requests, in whatever order the references come.
func rated(t *testing.T, seed uint64, order []int) map[string][]int {
	t.Helper()
	s, c := start(t, partners.Config{})
	if status, b := c.post("/admin/faults", "", fmt.Sprintf(`{"seed":%d,"faults":[{"partner":"psp","op":"status","kind":"busy","rate":0.3}]}`, seed)); status != 200 || b.Seed != seed {
		t.Fatalf("set: %d %+v", status, b)
	}
	hits, came := map[string][]int{}, map[string]int{}
	for _, n := range order {
		reference := fmt.Sprint("p-", n)
		if status, _ := c.get("/psp/v1/payments/" + reference); status == http.StatusConflict {
			hits[reference] = append(hits[reference], came[reference])
		}
		came[reference]++
	}
	s.ClearFaults()
	if status, b := c.get("/admin/faults"); status != 200 || b.Seed != seed || len(b.Faults) != 0 {
		t.Errorf("after the deletion: %d %+v", status, b)
	}
	return hits
}

// What a rate hits can be repeated by its seed, also when requests are mixed
// otherwise, and is about as much as the rate says.
func TestFaultsByRateFollowTheirSeed(t *testing.T) {
	const references, each, rate = 40, 10, 0.3
	var order []int
	for n := range references {
		order = append(order, slices.Repeat([]int{n}, each)...)
	}
	first := rated(t, 7, order)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if again := rated(t, 7, order); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("the same seed hit\n%v and then\n%v", first, again)
	}
	if other := rated(t, 8, order); fmt.Sprint(other) == fmt.Sprint(first) {
		t.Error("another seed hits the same")
	}
	hits := 0
	for _, list := range first {
		hits += len(list)
	}
	const wanted = references * each * rate
	if deviation := math.Abs(float64(hits) - wanted); deviation > 5*math.Sqrt(wanted*(1-rate)) {
		t.Errorf("%d of %d requests were hit, not about %v", hits, references*each, wanted)
	}
}

// A decline is an answer: its key keeps it, and nothing is held or moved.
func TestADeclineIsKept(t *testing.T) {
	s, c := start(t, partners.Config{})
	decline := func(op, class string) {
		t.Helper()
		if err := s.Inject(partners.Fault{Partner: "psp", Op: op, Kind: partners.KindDecline, Class: class, Next: 1}); err != nil {
			t.Fatal(err)
		}
	}
	decline("authorise", "soft")
	for range 2 {
		status, b := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
		if status != 402 || b.Error.Code != "do_not_honour" || b.Error.Class != "soft" || b.Payment.Status != "declined" {
			t.Errorf("authorise: %d %+v", status, b)
		}
	}
	c.post("/psp/v1/payments/p/authorise", "a-2", authorise("card-ok"))
	decline("authorise", "")
	if status, b := c.post("/psp/v1/payments/p/authorise", "a-3", authorise("card-ok")); status != 402 || b.Payment.Status != "authorised" {
		t.Errorf("a decline of what is authorised already: %d %+v", status, b)
	}
	decline("capture", "")
	if status, b := c.post("/psp/v1/payments/p/capture", "c", eur10); status != 422 || b.Error.Code != "capture_refused" || b.Payment.Captures != 0 {
		t.Errorf("capture: %d %+v", status, b)
	}
	if status, b := c.post("/psp/v1/payments/p/capture", "c-2", eur10); status != 200 || b.Payment.Captures != 1 {
		t.Errorf("the next capture: %d %+v", status, b)
	}
	if err := s.Inject(partners.Fault{Partner: "carrier", Op: "book", Kind: partners.KindDecline, Code: "too_heavy", Next: 1}); err != nil {
		t.Fatal(err)
	}
	if status, b := c.post("/carrier/v1/shipments/s/book", "b", booking("DE", "addr-1")); status != 422 || b.Error.Code != "too_heavy" || b.Shipment.Bookings != 0 {
		t.Errorf("book: %d %+v", status, b)
	}
}

func TestAListFailsByScript(t *testing.T) {
	s, c := start(t, partners.Config{})
	for path, partner := range map[string]string{"/psp/v1/payments": "psp", "/carrier/v1/shipments": "carrier"} {
		if err := s.Inject(partners.Fault{Partner: partner, Op: "list", Kind: partners.KindUnavailable, Next: 1}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{503, 200} {
			if status, _ := c.get(path); status != want {
				t.Errorf("%s: %d, not %d", path, status, want)
			}
		}
	}
}

// A duplicate may come when others have come meanwhile.
func TestADuplicateComesLate(t *testing.T) {
	r := receive(t)
	s, c, stop := run(t, partners.Config{PSPWebhookURL: r.url})
	defer stop()
	if err := s.Inject(partners.Fault{Partner: "webhook", Op: "payment.authorised", Kind: partners.KindDuplicate, DelayMS: 300, Next: 1}); err != nil {
		t.Fatal(err)
	}
	c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	first := r.next(t)
	c.post("/psp/v1/payments/p/capture", "c", eur10)
	second, third := r.next(t), r.next(t)
	got := strings.Join([]string{first.Type, second.Type, third.Type}, " ")
	if got != "payment.authorised payment.captured payment.authorised" || first.ID != third.ID {
		t.Errorf("told %s", got)
	}
}
