package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Every service as a process of its own against a nats-server of its own: an
// order completes, and the payment provider's ledger has it once.
func TestServicesRunOnTheirOwn(t *testing.T) {
	home := t.TempDir()
	server := begin(t, home, "nats-server", "-c", config(t, home))
	s := &system{home: home, nats: server.listens(t)}
	for range 2 { // again changes nothing
		if r := s.tool(t, "orderflow", "provision"); r.status != 0 {
			t.Fatalf("provision: %d %s", r.status, r.stderr)
		}
	}

	all := s.services(t, func(string) []string { return nil })

	s.stocked(t, "beans-1kg", 40)
	for _, step := range [][2]string{
		{"create", `{"customer_id":"c-1","currency":"EUR"}`},
		{"add-item", `{"sku":"beans-1kg","quantity":2}`},
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", `{"method_ref":"card-ok"}`},
		{"submit", `{}`},
	} {
		var p problem
		if status := s.web(t, "POST", "/v1/orders/o-1/"+step[0], step[1], &p); status != 200 {
			t.Fatalf("%s: %d %+v", step[0], status, p)
		}
	}
	o := await(t, func() order { return s.shown(t, "o-1") }, "Completed")
	if o.Captured != (money{"49.80", "EUR"}) {
		t.Errorf("captured %v, want 49.80 EUR", o.Captured)
	}
	s.paidOnce(t, 1)
	if stock := s.stock(t, "beans-1kg"); stock != (level{OnHand: 38, Available: 38}) {
		t.Errorf("the stock is %+v after an order of 2 from 40", stock)
	}

	// The projector's database is its own.
	r := s.tool(t, "orderflow", "projector", "--data", home)
	if want := fmt.Sprintf("orderflow: projector: the database %s is in use by another projector;", filepath.Join(home, "projector.db")); r.status != 12 || !strings.Contains(r.stderr, want) {
		t.Errorf("a second projector: %+v, want %s", r, want)
	}
	for _, p := range all {
		p.interrupt(t)
		p.logged(t, "service stopped", "level")
	}
	server.interrupt(t)
}

// services runs every service, and the partners, as a process of its own against the server, until
// each is ready. A service connects with the further arguments of its identity.
func (s *system) services(t *testing.T, identity func(service string) []string) (all []*process) {
	t.Helper()
	// The partners and those who are told by them need each other's address: in
	// front of the partners is one that is there first.
	var partners atomic.Pointer[url.URL]
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(partners.Load()) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if partners.Load() == nil {
			http.Error(w, "the partners are not there yet", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.partners = front.URL
	secret := filepath.Join(s.home, "secret")
	if err := os.WriteFile(secret, []byte("shared\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(service string, args ...string) *process {
		p := begin(t, s.home, "orderflow", append([]string{service}, args...)...)
		all = append(all, p)
		return p
	}
	connected := func(service string, args ...string) *process {
		return run(service, slices.Concat(args, []string{"--nats-url", s.nats}, identity(service))...)
	}
	connected("order")
	connected("inventory")
	connected("saga")
	connected("projector", "--data", s.home)
	gateway := connected("gateway")
	payment := connected("payment", "--psp-url", front.URL+"/psp/v1", "--webhooks", "127.0.0.1:0", "--webhook-secret-file", secret)
	shipping := connected("shipping", "--carrier-url", front.URL+"/carrier/v1", "--webhooks", "127.0.0.1:0", "--webhook-secret-file", secret)
	outside := run("partners", "--listen", "127.0.0.1:0", "--data", s.home, "--webhook-secret-file", secret,
		"--payment-webhook-url", "http://"+payment.logged(t, "taking webhooks", "address"),
		"--shipping-webhook-url", "http://"+shipping.logged(t, "taking webhooks", "address"))
	partners.Store(&url.URL{Scheme: "http", Host: outside.logged(t, "partners listen", "address")})
	for _, p := range all {
		p.ready(t, s)
	}
	s.http = "http://" + gateway.logged(t, "service starts", "http")
	return all
}

// config is a nats-server's: what the services need, on a free port.
func config(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:-1\njetstream {\n  store_dir: %q\n  sync_interval: always\n  max_file_store: 8GB\n}\n", filepath.Join(dir, "nats"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ready waits until a service says that it is; a container hears that, too.
func (p *process) ready(t *testing.T, s *system) {
	t.Helper()
	address := p.logged(t, "service starts", "http")
	for deadline := time.Now().Add(patience); !answersOK(t, "http://"+address+"/readyz"); {
		select {
		case <-p.ended:
			t.Fatalf("%q ended before it was ready", p.cmd.Args)
		case <-time.After(20 * time.Millisecond): // it is asked again
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not ready", p.cmd.Args)
		}
	}
	if r := s.tool(t, "orderflow", "healthcheck", "--http", address); r.status != 0 {
		t.Errorf("%q is ready, and its health is %+v", p.cmd.Args, r)
	}
}

func answersOK(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // it does not listen yet
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
