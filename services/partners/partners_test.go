package partners_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/services/partners"
)

// client speaks to the partners as a merchant does.
type client struct {
	t   *testing.T
	url string
}

func start(t *testing.T, cfg partners.Config) (*partners.Server, client) {
	t.Helper()
	s, err := partners.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, client{t, h.URL}
}

// body is any partner's answer.
type body struct {
	Payment  partners.Payment  `json:"payment"`
	Shipment partners.Shipment `json:"shipment"`
	Error    partners.Refusal  `json:"error"`
	Payments []partners.Payment
	Next     string
	Seed     uint64
	Faults   []partners.Fault
}

// do sends one request; the error is that there was no answer in time.
func (c client) do(method, path, key, content string) (int, body, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	return c.doWithin(ctx, method, path, key, content)
}

func (c client) doWithin(ctx context.Context, method, path, key, content string) (int, body, error) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(content))
	if err != nil {
		c.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
		r.GetBody = nil // no repetition that the test does not see
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, body{}, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, body{}, err
	}
	var b body
	if err := json.Unmarshal(data, &b, json.MatchCaseInsensitiveNames(true)); err != nil {
		c.t.Fatalf("%s %s answered %d %q: %v", method, path, answer.StatusCode, data, err)
	}
	return answer.StatusCode, b, nil
}

func (c client) post(path, key, content string) (int, body) {
	c.t.Helper()
	status, b, err := c.do(http.MethodPost, path, key, content)
	if err != nil {
		c.t.Fatalf("POST %s: %v", path, err)
	}
	return status, b
}

func (c client) get(path string) (int, body) {
	c.t.Helper()
	status, b, err := c.do(http.MethodGet, path, "", "")
	if err != nil {
		c.t.Fatalf("GET %s: %v", path, err)
	}
	return status, b
}

const eur10 = `{"amount":{"amount":"10.00","currency":"EUR"}}`

func authorise(method string) string {
	return fmt.Sprintf(`{"amount":{"amount":"10.00","currency":"EUR"},"method_ref":%q}`, method)
}

func TestAPaymentIsAuthorisedCapturedAndRefundedInParts(t *testing.T) {
	_, c := start(t, partners.Config{})
	status, b := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	if status != 200 || b.Payment.Status != "authorised" || b.Payment.Authorised.Amount != "10.00" || b.Payment.CaptureBefore.Before(time.Now().Add(time.Hour)) {
		t.Fatalf("authorise: %d %+v", status, b)
	}
	if status, b = c.post("/psp/v1/payments/p/capture", "c", eur10); status != 200 || b.Payment.Status != "captured" || b.Payment.Captured.Amount != "10.00" {
		t.Fatalf("capture: %d %+v", status, b)
	}
	if status, b = c.post("/psp/v1/payments/p/void", "v", ""); status != 422 || b.Error.Code != "already_captured" || b.Payment.Captures != 1 {
		t.Fatalf("void after capture: %d %+v", status, b)
	}
	refund := `{"refund_id":"r1","amount":{"amount":"3.50","currency":"EUR"}}`
	if status, b = c.post("/psp/v1/payments/p/refund", "r1", refund); status != 200 || b.Payment.Refunded.Amount != "3.50" {
		t.Fatalf("refund: %d %+v", status, b)
	}
	if status, b = c.post("/psp/v1/payments/p/refund", "r2", `{"refund_id":"r2","amount":{"amount":"6.51","currency":"EUR"}}`); status != 422 || b.Error.Code != "exceeds_captured" {
		t.Fatalf("refund of too much: %d %+v", status, b)
	}
	if status, b = c.post("/psp/v1/payments/p/refund", "r3", `{"refund_id":"r3","amount":{"amount":"6.5","currency":"EUR"}}`); status != 200 || b.Payment.Status != "refunded" || b.Payment.Refunded.Amount != "10.00" {
		t.Fatalf("refund of the rest: %d %+v", status, b)
	}
}

func TestTheSameKeyIsAnsweredAgainAndChangesNothing(t *testing.T) {
	s, c := start(t, partners.Config{})
	_, first := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	_, again := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	if first.Payment.AuthorisationID == "" || first.Payment.AuthorisationID != again.Payment.AuthorisationID {
		t.Errorf("two authorisations by one key: %+v and %+v", first.Payment, again.Payment)
	}
	status, b := c.post("/psp/v1/payments/p/authorise", "a", `{"amount":{"amount":"10.01","currency":"EUR"},"method_ref":"card-ok"}`)
	if status != 422 || b.Error.Code != "idempotency_key_reused" {
		t.Errorf("the same key with another amount: %d %+v", status, b)
	}
	c.post("/psp/v1/payments/p/capture", "c", eur10)
	c.post("/psp/v1/payments/p/capture", "c", eur10)
	if p, _ := s.Payment("p"); p.Authorisations != 1 || p.Captures != 1 {
		t.Errorf("effects were repeated: %+v", p)
	}
	// A witness does not prevent what it has to show.
	c.post("/psp/v1/payments/p/capture", "c-2", eur10)
	if p, _ := s.Payment("p"); p.Captures != 2 || p.Captured.Amount != "20.00" {
		t.Errorf("a capture by a new key is not in the ledger: %+v", p)
	}
}

