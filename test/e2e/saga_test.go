package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// soon asks people about a capture after a second.
const soon = `{"policies":[{"version":2,
	"capture":{"first":"100ms","max":"100ms"},
	"capture_check":{"first":"200ms","max":"200ms","attempts":3}}]}`

// Three orders ask for people while the provider is away during their capture. When it is back
// one is undone by an operator, and the others are retried together and complete; the provider's
// own ledger has taken the money of those two alone.
func TestOperatorsDecideAboutOrdersThatAskForAttention(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policies.json")
	if err := os.WriteFile(file, []byte(soon), 0o600); err != nil {
		t.Fatal(err)
	}
	s := up(t, "--ephemeral", "--policies", file)
	s.stocked(t, "beans", 40)
	s.faults(t, http.MethodPost, `{"faults":[{"partner":"psp","op":"capture","kind":"busy","rate":1},{"partner":"psp","op":"status","kind":"busy","rate":1}]}`)
	for _, id := range []string{"o-1", "o-2", "o-3"} {
		for _, line := range []string{
			"order create " + id + " --customer c-1 --currency EUR",
			"order add-item " + id + " --sku beans --quantity 1",
			"order set-shipping " + id + " --address addr-1 --country DE",
			"order set-payment-method " + id + " --method card-ok",
			"order submit " + id,
		} {
			if r := s.tool(t, "orderflow", strings.Fields(line)...); r.status != 0 {
				t.Fatalf("%s: %+v", line, r)
			}
		}
	}
	type listed struct {
		Sagas []struct {
			OrderID   string `json:"order_id"`
			State     string `json:"state"`
			Attention string `json:"attention"`
		} `json:"sagas"`
	}
	attention := func() (l listed) {
		decode(t, s.tool(t, "orderflow", "saga", "list", "--attention", "--json").stdout, &l)
		return l
	}
	program.Until(t, patience, "all three ask for attention", func() bool { return len(attention().Sagas) == 3 })
	if first := attention().Sagas[0]; first.OrderID != "o-1" || first.State != "CAPTURE_UNKNOWN" || first.Attention != "no_answer" {
		t.Errorf("the first is %+v", first)
	}

	for _, c := range []struct {
		line   string
		status int
		says   string
	}{
		{"saga retry o-1", 2, "needs --reason"},
		{"saga retry --all", 2, "needs --reason"},
		{"saga retry o-1 --reason x --dry-run", 2, "--dry-run is for --all"},
		{"saga retry o-1 --all --reason x", 2, `takes no arguments, got "o-1"`},
		{"saga retry --all --reason x --refund r-1", 2, "--refund is for one saga"},
		{"saga resolve o-1 --reason x --evidence y", 3, "wrong_state: the fulfilment of order o-1 is in ATTENTION(CAPTURE_UNKNOWN) no_answer"},
		{"saga retry o-9 --reason x", 5, "saga_not_found"},
		{"saga show o-9", 5, "saga_not_found"},
	} {
		if r := s.tool(t, "orderflow", strings.Fields(c.line)...); r.status != c.status || !strings.Contains(r.stderr, c.says) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v, want %d …%s…", c.line, r, c.status, c.says)
		}
	}

	s.faults(t, http.MethodDelete, "")
	r := s.tool(t, "orderflow", "saga", "compensate", "o-2", "--reason", "the customer waited for too long")
	if r.status != 0 || !strings.Contains(r.stdout, "saga o-2 is at version") {
		t.Fatalf("the compensation: %+v", r)
	}
	await(t, func() order { return s.shown(t, "o-2") }, "Rejected")

	all := []string{"saga", "retry", "--all", "--state", "CAPTURE_UNKNOWN", "--attention", "no_answer", "--reason", "the provider is back"}
	dry := s.tool(t, "orderflow", append(all, "--dry-run")...)
	if dry.status != 0 || !strings.Contains(dry.stdout, "retry would be sent to 2:") || strings.Contains(dry.stdout, "is at version") ||
		!strings.Contains(dry.stdout, "\no-1 ") || !strings.Contains(dry.stdout, "\no-3 ") {
		t.Errorf("the dry run: %+v", dry)
	}
	if n := len(attention().Sagas); n != 2 {
		t.Errorf("after the dry run %d ask for attention", n)
	}
	done := s.tool(t, "orderflow", all...)
	if done.status != 0 || !strings.Contains(done.stdout, "retry will be sent to 2:") ||
		!strings.Contains(done.stdout, "\no-1: is at version") || !strings.Contains(done.stdout, "\no-3: is at version") {
		t.Errorf("the retry: %+v", done)
	}
	for _, id := range []string{"o-1", "o-3"} {
		await(t, func() order { return s.shown(t, id) }, "Completed")
	}
	program.Until(t, patience, "nothing asks any more", func() bool { return len(attention().Sagas) == 0 })
	if r := s.tool(t, "orderflow", all...); r.status != 0 || r.stdout != "there is nothing to retry\n" {
		t.Errorf("once more: %+v", r)
	}
	if shown := s.tool(t, "orderflow", "saga", "show", "o-2").stdout; !strings.Contains(shown, "Fulfilment of order o-2: COMPENSATED") ||
		!strings.Contains(shown, "undone for") || !strings.Contains(shown, "operator") {
		t.Errorf("it is shown as\n%s", shown)
	}
	program.Until(t, patience, "the timeline tells who decided", func() bool {
		told := s.tool(t, "orderflow", "order", "timeline", "o-1").stdout
		return strings.Contains(told, "decided to retry: the provider is back.")
	})

	var ledger struct {
		Payments []struct {
			Reference string `json:"reference"`
			Status    string `json:"status"`
		} `json:"payments"`
	}
	if status := ask(t, "GET", s.partners+"/psp/v1/payments", "", &ledger); status != 200 {
		t.Fatalf("the ledger: %d", status)
	}
	said, captured := map[string]int{}, ""
	for _, p := range ledger.Payments {
		said[p.Status]++
		if p.Status == "captured" {
			captured = p.Reference
		}
	}
	if said["captured"] != 2 || said["voided"] != 1 || len(ledger.Payments) != 3 {
		t.Errorf("the provider says %v", said)
	}

	// A claim that comes after the end cannot be retried, and is resolved.
	var told any
	if status := ask(t, "POST", s.partners+"/admin/payments/"+captured+"/disputed", "", &told); status/100 != 2 {
		t.Fatalf("the dispute: %d %v", status, told)
	}
	program.Until(t, patience, "the claim asks for attention", func() bool { return len(attention().Sagas) == 1 })
	late := attention().Sagas[0]
	r = s.tool(t, "orderflow", "saga", "retry", "--all", "--reason", "again", "--json")
	var results struct {
		Sagas []struct {
			OrderID string  `json:"order_id"`
			Problem problem `json:"problem"`
		} `json:"sagas"`
	}
	if decode(t, r.stdout, &results); r.status != 3 || len(results.Sagas) != 1 || results.Sagas[0].OrderID != late.OrderID ||
		results.Sagas[0].Problem.Code != "wrong_state" || !strings.Contains(r.stderr, "1 of 1 were not done; the first: wrong_state") {
		t.Errorf("the retry of %+v: %+v", late, r)
	}
	if r := s.tool(t, "orderflow", "saga", "resolve", late.OrderID, "--reason", "the customer is right", "--evidence", "mail of today"); r.status != 0 {
		t.Errorf("the resolve: %+v", r)
	}
	program.Until(t, patience, "the claim asks no more", func() bool { return len(attention().Sagas) == 0 })
	s.interrupt(t)
}

// faults scripts the partners' faults, or ends them.
func (s *system) faults(t *testing.T, method, body string) {
	t.Helper()
	var answer any
	if status := ask(t, method, s.partners+"/admin/faults", body, &answer); status/100 != 2 {
		t.Fatalf("%s faults %s: %d %v", method, body, status, answer)
	}
}
