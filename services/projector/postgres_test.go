//go:build postgres

package projector_test

import (
	"fmt"
	"testing"
	"time"

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
