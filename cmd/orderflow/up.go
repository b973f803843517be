package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	// upLease is short, because nobody else runs these services: after a crash they
	// go on soon, and a server in the same process is never silent for long.
	upLease = 5 * time.Second
	// upOwner owns the leases on the embedded server. Both are in the one process
	// that holds the lock of the data directory, where the leases are: those that it
	// finds under this name were left by a process that has ended. On another server
	// nothing says so, and the lease runs out.
	upOwner = "orderflow-up"
)

// upFlags are the flags of "up" that no other command has.
type upFlags struct {
	settings
	nats      string
	embedded  *embedded // nil: another server is used
	ephemeral bool
	demo      bool
	demoEnded bool // with every scenario as it should
}

func newUp() *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process: NATS, every service, the partners",
		Long: `Run everything in one process: an embedded nats-server, every service, and the
payment provider and carrier that they talk to. Nothing needs to be installed.

Everything is stored in --data. Ctrl-C finishes what was begun and stops; a
second one ends at once. Started again it goes on where it was, also after a
crash: an order in flight completes.

` + startHelp(exitDemoFailed),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			external := cmd.Flags().Changed("nats-url")
			switch {
			case external && cmd.Flags().Changed("nats"):
				return usageError("--nats is the address of the embedded server and --nats-url another server's; give one of them")
			case external && f.natsURL == "":
				return usageError("--nats-url is empty; give the URL of a NATS server, or leave the flag out for an embedded one")
			case f.ephemeral && cmd.Flags().Changed("data"):
				return usageError("--ephemeral keeps nothing and --data says where to keep it; give one of them")
			case f.data == "":
				return usageError("--data is empty; give a directory")
			case !external && f.replicas != 1:
				return usageError("--replicas is %d; the embedded server is one server and keeps 1 copy", f.replicas)
			}
			if err := errors.Join(checkAddresses(f.nats, f.http), f.checkHosts(), f.checkStore(), f.readPolicies()); err != nil {
				return err
			}
			if f.demo && !cmd.Flags().Changed("log-level") {
				f.logLevel = "warn" // the demo tells what happens
			}
			log, err := f.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			err = unlessStopped(cmd.Context(), runUp(cmd.Context(), f, external, cmd.OutOrStdout(), log))
			if err == nil && f.demo && !f.demoEnded {
				return fail(exitDemoFailed, "the demo was interrupted before its first scenario")
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", defaultData, "keep everything that is stored in `DIR`, which is made when it is missing")
	fl.StringVar(&f.nats, "nats", defaultNATS, "`HOST:PORT` of the embedded nats-server; port 0 is a free one")
	fl.StringVar(&f.http, "http", defaultHTTP, "`HOST:PORT` of the HTTP server; port 0 is a free one")
	fl.StringVar(&f.natsURL, "nats-url", "", "`URL` of a NATS server that is there already, to be used instead of the embedded one")
	fl.StringVar(&f.credentials, "nats-creds", "", "`FILE` with the credentials for --nats-url")
	f.addIdentity(fl)
	fl.BoolVar(&f.demo, "demo", false, "place orders that end in different ways, print what happened to each, and stop")
	fl.BoolVar(&f.ephemeral, "ephemeral", false, "keep everything in a temporary directory that is removed at the end")
	insteadOf(fl, "nats", "nats-url")
	insteadOf(fl, "data", "ephemeral")
	f.addPolicies(fl)
	f.addDatabase(fl)
	f.addMetrics(fl)
	f.addHosts(fl)
	f.addSignIn(fl)
	f.addStore(fl)
	f.addLog(fl)
	return cmd
}

