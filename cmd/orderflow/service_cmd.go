package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// newService makes the subcommand that runs one service as a process of its own.
func newService(sp spec) *cobra.Command {
	s := &settings{}
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   sp.name,
		Short: sp.short,
		Long: sp.short + `.

It runs until it is told to stop (SIGINT, SIGTERM) and then finishes what it has
begun. Its HTTP server answers /livez, /readyz and, unless --metrics says
otherwise, /metrics.

` + startHelp(),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if as := cmd.CalledAs(); as != sp.name { // "sagas" are not something that runs
				return usageError("%s needs a command; it has %s. \"orderflow %s\" runs the service", "orderflow "+as, strings.Join(commandNames(cmd), ", "), sp.name)
			}
			log, err := s.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := errors.Join(s.checkHosts(), s.readSecret(), s.psp.read(), s.carrier.read(), s.readPolicies()); err != nil {
				return err
			}
			err = runService(cmd.Context(), sp, s, wait, log.With().Str("service", sp.name).Logger())
			return unlessStopped(cmd.Context(), err)
		},
	}
	if !sp.external {
		s.addServer(cmd.Flags())
		addWait(cmd.Flags(), &wait)
	}
	cmd.Flags().StringVar(&s.http, "http", "127.0.0.1:0", "`HOST:PORT` of the HTTP server; port 0 is a free one, which the log tells")
	s.addMetrics(cmd.Flags())
	s.addHosts(cmd.Flags())
	s.addLog(cmd.Flags())
	if sp.flags != nil {
		sp.flags(s, cmd.Flags())
	}
	return cmd
}

func runService(ctx context.Context, sp spec, s *settings, wait time.Duration, log zerolog.Logger) error {
	telemetry, err := newTelemetry(ctx, log)
	if err != nil {
		return err
	}
	defer telemetry.close()
	web, err := s.listenWeb()
	if err != nil {
		return err
	}
	defer web.close()
	if sp.web {
		if err := s.checkSignIn(web.main.Addr()); err != nil {
			return err
		}
	}
	var dial esjs.Dial
	if !sp.external {
		dial = s.dialExternal(sp.name, log)
		if err := s.reach(ctx, dial, wait, log); err != nil {
			return err
		}
	}
	p, err := start(ctx, sp, s, dial, telemetry, log)
	if err != nil {
		return err
	}
	defer p.close()

	mux := http.NewServeMux()
	service.HandleProbes(mux, p.env.Health.Err)
	p.route(mux)
	log.Info().Stringer("http", web.main.Addr()).Stringer("metrics", web.metricsAt()).Str("version", versionText()).Msg("service starts")
	err = service.Group(ctx, p.run, func(ctx context.Context) error { return web.serve(ctx, mux, telemetry.metrics) })
	if err == nil {
		log.Info().Msg("service stopped")
	}
	return err
}

// part is a service that has what it needs to run.
type part struct {
	spec spec
	env  *service.Env
	run  func(context.Context) error
	web  webRunner // nil when it answers nothing on HTTP
}

// start opens the service's store and makes the service; it does not run it.
func start(ctx context.Context, sp spec, s *settings, dial esjs.Dial, t *telemetry, log zerolog.Logger) (*part, error) {
	traces, err := t.tracing.Provider(ctx, sp.name)
	if err != nil {
		return nil, err
	}
	p := &part{spec: sp, env: &service.Env{
		Name: sp.name, Dial: dial, Log: log, Metrics: t.metrics, Health: service.NewHealth(), Traces: traces, Owner: s.owner,
	}}
	if !sp.external {
		store, err := esjs.Open(ctx, dial, p.env.Observed(s.store()))
		if err != nil {
			if errors.Is(err, esjs.ErrConfig) && !errors.Is(err, esjs.ErrServerTooOld) && !errors.Is(err, esjs.ErrNoJetStream) {
				return nil, fmt.Errorf("%w (\"orderflow provision\" creates what is missing)", err)
			}
			return nil, err
		}
		p.env.Store = store
	}
	made, err := sp.make(p.env, s)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%s: %w", sp.name, err)
	}
	runs := []func(context.Context) error{made.Run}
	if p.env.Store != nil {
		runs = append(runs, p.env.WatchClock)
		if sp.name != gatewayName { // what the gateway reads is there without the store, too
			runs = append(runs, p.env.WatchStore)
		}
	}
	p.run = service.Named(sp.name, func(ctx context.Context) error { return service.Group(ctx, runs...) })
	p.web, _ = made.(webRunner)
	return p, nil
}

// route adds what the service answers on HTTP.
func (p *part) route(mux *http.ServeMux) {
	if p.web != nil {
		p.web.Routes(mux)
	}
}

func (p *part) close() {
	if p.env.Store != nil {
		p.env.Store.Close()
	}
}

// addressError says why nothing can listen on the address of a flag.
func addressError(flag, addr string, err error) error {
	return fail(exitAddressInUse, "%s %s cannot be used: %w; stop what listens there, or choose another address", flag, addr, errors.Unwrap(err))
}
