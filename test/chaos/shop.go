//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/program"
)

const skus = 10

// shop is the order system: each service a process of its own.
type shop struct {
	program, dir, url string
	r                 *recorder
	partners          string // URL

	services  map[string]*rig.Process
	web       map[string]string // URL, by service
	customers int               // who have come so far

	every   time.Duration // a customer comes, on average
	settles time.Duration // within which orders must have ended
	shows   time.Duration // within which the view must show that
	watched atomic.Int64  // bytes of live streams
}

// openShop provisions and starts the services and the partners.
func openShop(ctx context.Context, r *recorder, orderflow, dir, url string) (*shop, error) {
	s := &shop{every: 400 * time.Millisecond, settles: settlesWithin, shows: recoversWithin, program: orderflow, dir: dir, url: url, r: r, services: map[string]*rig.Process{}, web: map[string]string{}}
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
	at, err := program.FreeAddresses(3 + len(serviceNames) + 1)
	if err != nil {
		return nil, err
	}
	outside, payment, shipping := at[0], at[1], at[2]
	s.partners = "http://" + outside
	connected := func(args ...string) []string {
		return append(args, "--nats-url", url, "--lease", lease.String(), "--log-level", "warn")
	}
	args := map[string][]string{
		"partners": {"partners", "--listen", outside, "--data", dir, "--webhook-secret-file", secret, "--log-level", "warn",
			"--payment-webhook-url", "http://" + payment, "--shipping-webhook-url", "http://" + shipping},
		"order":     connected("order"),
		"inventory": connected("inventory"),
		"payment":   connected("payment", "--psp-url", s.partners+"/psp/v1", "--webhooks", payment, "--webhook-secret-file", secret),
		"shipping":  connected("shipping", "--carrier-url", s.partners+"/carrier/v1", "--webhooks", shipping, "--webhook-secret-file", secret),
		"saga":      connected("saga", "--policies", policies),
		"projector": connected("projector", "--data", dir),
		"gateway":   {"gateway", "--nats-url", url, "--log-level", "warn"},
	}
	for i, name := range slices.Sorted(maps.Keys(args)) {
		web := at[3+i]
		s.web[name] = "http://" + web
		s.services[name] = rig.NewProcess(name, filepath.Join(dir, name+".log"), append([]string{orderflow}, append(args[name], "--http", web)...)...)
		if err := s.services[name].Start(); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// tool runs a command of the program and returns what it prints.
func (s *shop) tool(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, s.program, args...).CombinedOutput()
	return string(out), err
}

// keep starts services again that ended, as a supervisor does, until ctx ends.
func (s *shop) keep(ctx context.Context) error {
	for rig.Pause(ctx, 500*time.Millisecond) == nil {
		for name, p := range s.services {
			select {
			case <-p.Ended():
				s.r.note("service " + name + " was started again: " + cmp.Or(p.LastWords(), "it said nothing, as who is killed"))
				if err := p.Start(); err != nil {
					return err
				}
			default:
			}
		}
	}
	return nil
}

// serviceNames are those of the system itself; the partners are others'.
var serviceNames = []string{"order", "inventory", "payment", "shipping", "saga", "projector", "gateway"}

// kill ends one service as kill -9 does; it is kept.
func (s *shop) kill(random *rand.Rand) (string, error) {
	name := serviceNames[random.IntN(len(serviceNames))]
	return name, s.services[name].Signal(syscall.SIGKILL)
}

// setClock lets the clock of one service be wrong, until it is set right or started again.
func (s *shop) setClock(name string, wrong time.Duration) (string, error) {
	err := s.services[name].SetClock(wrong)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrNotExist) {
		err = nil // it has ended, and is started with the right one
	}
	return name, err
}

func (s *shop) stop() {
	for _, p := range s.services {
		_ = p.End(context.Background(), syscall.SIGKILL) // a killed process ends
	}
}
