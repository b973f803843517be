package projector

import (
	"context"
	"database/sql"
	"slices"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// Views is the list of all views.
func Views(store *esjs.Store, codec *esjs.Codec[events.Event]) []view.View {
	return views(store, codec, nil)
}

// Open opens the database as [Service.Run] does.
func (c Config) Open(ctx context.Context) (db *sql.DB, closeAll func() error, err error) {
	return c.open(ctx)
}

// NewOnly is [New] with one of the views alone.
func NewOnly(env *service.Env, cfg Config, name string) *Service {
	return newService(env, cfg, func(store *esjs.Store, codec *esjs.Codec[events.Event]) []view.View {
		return slices.DeleteFunc(Views(store, codec), func(v view.View) bool { return v.Name != name })
	})
}

// NewOpening is [New], where questions open their rows by what wrap makes of it.
func NewOpening(env *service.Env, cfg Config, wrap func(view.Open) view.Open) *Service {
	return newService(env, cfg, func(store *esjs.Store, codec *esjs.Codec[events.Event]) []view.View {
		all := Views(store, codec)
		for _, v := range all {
			for i, answer := range v.Answers {
				v.Answers[i].Ask = func(ctx context.Context, body []byte, open view.Open) (any, error) {
					return answer.Ask(ctx, body, wrap(open))
				}
			}
		}
		return all
	})
}
