//go:build postgres

package projector_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
)

// The tests of this package run on SQLite, and with the build tag postgres on
// PostgreSQL.

// newDatabase is the configuration with an empty database.
func newDatabase(t testing.TB) projector.Config {
	return projector.Config{DatabaseURL: pgtest.Database(t), Lease: 2 * time.Second}
}

// A database that is away, when the projector starts or later, keeps it from being ready, is told of, and is all that
// has to be mended.
func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	server, err := pgtest.Start(t.Context(), "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	r := newRig(t)
	url, err := server.Create(t.Context(), "views")
	r.Check(err)
	r.config = projector.Config{DatabaseURL: url, Lease: 2 * time.Second}
	env := r.Env("projector")
	away := func(why string) {
		t.Helper()
		r.Until("the projector says that "+why, func() bool {
			err := env.Health.Err()
			return err != nil && strings.Contains(err.Error(), "database: esjs: storage unavailable: PostgreSQL database: "+why)
		})
	}
	ready := func() float64 {
		t.Helper()
		families, err := env.Metrics.Registry.Gather()
		r.Check(err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "dependency_ready" && m.GetLabel()[0].GetValue() == "database" {
					return m.GetGauge().GetValue()
				}
			}
		}
		return -1
	}

	var stop func()
	r.Check(server.Restart(t.Context(), func() error {
		stop = r.Run(projector.New(env, r.config).Run)
		away("failed to connect to")
		return nil
	}))
	defer stop()
	r.Ready(env)
	r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":"o-1","min_revision":%q}`, r.complete(t, "o-1")), nil)

	for _, order := range []string{"o-2", "o-3"} {
		var last esjs.Revision
		r.Check(server.Restart(t.Context(), func() error {
			away("failed to connect to")
			if is := ready(); is != 0 {
				t.Errorf("dependency_ready is %v, want 0", is)
			}
			answer := r.request(t, "query.orders.get", `{"order_id":"o-1"}`)
			if code := answer.Header.Get("Nats-Service-Error"); code != "unavailable" {
				t.Errorf("a query is answered %q meanwhile: %s", code, answer.Data)
			}
			last = r.complete(t, order)
			return nil
		}))
		r.Ready(env)
		if is := ready(); is != 1 {
			t.Errorf("dependency_ready is %v, want 1", is)
		}
		r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":%q,"min_revision":%q}`, order, last), nil)
	}
}

func TestInstancesShareADatabase(t *testing.T) {
	r := newRig(t)
	stopFirst := r.run(t)
	r.run(t) // it is ready although the first one projects
	for n, order := range []string{"o-1", "o-2", "o-3"} {
		if n == 2 {
			stopFirst() // the second one goes on
		}
		last := r.complete(t, order)
		for range 4 { // whoever answers has it
			var o queries.Order
			r.ask(t, "query.orders.get", fmt.Sprintf(`{"order_id":%q,"min_revision":%q}`, order, last), &o)
			if o.State != queries.Completed {
				t.Errorf("%s is %+v", order, o)
			}
		}
	}
}
