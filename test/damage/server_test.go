package damage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/test/program"
	"golang.org/x/sync/errgroup"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// server is a nats-server that can be stopped and started again.
type server struct {
	name           string
	client, health string // addresses
	home           string
	store          string // where it has what it stores
	process        *exec.Cmd
}

// start starts servers, a cluster where there are several, and waits until they are healthy.
func start(t *testing.T, n int) []*server {
	t.Helper()
	return startOn(t, n, func(home string) string { return filepath.Join(home, "nats") }, "always")
}

// startOn is start with a place for what each stores, and how it syncs that.
func startOn(t *testing.T, n int, store func(home string) string, sync string) (all []*server) {
	t.Helper()
	addresses, err := program.FreeAddresses(3 * n) // a restarted server must be found where it was
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("%q", "nats://"+addresses[3*i+2]))
	}
	for i := range n {
		s := &server{name: fmt.Sprint("n", i+1), client: addresses[3*i], health: addresses[3*i+1], home: t.TempDir()}
		s.store = store(s.home)
		conf := fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\njetstream {\n  store_dir: %q\n  sync_interval: %q\n  max_file_store: 8GB\n}\n",
			s.name, s.client, s.health, s.store, sync)
		if n > 1 {
			conf += fmt.Sprintf("cluster {\n  name: damage\n  listen: %q\n  routes: [%s]\n}\n", addresses[3*i+2], strings.Join(routes, ", "))
		}
		if err := os.WriteFile(filepath.Join(s.home, "nats.conf"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		s.run(t)
		t.Cleanup(func() { s.stop(t) })
	}
	for _, s := range all {
		s.healthy(t)
	}
	return all
}

func (s *server) run(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.home, "nats.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(filepath.Join(bin, "nats-server"), "-c", filepath.Join(s.home, "nats.conf"))
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server as an operator does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.end(t, syscall.SIGTERM)
}

func (s *server) end(t *testing.T, how syscall.Signal) {
	t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = s.process.Wait() // which says by what it ended
	s.process = nil
}

func (s *server) healthy(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) { // nothing announces it
		answer, err := http.Get("http://" + s.health + "/healthz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not healthy", s.name)
		}
	}
}

func (s *server) url() string { return "nats://" + s.client }

// keep copies what a stopped server has stored, and bring brings it back.
func (s *server) keep(t *testing.T, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(s.store)); err != nil {
		t.Fatal(err)
	}
}

func (s *server) bring(t *testing.T, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(s.store), os.CopyFS(s.store, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// stream is the directory in which the server has the events.
func (s *server) stream() string {
	return filepath.Join(s.store, "jetstream", "$G", "streams", "EVENTS")
}

func (s *server) blocks(t *testing.T) []string {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(s.stream(), "msgs", "*.blk"))
	if err != nil || len(blocks) < 3 {
		t.Fatalf("%s has the blocks %v, %v: want three or more", s.name, blocks, err)
	}
	return blocks
}

// state is what a server itself says of the events.
type state struct {
	Messages uint64 `json:"messages"`
	Deleted  int    `json:"num_deleted"`
	Last     uint64 `json:"last_seq"`
}

func (s *server) state(t *testing.T) (found state) {
	t.Helper()
	answer, err := http.Get("http://" + s.health + "/jsz?streams=1&accounts=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct {
		Accounts []struct {
			Streams []struct {
				Name  string `json:"name"`
				State state  `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	for _, account := range all.Accounts {
		for _, stream := range account.Streams {
			if stream.Name == "EVENTS" {
				found = stream.State
			}
		}
	}
	return found
}

// result is what the program printed.
type result struct {
	status int
	text   string
}

// tool runs the program against a server.
func (s *server) tool(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orderflow"), append(args, "--nats-url", s.url())...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String()}
}

// must runs a command that has to succeed.
func (s *server) must(t *testing.T, args ...string) string {
	t.Helper()
	r := s.tool(t, args...)
	if r.status != 0 {
		t.Fatalf("orderflow %q: %d\n%s", args, r.status, r.text)
	}
	return r.text
}

// verified is what "orderflow verify" found.
type verified struct {
	result
	reports []esjs.VerifyReport
}

// verify verifies what is stored.
func (s *server) verify(t *testing.T, args ...string) (v verified) {
	t.Helper()
	v.result = s.tool(t, append([]string{"verify", "--json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(v.text)).Decode(&v.reports); err != nil {
		t.Fatalf("orderflow verify: %v: %d\n%s", err, v.status, v.text)
	}
	return v
}

// of is what was found on one server.
func (v verified) of(t *testing.T, s *server) esjs.VerifyReport {
	t.Helper()
	i := slices.IndexFunc(v.reports, func(r esjs.VerifyReport) bool { return r.Leader == s.name })
	if i < 0 {
		t.Fatalf("there is no report of %s\n%s", s.name, v.text)
	}
	return v.reports[i]
}

// said is what was found, in a line.
func (v verified) said() string {
	var lines []string
	for _, r := range v.reports {
		for _, f := range r.Findings {
			lines = append(lines, f.String())
		}
	}
	if len(lines) > 4 {
		lines = append(lines[:4], "…")
	}
	return fmt.Sprintf("status %d: %s", v.status, strings.Join(lines, "; "))
}

// digest is that of the log, in what verify has printed.
func digest(t *testing.T, report string) string {
	t.Helper()
	for line := range strings.Lines(report) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "digest" {
			return words[1]
		}
	}
	t.Fatalf("there is no digest in\n%s", report)
	return ""
}

const (
	commits = 3000 // some 8 KB each: three blocks and more
	stocks  = 30
)

// fill provisions the streams and stores commits, each with its number as a mark.
func fill(t *testing.T, s *server, replicas int) {
	t.Helper()
	s.must(t, "provision", "--replicas", fmt.Sprint(replicas))
	store, err := esjs.Open(t.Context(), esjs.DialURL(s.url()), esjs.Config{Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var writers errgroup.Group
	for stock := range stocks {
		writers.Go(func() error {
			expect := esjs.NoStream()
			for i := stock; i < commits; i += stocks {
				out, err := store.Append(ctx, esjs.StreamID{Category: events.CategoryStock, Key: fmt.Sprint("sku-", stock)}, expect,
					events.StockReceived{Quantity: 1, Reference: mark(i) + strings.Repeat("x", 8000)})
				if err != nil {
					return err
				}
				expect = esjs.AtRevision(out.Revision)
			}
			return nil
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
}

// mark is in one commit and in no other.
func mark(i int) string { return fmt.Sprintf("mark-%d.", i) }
