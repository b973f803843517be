package main

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/inventory"
	"github.com/b144f99b/orderflow/services/order"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/services/payment"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/shipping"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

// runner is a service: it blocks until ctx ends and what it began is finished,
// or until it cannot go on.
type runner interface {
	Run(ctx context.Context) error
}

// webRunner is a service that also answers on its process's HTTP server.
type webRunner interface {
	Routes(mux *http.ServeMux)
}

// Names of services that differ from the others in what they may do on NATS.
const (
	projectorName = "projector"
	gatewayName   = "gateway"
)

const (
	pspPath     = "/psp/v1"
	carrierPath = "/carrier/v1"

	defaultPartners     = "127.0.0.1:8090"
	defaultPaymentHook  = "127.0.0.1:8091"
	defaultShippingHook = "127.0.0.1:8092"
)

// spec is one service: what it is called, what must exist for it on the NATS
// server, and how it is made from the settings.
type spec struct {
	name    string
	short   string
	buckets []string // KV buckets
	// takes are the categories whose commands it answers and takes from the queue.
	takes []string
	// steered are further categories of commands that it answers, for operators alone.
	steered []string
	appends []string // the categories whose events it appends
	timers  bool     // it sets timers and follows those that have fired
	answers []string // the subjects of the queries that it answers
	// external marks what stands for other companies' systems: it has no
	// connection to NATS, and it stops after everything that calls it.
	external bool
	// web marks what answers people over HTTP, who may have to sign in.
	web   bool
	flags func(*settings, *pflag.FlagSet)
	make  func(*service.Env, *settings) (runner, error)
}

