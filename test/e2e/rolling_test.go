package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	orders "github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/test/program"
)

// Each service runs twice. While customers order, one instance after the other is told to stop and replaced by
// the program of another version. Every command is answered, if need be when it is sent again; every
// order completes and is paid once.
func TestServicesAreReplacedOneByOne(t *testing.T) {
	const next = "v9.9.9-next"
	if err := program.Build(t.Context(), bin, program.Orderflow().Released("orderflow-next", next)); err != nil {
		t.Fatal(err)
	}

	home := t.TempDir()
	server := begin(t, home, "nats-server", "-c", config(t, home))
	s := &system{home: home, nats: server.listens(t)}
	if r := s.tool(t, "orderflow", "provision"); r.status != 0 {
		t.Fatalf("provision: %+v", r)
	}
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("shared\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// In front of what is replaced is an address that stays.
	partners, payments, shipments := newFront(t), newFront(t), newFront(t)
	outside := begin(t, home, "orderflow", "partners", "--listen", "127.0.0.1:0", "--data", home, "--webhook-secret-file", secret,
		"--payment-webhook-url", payments.url, "--shipping-webhook-url", shipments.url)
	partners.lead(0, outside.logged(t, "partners listen", "address"))
	s.partners = partners.url

	type replica struct {
		service string
		front   *front
		number  int
		args    []string
		*process
	}
	run := func(program string, r *replica) {
		t.Helper()
		r.process = begin(t, home, program, append([]string{r.service, "--nats-url", s.nats}, r.args...)...)
		if r.front != nil {
			r.front.lead(r.number, r.logged(t, "taking webhooks", "address"))
		}
		r.ready(t, s)
	}
	var all []*replica
	for number := range 2 {
		data := filepath.Join(home, fmt.Sprint("projector-", number))
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		all = append(all,
			&replica{service: "order"}, &replica{service: "inventory"}, &replica{service: "saga"}, &replica{service: "gateway"},
			&replica{service: "projector", args: []string{"--data", data}},
			&replica{service: "payment", front: payments, number: number, args: []string{"--psp-url", partners.url + "/psp/v1", "--webhooks", "127.0.0.1:0", "--webhook-secret-file", secret}},
			&replica{service: "shipping", front: shipments, number: number, args: []string{"--carrier-url", partners.url + "/carrier/v1", "--webhooks", "127.0.0.1:0", "--webhook-secret-file", secret}})
	}
	for _, r := range all {
		run("orderflow", r)
	}
	const stocked = 100_000
	s.stocked(t, "beans-1kg", stocked)

	customers := s.customers(t, 2)
	for _, r := range all {
		placed := len(customers.soFar())
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if r.wait(t); r.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s ended with status %d", r.service, r.cmd.ProcessState.ExitCode())
		}
		run("orderflow-next", r)
		if version := r.logged(t, "service starts", "version"); version != next {
			t.Errorf("%s has version %s", r.service, version)
		}
		program.Until(t, patience, "orders go on being placed", func() bool { return len(customers.soFar()) > placed })
	}
	ids := customers.end(t)
	store, err := esjs.Open(t.Context(), esjs.DialURL(s.nats), esjs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	shop := settled(t, s, store, len(ids))
	for _, id := range ids {
		if status := shop.Orders[id].Status; status != orders.Completed {
			t.Errorf("order %s is %s", id, status)
		}
	}
	if left := stocked - 2*len(ids); s.stock(t, "beans-1kg") != (level{OnHand: left, Available: left}) {
		t.Errorf("the stock is %+v after %d orders of 2", s.stock(t, "beans-1kg"), len(ids))
	}
	await(t, func() order { return s.shown(t, ids[len(ids)-1]) }, "Completed") // in the views, too
	if r := s.tool(t, "orderflow", "verify"); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
	t.Logf("%d orders while %d instances were replaced; %d commands were sent again", len(ids), len(all), customers.repeated)
}

// front is an address that leads to those behind it in turn.
type front struct {
	url  string
	mu   sync.Mutex
	to   map[int]*url.URL
	turn int
}

func newFront(t *testing.T) *front {
	f := &front{to: map[int]*url.URL{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := f.next()
		if to == nil {
			http.Error(w, "nobody is there yet", http.StatusServiceUnavailable)
			return
		}
		// Is nobody there any more, it is a 502, and partners and services ask again.
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// lead makes an address the one with the number.
func (f *front) lead(number int, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to[number] = &url.URL{Scheme: "http", Host: address}
}

func (f *front) next() *url.URL {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.to) == 0 {
		return nil
	}
	f.turn++
	return f.to[f.turn%len(f.to)]
}
