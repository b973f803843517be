//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

const (
	skus = 10
	// settlesWithin bounds how long orders may take to end after the last fault.
	settlesWithin = 15 * time.Minute
)

// shop is the order system: each service a process of its own.
type shop struct {
	program, dir, url string
	r                 *recorder
	partners          string // URL

	mu        sync.Mutex
	args      map[string][]string
	processes map[string]*exec.Cmd
	ended     map[string]chan struct{}
	placed    int // orders
}

// openShop provisions and starts the services and the partners.
func openShop(ctx context.Context, r *recorder, program, dir, url string) (*shop, error) {
	s := &shop{program: program, dir: dir, url: url, r: r, processes: map[string]*exec.Cmd{}, ended: map[string]chan struct{}{}}
	if out, err := s.tool(ctx, "provision", "--nats-url", url, "--replicas", "3"); err != nil {
		return nil, fmt.Errorf("provision: %w: %s", err, out)
	}
	policies, secret := filepath.Join(dir, "policies.json"), filepath.Join(dir, "secret")
	err := errors.Join(
		// What is unknown is asked for again soon, and not after minutes.
		os.WriteFile(policies, []byte(`{"policies":[{"version":2,"authorize_check":{"max":"10s"},"capture_check":{"max":"10s"},"book":{"first":"10s","max":"10s"},"compensate":{"max":"10s"}}]}`), 0o600),
		os.WriteFile(secret, []byte("chaos\n"), 0o600))
	if err != nil {
		return nil, err
	}
	outside, payment, shipping, err := ports()
	if err != nil {
		return nil, err
	}
	s.partners = "http://" + outside
	connected := func(args ...string) []string {
		return append(args, "--nats-url", url, "--lease", lease.String(), "--log-level", "warn")
	}
	s.args = map[string][]string{
		"partners": {"partners", "--listen", outside, "--data", dir, "--webhook-secret-file", secret, "--log-level", "warn",
			"--payment-webhook-url", "http://" + payment, "--shipping-webhook-url", "http://" + shipping},
		"order":     connected("order"),
		"inventory": connected("inventory"),
		"payment":   connected("payment", "--psp-url", s.partners+"/psp/v1", "--webhooks", payment, "--webhook-secret-file", secret),
		"shipping":  connected("shipping", "--carrier-url", s.partners+"/carrier/v1", "--webhooks", shipping, "--webhook-secret-file", secret),
		"saga":      connected("saga", "--policies", policies),
		"projector": connected("projector", "--data", dir),
	}
	for _, name := range slices.Sorted(maps.Keys(s.args)) {
		if err := s.start(name); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// ports finds three that are free.
func ports() (a, b, c string, err error) {
	var found [3]string
	for i := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", "", err
		}
		defer l.Close()
		found[i] = l.Addr().String()
	}
	return found[0], found[1], found[2], nil
}

// tool runs a command of the program and returns what it prints.
func (s *shop) tool(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, s.program, args...).CombinedOutput()
	return string(out), err
}

func (s *shop) start(name string) error {
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()              // the process has it
	cmd := exec.Command(s.program, s.args[name]...) //nolint:noctx // it lives until it is killed
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[name], s.ended[name] = cmd, ended
	return nil
}

// keep starts services again that ended, as a supervisor does, until ctx ends.
func (s *shop) keep(ctx context.Context) error {
	for rig.Pause(ctx, 500*time.Millisecond) == nil {
		for name := range s.args {
			s.mu.Lock()
			ended := s.ended[name]
			s.mu.Unlock()
			select {
			case <-ended:
				s.r.note("service " + name + " was started again: " + s.lastWords(name))
				if err := s.start(name); err != nil {
					return err
				}
			default:
			}
		}
	}
	return nil
}

// lastWords is what a service that has ended said last.
func (s *shop) lastWords(name string) string {
	log, err := os.ReadFile(filepath.Join(s.dir, name+".log"))
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if last := lines[len(lines)-1]; err == nil && last != "" {
		return last
	}
	return "it said nothing, as who is killed"
}