func TestScriptsDecideHowARequestEnds(t *testing.T) {
	for method, want := range map[string]partners.Refusal{
		"card-declined": {Code: "do_not_honour", Class: "hard"},
		"card-soft":     {Code: "insufficient_funds", Class: "soft"},
		"card-fraud":    {Code: "suspected_fraud", Class: "fraud"},
	} {
		t.Run(method, func(t *testing.T) {
			_, c := start(t, partners.Config{})
			status, b := c.post("/psp/v1/payments/p/authorise", "a", authorise(method))
			if status != 402 || b.Error.Code != want.Code || b.Error.Class != want.Class {
				t.Errorf("answered %d %+v", status, b)
			}
			if _, b = c.get("/psp/v1/payments/p"); b.Payment.Status != "declined" || b.Payment.Decline.Code != want.Code {
				t.Errorf("the account says %+v", b.Payment)
			}
		})
	}
	for method, effects := range map[string]int{"card-timeout": 1, "card-reset": 1, "card-lost": 0} {
		t.Run(method, func(t *testing.T) {
			s, c := start(t, partners.Config{})
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if status, b, err := c.doWithin(impatient, http.MethodPost, "/psp/v1/payments/p/authorise", "a", authorise(method)); err == nil {
				t.Errorf("answered %d %+v", status, b)
			}
			if p, _ := s.Payment("p"); p.Authorisations != effects {
				t.Errorf("%d authorisations, not %d", p.Authorisations, effects)
			}
			if status, b := c.post("/psp/v1/payments/p/authorise", "a", authorise(method)); status != 200 || b.Payment.Authorisations != 1 {
				t.Errorf("the same key again: %d %+v", status, b)
			}
		})
	}
	t.Run("card-5xx", func(t *testing.T) {
		_, c := start(t, partners.Config{})
		if status, _ := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-5xx")); status != 500 {
			t.Errorf("answered %d", status)
		}
		if _, b := c.get("/psp/v1/payments/p"); b.Payment.Authorisations != 1 {
			t.Errorf("the effect is missing: %+v", b.Payment)
		}
	})
}

func TestAVoidedReferenceIsNeverAuthorised(t *testing.T) {
	_, c := start(t, partners.Config{})
	if status, b := c.get("/psp/v1/payments/p"); status != 404 || b.Error.Code != "not_found" {
		t.Errorf("an unknown reference: %d %+v", status, b)
	}
	if status, b := c.post("/psp/v1/payments/p/void", "v", "{}"); status != 200 || b.Payment.AuthorisationID != "" {
		t.Errorf("void of an unknown reference: %d %+v", status, b)
	}
	if status, b := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok")); status != 402 || b.Error.Code != "voided" {
		t.Errorf("authorise after void: %d %+v", status, b)
	}
}

func TestWhatIsNotARequestIsRefused(t *testing.T) {
	_, c := start(t, partners.Config{})
	for name, r := range map[string]struct{ path, key, body string }{
		"no key":         {"/psp/v1/payments/p/authorise", "", authorise("card-ok")},
		"a long key":     {"/psp/v1/payments/p/authorise", strings.Repeat("k", 256), authorise("card-ok")},
		"no operation":   {"/psp/v1/payments/p/explode", "k", "{}"},
		"broken JSON":    {"/psp/v1/payments/p/authorise", "k", "{"},
		"unknown field":  {"/psp/v1/payments/p/void", "k", `{"colour":"red"}`},
		"number":         {"/psp/v1/payments/p/capture", "k", `{"amount":{"amount":10,"currency":"EUR"}}`},
		"zero":           {"/psp/v1/payments/p/capture", "k", `{"amount":{"amount":"0.00","currency":"EUR"}}`},
		"negative":       {"/psp/v1/payments/p/capture", "k", `{"amount":{"amount":"-1","currency":"EUR"}}`},
		"no currency":    {"/psp/v1/payments/p/capture", "k", `{"amount":{"amount":"1"}}`},
		"no method":      {"/psp/v1/payments/p/authorise", "k", eur10},
		"no refund_id":   {"/psp/v1/payments/p/refund", "k", eur10},
		"an empty box":   {"/carrier/v1/shipments/s/book", "k", `{"address_ref":"a","country":"DE","items":[]}`},
		"a negative box": {"/carrier/v1/shipments/s/book", "k", `{"address_ref":"a","country":"DE","items":[{"sku":"x","quantity":-1}]}`},
		"a huge body":    {"/carrier/v1/shipments/s/book", "k", `{"address_ref":"` + strings.Repeat("a", 70_000) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if status, b := c.post(r.path, r.key, r.body); status != 400 || b.Error.Code != "bad_request" || b.Error.Message == "" {
				t.Errorf("answered %d %+v", status, b)
			}
		})
	}
	if status, b := c.post("/psp/v1/payments/p/capture", "c", eur10); status != 404 || b.Error.Code != "not_found" {
		t.Errorf("capture of nothing: %d %+v", status, b)
	}
}

