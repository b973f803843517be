package projector

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/services/projector/timeline"
)

// Config is the service's wiring. The zero value works.
type Config struct {
	// Database is the path of the SQLite file, which is created with its
	// directory when it is missing; default "projector.db". It belongs to one
	// instance.
	Database string
}

// Service is the projector.
type Service struct {
	env *service.Env
	cfg Config
}

// view is one read model: a projection and what it answers. queries returns
// the endpoints by subject; wait blocks until the view has passed a revision
// ("" asks for none).
type view struct {
	projection func(*esjs.Codec[events.Event]) esjs.Projection[*sql.Tx, events.Event]
	queries    func(db *sql.DB, wait func(ctx context.Context, minRevision string) error) map[string]service.Query
}

type projector = esjs.Projector[*sql.Tx, events.Event]

func views() []view {
	return []view{
		{orders.Projection, orders.Queries},
		{timeline.Projection, timeline.Queries},
	}
}

// New prepares the service. It is not ready before every view has caught up
// with what was stored when it started.
func New(env *service.Env, cfg Config) *Service {
	if cfg.Database == "" {
		cfg.Database = "projector.db"
	}
	for _, v := range views() {
		env.Health.Await(ready(v.projection(nil).FullName()))
	}
	return &Service{env: env, cfg: cfg}
}

// Run projects and answers queries until ctx ends (and then returns nil) or a
// part cannot go on. Of two instances on one database, the one that is slower
// with the next event ends with [esjs.ErrConflict].
func (s *Service) Run(ctx context.Context) error {
	db, err := s.open()
	if err != nil {
		return err
	}
	defer db.Close()
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	var (
		sink       = sqlsink.New(db)
		projectors []*projector
		handlers   = make(map[string]service.Query)
		runs       []func(context.Context) error
	)
	for _, v := range views() {
		projection := v.projection(codec)
		name := ready(projection.FullName())
		p := esjs.NewProjector(s.env.Store, sink, projection, esjs.ProjectionConfig{
			Observer: s.env.Observer(),
			OnCaughtUp: func() {
				s.env.Log.Info().Str("view", projection.FullName()).Msg("view has caught up")
				s.env.Health.Set(name, nil)
			},
		})
		for subject, handle := range v.queries(db, waiter(p)) {
			handlers[subject] = handle
		}
		projectors = append(projectors, p)
		runs = append(runs, service.Named(name, p.Run))
	}
	handlers["query.projections.list"] = list(projectors)
	runs = append(runs, service.Named("queries", func(ctx context.Context) error {
		return s.env.ServeQueries(ctx, service.Queries{Name: s.env.Name, Handlers: handlers})
	}))
	return service.Group(ctx, runs...)
}

func (s *Service) open() (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(s.cfg.Database), 0o755); err != nil {
		return nil, fmt.Errorf("%w: the directory of the SQLite database: %w", esjs.ErrConfig, err)
	}
	return sqlsink.OpenSQLite(s.cfg.Database)
}

// ready names a view in the service's health.
func ready(fullName string) string { return "view " + fullName }
