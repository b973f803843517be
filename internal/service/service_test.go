package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func TestGroup(t *testing.T) {
	boom := errors.New("boom")
	untilDone := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		runs []func(context.Context) error
		stop bool
		want error
	}{
		"the first error ends all":         {runs: []func(context.Context) error{untilDone, func(context.Context) error { return boom }}, want: boom},
		"an early end is an error":         {runs: []func(context.Context) error{untilDone, func(context.Context) error { return nil }}, want: service.ErrEnded},
		"a stop is none":                   {runs: []func(context.Context) error{untilDone, untilDone}, stop: true},
		"an error during a stop is told":   {runs: []func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); return boom }}, stop: true, want: boom},
		"an error carries its part's name": {runs: []func(context.Context) error{service.Named("part", func(context.Context) error { return boom })}, want: boom},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.stop {
				cancel()
			}
			if err := service.Group(ctx, c.runs...); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	h := service.NewHealth()
	if err := h.Err(); err != nil {
		t.Errorf("a new Health is %v, want ready", err)
	}
	h.Await("prices")
	h.Set("nats", errors.New("gone"))
	if err := h.Err(); err == nil || err.Error() != "nats: gone\nprices: is starting" {
		t.Errorf("got %q", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Wait(ended); !errors.Is(err, context.Canceled) || !errors.Is(err, service.ErrStarting) {
		t.Errorf("waiting that ended says %v", err)
	}
	waited := make(chan error)
	go func() { waited <- h.Wait(t.Context()) }()
	h.Set("prices", nil)
	h.Set("nats", nil)
	if err := <-waited; err != nil {
		t.Errorf("waiting says %v, want ready", err)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, service.ExitOK},
		{errors.New("x"), service.ExitFailure},
		{esjs.Reject("no", "no"), service.ExitRefused},
		{&esjs.ConflictError{}, service.ExitConflict},
		{fmt.Errorf("x: %w", esjs.ErrNotFound), service.ExitNotFound},
		{nats.ErrNoResponders, service.ExitUnavailable},
		{&service.Problem{Status: 503, Code: "busy"}, service.ExitUnavailable},
		{&service.Problem{Status: 409, Code: "conflict"}, service.ExitConflict},
		{&service.Problem{Status: 409, Code: "too_late"}, service.ExitRefused},
		{&service.Problem{Status: 404, Code: "jar_not_found"}, service.ExitNotFound},
		{&esjs.Rejection{Status: 404, Code: "jar_not_found"}, service.ExitNotFound},
		{&service.Problem{Status: 503, Code: "view_building"}, service.ExitUnavailable},
		{&esjs.Rejection{Status: 503, Code: "view_building"}, service.ExitUnavailable},
		{&service.Problem{Status: 500, Code: "broken"}, service.ExitFailure},
		{&service.Problem{Status: 504, Code: "timeout"}, service.ExitUnknown},
		{&service.Problem{Status: 500, Code: "internal"}, service.ExitFailure},
	} {
		if got := service.ExitStatus(c.err); got != c.want {
			t.Errorf("%v: exit status %d, want %d", c.err, got, c.want)
		}
	}
}

func TestProbes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health, metrics := service.NewHealth(), service.NewMetrics()
	(&service.Env{Name: "jars", Metrics: metrics}).Observer().Lag("copy", 3, 2*time.Second)
	mux := http.NewServeMux()
	service.HandleProbes(mux, health.Err)
	service.HandleMetrics(mux, metrics)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.ServeHTTP(ctx, ln, mux) }()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	health.Await("prices")
	if status, body := get("/readyz"); status != 503 || body != "prices: is starting\n" {
		t.Errorf("readyz while starting: %d %q", status, body)
	}
	if status, _ := get("/livez"); status != 200 {
		t.Errorf("livez while starting: %d", status)
	}
	health.Set("prices", nil)
	if status, _ := get("/readyz"); status != 200 {
		t.Errorf("readyz when ready: %d", status)
	}
	if _, body := get("/metrics"); !strings.Contains(body, `esjs_subscription_lag_seconds{service="jars",subscription="copy"} 2`) {
		t.Errorf("metrics lack the lag:\n%s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// A server that refuses the subscription says so only in the connection's error
// handler; the endpoint must not look as if it served.
func TestRefusedSubscriptionEndsTheEndpoint(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(),
		Users: []*server.User{
			{Username: "all", Password: "all"},
			{Username: "jars", Password: "jars", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"cmd.>"}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if err := esjs.Provision(t.Context(), esjs.DialURL(s.ClientURL(), nats.UserInfo("all", "all")), esjs.Config{MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := service.ProvisionQueue(t.Context(), esjs.DialURL(s.ClientURL(), nats.UserInfo("all", "all")), 1); err != nil {
		t.Fatal(err)
	}
	store, err := esjs.Open(t.Context(), esjs.DialURL(s.ClientURL(), nats.UserInfo("jars", "jars")), esjs.Config{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	env := &service.Env{Name: "jars", Dial: esjs.DialURL(s.ClientURL(), nats.UserInfo("all", "all")), Store: store, Log: zerolog.Nop(), Metrics: service.NewMetrics(), Health: service.NewHealth()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := env.ServeCommands(ctx, service.Commands{Category: "jar"}); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v, want a permission violation", err)
	}
}