// runUp first takes everything that can be refused (addresses, the directory,
// the server), in an order in which a refusal leaves nothing behind, and then
// starts the services.
func runUp(ctx context.Context, f *upFlags, external bool, out io.Writer, log zerolog.Logger) (err error) {
	begun := time.Now()
	telemetry, err := newTelemetry(ctx, log)
	if err != nil {
		return err
	}
	defer telemetry.close()
	web, err := f.listenWeb()
	if err != nil {
		return err
	}
	defer web.close()
	if err := f.checkSignIn(web.main.Addr()); err != nil {
		return err
	}
	if !external {
		if err := checkFree("--nats", f.nats); err != nil {
			return err
		}
	}
	dir, err := openDirectory(f.data, f.ephemeral)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if err := f.prepare(dir.path); err != nil {
		return err
	}
	defer closeAll(f.listeners)
	if err := f.checkDatabase(ctx); err != nil {
		return err
	}

	dialAs, stopServer, err := f.server(ctx, dir, external, log)
	if err != nil {
		return err
	}
	defer stopServer()
	if err := provision(ctx, dialAs("provision", log), f.store()); err != nil {
		return err
	}
	dir.keep()
	var inside, outside []*part
	for _, sp := range services() {
		p, err := start(ctx, sp, &f.settings, dialAs(sp.name, log), telemetry, log.With().Str("service", sp.name).Logger())
		if err != nil {
			return err
		}
		defer p.close()
		if sp.external {
			outside = append(outside, p)
		} else {
			inside = append(inside, p)
		}
	}
	parts := append(inside, outside...)
	mux := http.NewServeMux()
	service.HandleProbes(mux, func() error { return unready(parts) })
	for _, p := range parts {
		p.route(mux)
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	runs := append(runsOf(inside),
		func(ctx context.Context) error { return web.serve(ctx, mux, telemetry.metrics) },
		func(ctx context.Context) error {
			if err := awaitAll(ctx, parts); err != nil {
				return err
			}
			log.Info().Dur("took_ms", time.Since(begun)).Stringer("metrics", web.metricsAt()).Msg("everything is ready")
			if f.demo {
				defer stop()
				err := runDemo(ctx, dialAs("demo", log), f.store(), "http://"+f.listeners["partners"].Addr().String(), out)
				f.demoEnded = err == nil
				return err
			}
			f.announce(out, dir, web)
			<-ctx.Done()
			return nil
		})
	if f.embedded != nil {
		runs = append(runs, func(ctx context.Context) error {
			return watchServers(ctx, telemetry.metrics, service.NewHealth(), log, f.embedded.report)
		})
	}
	err = during(ctx, runsOf(outside), func(ctx context.Context) error { return service.Group(ctx, runs...) })
	if err == nil {
		log.Info().Msg("everything is stopped")
	}
	return err
}

// prepare gives the services that speak HTTP with each other their addresses
// and a common secret. The secret lives as long as the process, in which both
// sides are.
func (f *upFlags) prepare(dir string) (err error) {
	f.data, f.lease = dir, upLease
	if f.listeners, err = listenAll(dir, "partners", "payment", "shipping"); err != nil {
		return err
	}
	at := func(name string) string { return "http://" + f.listeners[name].Addr().String() }
	f.psp.url, f.carrier.url = at("partners")+pspPath, at("partners")+carrierPath
	f.paymentWebhook, f.shippingWebhook = at("payment"), at("shipping")
	f.secret = []byte(rand.Text())
	return nil
}

// checkDatabase refuses a database that the projector could not use.
func (f *upFlags) checkDatabase(ctx context.Context) error {
	err := f.projector().Check(ctx)
	if f.databaseURL == "" && errors.Is(err, esjs.ErrConfig) {
		return fail(exitBadDirectory, "%w; move it away, and the read models are built anew", err)
	}
	return err
}

// server starts the embedded server or reaches the other one, and returns how
// a service connects to it.
func (f *upFlags) server(ctx context.Context, dir *directory, external bool, log zerolog.Logger) (dialAs func(string, zerolog.Logger) esjs.Dial, stop func(), err error) {
	if external {
		return f.dialExternal, func() {}, f.reach(ctx, f.dialExternal("check", log), 0, log)
	}
	if err := dir.requireSpace(storeMax(f.eventsMax)); err != nil {
		return nil, nil, err
	}
	store, err := dir.sub("nats")
	if err != nil {
		return nil, nil, err
	}
	server, err := startServer(ctx, store, f.nats, f.eventsMax, log)
	if err != nil {
		return nil, nil, err
	}
	f.embedded, f.natsURL, f.owner = server, server.url(), upOwner
	return server.dial, server.stop, nil
}

// during runs outer as long as inner takes, and stops it after inner has ended;
// inner is stopped when outer fails.
func during(ctx context.Context, outer []func(context.Context) error, inner func(context.Context) error) error {
	outerCtx, stopOuter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOuter()
	innerCtx, stopInner := context.WithCancel(ctx)
	defer stopInner()
	ended := make(chan error, 1)
	go func() {
		ended <- service.Group(outerCtx, outer...)
		stopInner()
	}()
	err := inner(innerCtx)
	stopOuter()
	return errors.Join(<-ended, err)
}

func runsOf(parts []*part) (runs []func(context.Context) error) {
	for _, p := range parts {
		runs = append(runs, p.run)
	}
	return runs
}

func unready(parts []*part) error {
	var errs []error
	for _, p := range parts {
		if err := p.env.Health.Err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.spec.name, err))
		}
	}
	return errors.Join(errs...)
}

func awaitAll(ctx context.Context, parts []*part) error {
	for _, p := range parts {
		if err := p.env.Health.Wait(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.spec.name, err)
		}
	}
	return nil
}

// checkFree makes sure that the embedded server will be able to listen.
func checkFree(flag, addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return addressError(flag, addr, err)
	}
	return ln.Close()
}

// announce tells a person what there is to do now.
func (f *upFlags) announce(out io.Writer, dir *directory, web *web) {
	kept := "kept in " + dir.path
	if dir.ephemeral {
		kept = "in a temporary directory, removed at the end"
	}
	fmt.Fprintf(out, `
orderflow is ready.

  NATS     %s
  Console  http://%s/console/
  HTTP     http://%[2]s    /openapi.json /readyz
  Metrics  http://%s/metrics
  Partners %s
  Data     %s

Try:

  export NATS_URL=%[1]s ORDERFLOW_NATS_URL=%[1]s
  nats req cmd.product.beans-1kg.list '{"name":"Espresso beans 1 kg","price":"24.90","currency":"EUR"}'
  nats req cmd.stock.beans-1kg.receive '{"quantity":40,"reference":"PO-1"}'
  nats req cmd.order.o-1.create '{"customer_id":"c-1","currency":"EUR"}'
  nats sub 'ev.>'

Ctrl-C stops it.
`, f.natsURL, web.main.Addr(), web.metricsAt(), f.partnersURL(), kept)
}

func (f *upFlags) partnersURL() string { return "http://" + f.listeners["partners"].Addr().String() }
