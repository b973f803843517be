// Package crash kills the services' program with SIGKILL at every point at which
// others can see what it does: before and after each append, timer, list entry and
// position that it stores, each call to a partner and each webhook that it takes. The
// program is this test binary, started as a process of its own; what it sends passes
// through the test, which holds it back, kills the process, and starts it again.
//
// Nothing in the services knows of this.
package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/shipping"
)

// The variables that make the test binary the services' program.
const (
	variableNATS     = "CRASH_TEST_NATS"     // URL
	variablePartners = "CRASH_TEST_PARTNERS" // URL
)

// secret is what the partners sign with.
var secret = []byte("crash")

func TestMain(m *testing.M) {
	if os.Getenv(variableNATS) == "" {
		flag.Parse()
		if err := flag.Set("test.parallel", strconv.Itoa(lanes)); err != nil { // they wait most of the time, and need no core each
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		m.Run()
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test is gone, however it ended
		os.Exit(1)
	}()
	if err := runServices(context.Background(), os.Getenv(variableNATS), os.Getenv(variablePartners)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1) // it is killed, and ends by itself only when something is wrong
}

// storeConfig is how the store is opened on both sides.
func storeConfig() esjs.Config { return esjs.Config{Replicas: 1, MaxBytes: 256 << 20} }

// policy is the default's, in a hurry.
func policy() fulfilment.Policy {
	p := fulfilment.DefaultPolicy()
	p.AuthorizeCheck = fulfilment.Patience{First: 100 * time.Millisecond, Max: time.Second, Attempts: 8}
	p.CaptureCheck = fulfilment.Patience{First: 100 * time.Millisecond, Max: time.Second, Attempts: 3}
	p.Attention = 10 * time.Second // nobody has to be there
	for _, patience := range []*fulfilment.Patience{&p.Reserve, &p.Authorize, &p.Confirm, &p.Book, &p.Capture, &p.Dispatch, &p.Complete, &p.Compensate} {
		patience.First, patience.Max = 3*time.Second, 6*time.Second
	}
	return p
}

// runServices runs all of them until one fails. Their webhooks come in at the
// listeners that the parent gave.
func runServices(ctx context.Context, url, partners string) error {
	log := zerolog.New(os.Stderr).Level(zerolog.ErrorLevel)
	metrics := service.NewMetrics()
	var envs []*service.Env
	env := func(name string) *service.Env {
		e := &service.Env{
			Name: name, Dial: esjs.DialURL(url, nats.Name(name)), Log: log, Metrics: metrics, Health: service.NewHealth(), Owner: "crash",
		}
		envs = append(envs, e)
		return e
	}
	inherited := func(fd uintptr) (net.Listener, error) { return net.FileListener(os.NewFile(fd, "webhooks")) }
	paid, err := inherited(3)
	if err != nil {
		return err
	}
	shipped, err := inherited(4)
	if err != nil {
		return err
	}
	partner := func(path string) service.PartnerConfig {
		return service.PartnerConfig{URL: partners + path, Timeout: 400 * time.Millisecond, Failures: 1000}
	}
	makers := []func() interface{ Run(context.Context) error }{
		func() interface{ Run(context.Context) error } { return order.New(env("order"), order.Config{}) },
		func() interface{ Run(context.Context) error } {
			return inventory.New(env("inventory"), inventory.Config{})
		},
		func() interface{ Run(context.Context) error } {
			return payment.New(env("payment"), payment.Config{PSP: partner("/psp/v1"), Webhooks: service.WebhookConfig{Listener: paid, Secret: secret}})
		},
		func() interface{ Run(context.Context) error } {
			return shipping.New(env("shipping"), shipping.Config{
				Carrier: partner("/carrier/v1"), Retry: 200 * time.Millisecond, Webhooks: service.WebhookConfig{Listener: shipped, Secret: secret},
			})
		},
		func() interface{ Run(context.Context) error } {
			return saga.New(env("saga"), saga.Config{Policies: []fulfilment.Policy{policy()}})
		},
	}
	var runs []func(context.Context) error
	for _, make := range makers {
		runs = append(runs, make().Run)
	}
	for _, e := range envs {
		store, err := esjs.Open(ctx, e.Dial, e.Observed(storeConfig()))
		if err != nil {
			return err
		}
		e.Store = store
	}
	runs = append(runs, func(ctx context.Context) error {
		for _, e := range envs {
			if err := e.Health.Wait(ctx); err != nil {
				return err
			}
		}
		fmt.Println("ready")
		<-ctx.Done()
		return nil
	})
	return errors.Join(service.Group(ctx, runs...), errors.New("the services ended"))
}