// kill ends one service as kill -9 does; it is kept.
func (s *shop) kill(_ context.Context, random *rand.Rand) (string, error) {
	names := []string{"order", "inventory", "payment", "shipping", "saga", "projector"}
	name := names[random.IntN(len(names))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.processes[name].Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return name, err
	}
	return name, nil
}

func (s *shop) stop() {
	for name, cmd := range s.processes {
		_ = cmd.Process.Kill() // it has ended before
		<-s.ended[name]
	}
}

// stock lists products, receives goods, and lets the partners fail by rate.
func (s *shop) stock(ctx context.Context, nc *nats.Conn) error {
	for sku := range skus {
		id := fmt.Sprint("sku-", sku)
		for _, r := range [][2]string{
			{"cmd.product." + id + ".list", fmt.Sprintf(`{"name":"Thing %d","price":"%d.90","currency":"EUR"}`, sku, sku+1)},
			{"cmd.stock." + id + ".receive", `{"quantity":150,"reference":"PO-1"}`},
		} {
			if code, err := commanded(ctx, nc, r[0], r[0], r[1]); err != nil || code != "" {
				return fmt.Errorf("%s: %s %w", r[0], code, err)
			}
		}
	}
	body, err := json.Marshal(map[string]any{"faults": []partners.Fault{
		{Partner: "psp", Kind: partners.KindError, Rate: 0.02}, {Partner: "psp", Kind: partners.KindReset, Rate: 0.02},
		{Partner: "carrier", Kind: partners.KindError, Rate: 0.02}, {Partner: "webhook", Kind: partners.KindDuplicate, Rate: 0.05},
	}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.partners+"/admin/faults", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the partners refuse the faults: %s", answer.Status)
	}
	return nil
}

// trade lets customers place orders until ctx ends; those who have begun go on to the end.
func (s *shop) trade(ctx context.Context, nc *nats.Conn, seed uint64) error {
	var customers errgroup.Group
	random := rand.New(rand.NewPCG(seed, 2))
	for i := 0; rig.Pause(ctx, 200*time.Millisecond+time.Duration(random.Int64N(int64(400*time.Millisecond)))) == nil; i++ {
		mind := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		customers.Go(func() error { return s.customer(context.WithoutCancel(ctx), nc, fmt.Sprint("o-", i), mind) })
	}
	return customers.Wait()
}

func (s *shop) customer(ctx context.Context, nc *nats.Conn, id string, mind *rand.Rand) error {
	method := "card-ok"
	switch mind.IntN(20) {
	case 0:
		method = "card-declined"
	case 1:
		method = "card-capture-refused"
	}
	requests := [][2]string{{"create", `{"customer_id":"c-1","currency":"EUR"}`}}
	for _, sku := range mind.Perm(skus)[:1+mind.IntN(3)] {
		requests = append(requests, [2]string{"add-item", fmt.Sprintf(`{"sku":"sku-%d","quantity":%d}`, sku, 1+mind.IntN(3))})
	}
	requests = append(requests, [][2]string{
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", fmt.Sprintf(`{"method_ref":%q}`, method)},
		{"submit", `{}`},
	}...)
	for i, r := range requests {
		code, err := commanded(ctx, nc, "cmd.order."+id+"."+r[0], fmt.Sprint(id, "/", i), r[1])
		if err != nil {
			return err
		}
		if code != "" {
			s.r.object("%s of order %s was refused: %s", r[0], id, code)
			return nil
		}
	}
	s.mu.Lock()
	s.placed++
	s.mu.Unlock()
	if mind.IntN(5) != 0 {
		return nil
	}
	_ = rig.Pause(ctx, time.Duration(mind.Int64N(int64(2*time.Second)))) // the customer thinks
	code, err := commanded(ctx, nc, "cmd.order."+id+".cancel", id+"/cancel", `{"reason":"changed_mind"}`)
	if err == nil && code != "" && code != "too_late" && code != "already_ended" {
		s.r.object("cancel of order %s was refused: %s", id, code)
	}
	return err
}

// answeredWithin bounds how long a command is sent again until it is answered for good.
const answeredWithin = 10 * time.Minute

// commanded sends a command until it is answered for good, and returns the answer's
// code, "" for none.
func commanded(ctx context.Context, nc *nats.Conn, subject, id, body string) (code string, err error) {
	msg := nats.NewMsg(subject)
	msg.Header.Set("Command-Id", id)
	msg.Data = []byte(body)
	for deadline := time.Now().Add(answeredWithin); time.Now().Before(deadline); {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		answer, e := nc.RequestMsgWithContext(attempt, msg)
		cancel()
		if err = e; err == nil {
			switch code = answer.Header.Get("Nats-Service-Error"); code {
			case "busy", "timeout", "unknown_outcome", "unavailable", "conflict", "stopping", "store_full", "refused_by_server": // the same id is handled once
			default:
				return code, nil
			}
		}
		if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s was not answered in %s: %w", subject, answeredWithin, err)
	}
	return code, nil
}

// judge waits until every order has ended or asks for attention, and says what is not
// true of orders, or not shown of them.
func (s *shop) judge(ctx context.Context, store *esjs.Store, out io.Writer) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	var violations []truth.Violation
	for deadline := time.Now().Add(settlesWithin); ; {
		folded, err := truth.Read(ctx, store, codec)
		if err != nil {
			s.r.object("the orders' log cannot be read: %v", err)
			return nil
		}
		if left := folded.Unsettled(); len(left) > 0 || len(folded.Submitted) < s.placed {
			violations = []truth.Violation{{Property: "P4", Text: fmt.Sprintf("%d orders were placed and %d are stored; unsettled are %v", s.placed, len(folded.Submitted), left)}}
		} else {
			books, err := truth.ReadLedger(ctx, http.DefaultClient, s.partners)
			if err != nil {
				return err
			}
			// News of the partners may be under way: then the books differ for a moment.
			if violations = folded.Check(books, time.Now()); len(violations) == 0 {
				return s.shown(ctx, store, folded, out)
			}
		}
		if time.Now().After(deadline) {
			for _, v := range violations {
				s.r.object("%v", v)
			}
			return nil
		}
		if err := rig.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// shown compares the view of orders with a fold of the log, and lets the program verify what is stored.
func (s *shop) shown(ctx context.Context, store *esjs.Store, folded *truth.Shop, out io.Writer) error {
	ends := map[string]int{}
	for id, o := range folded.Orders {
		ends[string(o.Status)]++
		for deadline := time.Now().Add(recoversWithin); ; {
			var shown struct {
				State queries.OrderState `json:"state"`
			}
			err := ask(ctx, store.Conn(), queries.OrderGet.Subject, queries.OrderRequest{OrderID: id}, &shown)
			if err == nil && string(shown.State) == string(o.Status) {
				break
			}
			if time.Now().After(deadline) {
				s.r.object("the view of orders shows %s as %s (%v); it is %s", id, shown.State, err, o.Status)
				break
			}
			if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "orders: %d placed, %v; %d payments, %d parcels; P1 to P4 and P6 hold\n", s.placed, ends, len(folded.Payments), len(folded.Shipments))
	report, err := s.tool(ctx, "verify", "--each-replica", "--nats-url", s.url)
	if err != nil {
		s.r.object("orderflow verify --each-replica: %v\n%s", err, report)
		return nil
	}
	fmt.Fprintln(out, "orderflow verify --each-replica: all is as it was written, snapshots agree with a fold (P5)")
	return nil
}

func ask(ctx context.Context, nc *nats.Conn, subject string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	if code := reply.Header.Get("Nats-Service-Error"); code != "" {
		return errors.New(code)
	}
	return json.Unmarshal(reply.Data, answer)
}
