package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// system is an "orderflow up" that is ready, and how to talk to it.
type system struct {
	*process
	nats     string // URL
	http     string // URL
	partners string // URL
	home     string // of the tools that are run against it
}

// up starts "orderflow up args…" on free ports and waits until it is ready.
func up(t *testing.T, args ...string) *system {
	t.Helper()
	s := &system{home: t.TempDir()}
	s.process = begin(t, s.home, "orderflow", append([]string{"up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	timeout := time.After(patience)
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				t.Fatal("orderflow up ended before it was ready")
			}
			for name, value := range map[string]*string{"NATS ": &s.nats, "HTTP ": &s.http, "Partners ": &s.partners} {
				if rest, found := strings.CutPrefix(line, name); found {
					*value = strings.Fields(rest)[0]
				}
			}
			if strings.HasPrefix(line, "Ctrl-C stops it") {
				return s
			}
		case <-timeout:
			t.Fatal("orderflow up is not ready")
		}
	}
}

// result is what a tool printed.
type result struct {
	status         int
	stdout, stderr string
}

// tool runs a program against the system, as a person at a shell does.
func (s *system) tool(t *testing.T, name string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	if filepath.Base(name) == name {
		cmd = exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	}
	cmd.Dir = s.home
	cmd.Env = append(os.Environ(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+s.home, "XDG_CONFIG_HOME="+s.home, // without a person's own contexts
		"NATS_URL="+s.nats, "ORDERFLOW_NATS_URL="+s.nats,
		"TERM=dumb", "COLUMNS=120",
	)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// problem is the answer to a request that was refused.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// request sends one request, which is what "nats req" does, and returns the answer's body,
// and the code in its header when it is an error.
func (s *system) request(t *testing.T, subject, body string, header ...string) (answer, code string) {
	t.Helper()
	var opts []nats.Option
	if key := os.Getenv("ORDERFLOW_NATS_NKEY"); key != "" { // people's, who are the operator
		opt, err := nats.NkeyOptionFromSeed(key)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, opt, nats.CustomInboxPrefix("_INBOX.operator"))
	}
	nc, err := nats.Connect(s.nats, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	m := nats.NewMsg(subject)
	m.Data = []byte(body)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		m.Header.Set(name, value)
	}
	reply, err := nc.RequestMsg(m, 30*time.Second)
	if err != nil {
		t.Fatalf("request %s: %v", subject, err)
	}
	return strings.TrimSpace(string(reply.Data)), reply.Header.Get("Nats-Service-Error")
}

// cli is request with the nats CLI.
func (s *system) cli(t *testing.T, subject, body string) (answer, code string) {
	t.Helper()
	r := s.tool(t, "nats", "req", "--timeout", "30s", subject, body)
	if r.status != 0 {
		t.Fatalf("nats req %s: %d %s", subject, r.status, r.stderr)
	}
	for line := range strings.Lines(r.stderr) {
		if _, after, found := strings.Cut(line, " Nats-Service-Error: "); found {
			code = strings.TrimSpace(after)
		}
	}
	return strings.TrimSpace(r.stdout), code
}

// must sends a command that has to succeed.
func (s *system) must(t *testing.T, subject, body string) {
	t.Helper()
	if answer, code := s.request(t, subject, body); code != "" {
		t.Fatalf("%s %s: %s", subject, body, answer)
	}
}

// web sends one HTTP request and decodes the answer into v.
func (s *system) web(t *testing.T, method, path, body string, v any) int {
	t.Helper()
	return ask(t, method, s.http+path, body, v)
}

func ask(t *testing.T, method, url, body string, v any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost && !strings.HasSuffix(url, "/create") {
		req.Header.Set("If-Match", "*") // the tests are the only ones who write
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s %s: %v in %s", method, url, err, data)
	}
	return resp.StatusCode
}

// order is what the tests look at of an order.
type order struct {
	OrderID  string `json:"order_id"`
	State    string `json:"state"`
	Version  uint64 `json:"version"`
	Captured money  `json:"captured"`
	Refunded money  `json:"refunded"`
}

type money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// await asks with show until it says that the order is in the state.
func await(t *testing.T, show func() order, state string) order {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		o := show()
		if o.State == state {
			return o
		}
		if time.Now().After(deadline) {
			t.Fatalf("order %s is %s, want %s", o.OrderID, o.State, state)
		}
		<-time.After(10 * time.Millisecond) // it is asked again
	}
}

// shown reads an order; the zero order when there is none yet.
func (s *system) shown(t *testing.T, id string) order {
	t.Helper()
	query, err := json.Marshal(map[string]string{"order_id": id})
	if err != nil {
		t.Fatal(err)
	}
	answer, code := s.request(t, "query.orders.get", string(query))
	var o order
	if code == "order_not_found" {
		return o
	}
	if err := json.Unmarshal([]byte(answer), &o); err != nil || code != "" {
		t.Fatalf("query %s: %s %v", query, answer, err)
	}
	return o
}

// stocked opens a shop with one product.
func (s *system) stocked(t *testing.T, sku string, quantity int) {
	t.Helper()
	s.must(t, "cmd.product."+sku+".list", `{"name":"Espresso beans 1 kg","price":"24.90","currency":"EUR"}`)
	s.must(t, "cmd.stock."+sku+".receive", fmt.Sprintf(`{"quantity":%d,"reference":"PO-1"}`, quantity))
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