func TestTheListIsReadInPages(t *testing.T) {
	_, c := start(t, partners.Config{})
	for i := range 5 {
		c.post(fmt.Sprintf("/psp/v1/payments/p%d/authorise", i), fmt.Sprint("a", i), authorise("card-ok"))
	}
	var got []string
	for after := ""; ; {
		_, b := c.get("/psp/v1/payments?limit=2&after=" + after)
		for _, p := range b.Payments {
			got = append(got, p.Reference)
		}
		if after = b.Next; after == "" {
			break
		}
	}
	if strings.Join(got, " ") != "p0 p1 p2 p3 p4" {
		t.Errorf("read %v", got)
	}
	if status, _ := c.get("/psp/v1/payments?limit=0"); status != 400 {
		t.Errorf("limit 0 was answered %d", status)
	}
}

func TestTheLedgerSurvivesTheProgram(t *testing.T) {
	dir := t.TempDir()
	s, c := start(t, partners.Config{Dir: dir})
	c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok"))
	_, first := c.post("/psp/v1/payments/p/capture", "c", eur10)
	c.post("/carrier/v1/shipments/s/book", "b", booking("DE", "addr-1"))
	before, _ := s.Payment("p")

	// A line that a crash tore is an effect that nobody was told of.
	file, err := os.OpenFile(filepath.Join(dir, "ledger.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"at":"2026-01-01T00:00:00Z","op":"psp.refund","payment":{"ref`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	s, c = start(t, partners.Config{Dir: dir})
	after, known := s.Payment("p")
	if !known || after.Captures != 1 || after.CaptureID != before.CaptureID || after.Refunded != (partners.Money{}) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if shipment, _ := s.Shipment("s"); shipment.Status != "booked" || shipment.Tracking == "" {
		t.Errorf("the shipment is %+v", shipment)
	}
	if _, again := c.post("/psp/v1/payments/p/capture", "c", eur10); again.Payment.CaptureID != first.Payment.CaptureID || again.Payment.Captures != 1 {
		t.Errorf("the key was forgotten: %+v", again)
	}
	// Keys that were forgotten stay so.
	if status, _, err := c.do(http.MethodDelete, "/admin/keys", "", ""); err != nil || status != 200 {
		t.Errorf("forget: %d %v", status, err)
	}
	if status, b := c.post("/psp/v1/payments/p/capture", "c", eur10); status != 200 || b.Payment.Captures != 2 {
		t.Errorf("a forgotten key: %d %+v", status, b)
	}
	if status, _ := c.post("/psp/v1/payments/p/refund", "r", `{"refund_id":"r","amount":{"amount":"1","currency":"EUR"}}`); status != 200 {
		t.Errorf("the ledger does not go on after a torn line: %d", status)
	}
	if s, _ = start(t, partners.Config{Dir: dir}); s == nil {
		t.Fatal("no server")
	}
	if p, _ := s.Payment("p"); p.Refunded.Amount != "1" && p.Refunded.Amount != "1.00" {
		t.Errorf("the refund was lost: %+v", p)
	}
}

func TestWhatCannotBeStoredDidNotHappen(t *testing.T) {
	s, err := partners.New(partners.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	defer h.Close()
	c := client{t, h.URL}
	if err := s.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	if status, _ := c.post("/psp/v1/payments/p/authorise", "a", authorise("card-ok")); status != 500 {
		t.Errorf("answered %d", status)
	}
	if status, b := c.get("/psp/v1/payments/p"); status != 404 {
		t.Errorf("the account is %d %+v", status, b)
	}
}

func TestALedgerThatIsDamagedIsRefused(t *testing.T) {
	dir := t.TempDir()
	content := []byte("{\"at\":\"2026-01-01T00:00:00Z\",\"op\":\"x\"}\nnonsense\n{\"at\":\"2026-01-01T00:00:00Z\",\"op\":\"y\"}\n")
	if err := os.WriteFile(filepath.Join(dir, "ledger.jsonl"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := partners.New(partners.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("the error is %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "ledger.jsonl")); !bytes.Equal(after, content) {
		t.Error("a damaged ledger was changed")
	}
}
