package projector

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/customers"
	"github.com/b144f99b/orderflow/services/projector/index"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/services/projector/payments"
	"github.com/b144f99b/orderflow/services/projector/sagas"
	"github.com/b144f99b/orderflow/services/projector/sales"
	"github.com/b144f99b/orderflow/services/projector/stock"
	"github.com/b144f99b/orderflow/services/projector/timeline"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// BucketSubscriptions holds the leases of projectors that share a PostgreSQL database.
const BucketSubscriptions = "SUBSCRIPTIONS_projector"

// Config is the service's wiring. The zero value works.
type Config struct {
	// Database is the path of the SQLite file, which is created with its
	// directory when it is missing; default "projector.db". It belongs to one
	// instance, which a lock file beside it, with ".lock" added, makes sure of.
	Database string
	// DatabaseURL, when it is given, is a PostgreSQL database that is used instead,
	// and which any number of instances share: one of them projects a view, by a
	// lease, and all answer.
	DatabaseURL string
	Lease       time.Duration // of views in PostgreSQL; default 20 s
}

// bucket is where leases are kept; none where there is one instance.
func (c Config) bucket() string {
	if c.DatabaseURL == "" {
		return ""
	}
	return BucketSubscriptions
}

// Service is the projector.
type Service struct {
	env  *service.Env
	cfg  Config
	list list
}

type projector = esjs.Projector[*sql.Tx, events.Event]

// list makes a program's views.
type list func(*esjs.Store, *esjs.Codec[events.Event]) []view.View

// views lists every view; a new one is one more line. m counts what sagas conclude.
func views(store *esjs.Store, codec *esjs.Codec[events.Event], m *sagas.Metrics) []view.View {
	return []view.View{
		orders.View(),
		timeline.View(),
		sagas.View(m),
		sales.View(),
		stock.View(),
		payments.View(),
		customers.View(),
		index.View(store, codec),
	}
}

// New prepares the service. It is not ready before it answers queries and every
// view has caught up with what was stored when it started.
func New(env *service.Env, cfg Config) *Service {
	m := sagas.NewMetrics(env.Metrics.Registry)
	return newService(env, cfg, func(store *esjs.Store, codec *esjs.Codec[events.Event]) []view.View { return views(store, codec, m) })
}

func newService(env *service.Env, cfg Config, list list) *Service {
	if cfg.Database == "" {
		cfg.Database = "projector.db"
	}
	env.Health.AwaitEndpoints(env.Name, Category)
	for _, v := range list(env.Store, nil) {
		env.Health.Await(ready(v.Name))
	}
	return &Service{env: env, cfg: cfg, list: list}
}

// Run projects and answers queries until ctx ends (and then returns nil) or a
// part cannot go on. A PostgreSQL server that does not answer, at the start or later, is waited
// for: the service is not ready meanwhile, and goes on by itself. An SQLite database that another
// instance has open is [ErrInUse], at once and before anything is read.
func (s *Service) Run(ctx context.Context) (err error) {
	db, closeAll, err := s.openDatabase(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	k := newKeeper(s.env, s.cfg, db, codec, s.list)
	answers, err := k.answers()
	if err != nil {
		return err
	}
	// Nothing is answered before the versions are there that answer.
	settled := func(serve func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := k.begun(ctx); err != nil || ctx.Err() != nil {
				return err
			}
			return serve(ctx)
		}
	}
	return service.Group(ctx,
		service.Named("views", k.run),
		service.Named("database", k.watchDatabase),
		service.Named("figures", k.measure),
		service.Named("queries", settled(func(ctx context.Context) error { return s.env.ServeQueries(ctx, answers) })),
		service.Named("projection commands", settled(func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{Category: Category, Verbs: k.verbs()})
		})),
	)
}

// answers are all questions that are answered here.
func (k *keeper) answers() (service.Queries, error) {
	all := service.Queries{Name: k.env.Name, Handlers: map[string]service.Query{}, Metadata: map[string]map[string]string{}}
	for _, v := range k.views {
		open := k.open(v.Name)
		for _, answer := range v.Answers {
			if err := add(&all, answer.Question, func(ctx context.Context, body []byte) (any, error) {
				return answer.Ask(ctx, body, open)
			}); err != nil {
				return all, err
			}
		}
	}
	return all, add(&all, queries.ProjectionList.Describe(), service.Answering(k.list))
}

// add has a question answered.
func add(all *service.Queries, question queries.Description, answer service.Query) error {
	metadata, err := question.Metadata()
	if err != nil {
		return err
	}
	all.Handlers[question.Subject], all.Metadata[question.Subject] = answer, metadata
	return nil
}

// ready names a view in the service's health.
func ready(viewName string) string { return "view " + viewName }