// services lists every service; a new one is one more entry.
func services() []spec {
	return []spec{
		{
			name:    "order",
			short:   "Run the order service: decides what customers and the saga ask of an order",
			buckets: order.Buckets(),
			takes:   []string{events.CategoryOrder},
			appends: []string{events.CategoryOrder},
			answers: orderQueries,
			flags:   (*settings).addLease,
			make: func(env *service.Env, s *settings) (runner, error) {
				return order.New(env, order.Config{Lease: s.lease}), nil
			},
		},
		{
			name:    "inventory",
			short:   "Run the inventory service: products, stock, and what orders hold of it",
			buckets: inventory.Buckets(),
			takes:   []string{events.CategoryProduct, events.CategoryStock},
			appends: []string{events.CategoryProduct, events.CategoryStock, events.CategoryReservation},
			timers:  true,
			flags:   (*settings).addLease,
			make: func(env *service.Env, s *settings) (runner, error) {
				return inventory.New(env, inventory.Config{Lease: s.lease}), nil
			},
		},
		{
			name:    "payment",
			short:   "Run the payment service: authorises, captures, voids and refunds at the PSP",
			buckets: payment.Buckets(),
			appends: []string{events.CategoryPayment},
			timers:  true,
			answers: paymentQueries,
			flags: func(s *settings, f *pflag.FlagSet) {
				s.psp.add(f, "psp", pspPath, "the PSP")
				f.StringVar(&s.webhooks, "webhooks", defaultPaymentHook, "`HOST:PORT` on which the PSP tells news")
				s.addSecret(f)
				s.addLease(f)
			},
			make: func(env *service.Env, s *settings) (runner, error) {
				return payment.New(env, payment.Config{
					PSP: s.psp.config(), Webhooks: s.webhooksOf("payment"), Lease: s.lease,
				}), nil
			},
		},
		{
			name:    "shipping",
			short:   "Run the shipping service: books, dispatches and cancels at the carrier",
			buckets: shipping.Buckets(),
			appends: []string{events.CategoryShipment},
			flags: func(s *settings, f *pflag.FlagSet) {
				s.carrier.add(f, "carrier", carrierPath, "the carrier")
				f.StringVar(&s.webhooks, "webhooks", defaultShippingHook, "`HOST:PORT` on which the carrier tells news")
				s.addSecret(f)
				s.addLease(f)
			},
			make: func(env *service.Env, s *settings) (runner, error) {
				return shipping.New(env, shipping.Config{
					Carrier: s.carrier.config(), Webhooks: s.webhooksOf("shipping"), Lease: s.lease,
				}), nil
			},
		},
		{
			name:    "saga",
			short:   "Run the saga service: carries every submitted order to its end",
			buckets: saga.Buckets(),
			takes:   []string{saga.Category},
			appends: []string{events.CategoryFulfilment, events.CategoryRefund},
			timers:  true,
			flags: func(s *settings, f *pflag.FlagSet) {
				s.addPolicies(f)
				s.addLease(f)
			},
			make: func(env *service.Env, s *settings) (runner, error) {
				return saga.New(env, saga.Config{Lease: s.lease, Policies: s.policies}), nil
			},
		},
		{
			name:    projectorName,
			short:   "Run the projector: keeps the read models and answers queries from them",
			buckets: []string{projector.BucketSubscriptions},
			steered: []string{projector.Category},
			answers: viewQueries(),
			flags: func(s *settings, f *pflag.FlagSet) {
				s.addData(f)
				s.addDatabase(f)
				s.addLease(f)
			},
			make: func(env *service.Env, s *settings) (runner, error) {
				return projector.New(env, s.projector()), nil
			},
		},
		{
			name:  gatewayName,
			short: "Run the gateway: the HTTP API for people and programs that do not speak NATS",
			web:   true,
			flags: (*settings).addSignIn,
			make: func(env *service.Env, s *settings) (runner, error) {
				return gateway.New(env, gateway.Config{SignIn: s.signIn})
			},
		},
		{
			name:     "partners",
			short:    "Run the scripted payment provider and carrier, for development and tests",
			external: true,
			flags: func(s *settings, f *pflag.FlagSet) {
				f.StringVar(&s.partnersListen, "listen", defaultPartners, "`HOST:PORT` of the partners' API")
				f.StringVar(&s.paymentWebhook, "payment-webhook-url", "http://"+defaultPaymentHook, "`URL` that is told news of payments")
				f.StringVar(&s.shippingWebhook, "shipping-webhook-url", "http://"+defaultShippingHook, "`URL` that is told news of shipments")
				f.Uint64Var(&s.faultSeed, "fault-seed", 0, "`SEED` of the faults that are set by rate on /admin/faults")
				s.addData(f)
				s.addSecret(f)
			},
			make: func(env *service.Env, s *settings) (runner, error) {
				p, err := partners.New(partners.Config{
					Listen:            s.partnersListen,
					Listener:          s.listeners["partners"],
					Dir:               filepath.Join(s.data, "partners"),
					PSPWebhookURL:     s.paymentWebhook,
					CarrierWebhookURL: s.shippingWebhook,
					WebhookSecret:     s.secret,
					Seed:              s.faultSeed,
					Log:               slog.New(zerolog.NewSlogHandler(env.Log)),
				})
				if err != nil {
					return nil, err
				}
				env.Health.Await(partnersAPI)
				return partnersRunner{p, env}, nil
			},
		},
	}
}

// Queries that are answered from a service's own events or comparisons, and not from a view.
var (
	orderQueries   = []string{queries.OrderAt.Subject, queries.OrderDiff.Subject, queries.OrderEvents.Subject}
	paymentQueries = []string{queries.PaymentReconciliation.Subject}
)

// viewQueries are all other queries.
func viewQueries() (subjects []string) {
	for _, q := range queries.All() {
		if !slices.Contains(orderQueries, q.Subject) && !slices.Contains(paymentQueries, q.Subject) {
			subjects = append(subjects, q.Subject)
		}
	}
	return subjects
}

const partnersAPI = "partners' API"

// partnersRunner tells when and where the partners listen: they know nothing of
// our health.
type partnersRunner struct {
	*partners.Server
	env *service.Env
}

func (p partnersRunner) Run(ctx context.Context) error {
	return service.Group(ctx, p.Server.Run, func(ctx context.Context) error {
		addr, err := p.Addr(ctx)
		if err != nil {
			return err
		}
		p.env.Log.Info().Str("address", addr).Msg("partners listen")
		p.env.Health.Set(partnersAPI, nil)
		<-ctx.Done()
		return nil
	})
}

// databaseFile is the SQLite database of the read models.
const databaseFile = "projector.db"

// projector is how the projector is configured.
func (s *settings) projector() projector.Config {
	return projector.Config{Database: filepath.Join(s.data, databaseFile), DatabaseURL: s.databaseURL, Lease: s.lease}
}
