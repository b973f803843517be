package projector_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector"
)

func TestAVersionWhoseRowsDifferWaitsForAnOperator(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	var last esjs.Revision
	for i := range 20 {
		id := fmt.Sprint("o-", i)
		last = r.append(t, "order", id, esjs.Metadata{}, events.OrderCreated{OrderID: id, CustomerID: "c-1", Currency: "EUR"})
	}
	r.ask(t, "query.orders.list", fmt.Sprintf(`{"min_revision":%q}`, last), nil)
	// A row that is wrong, one that is lacking, and one that nothing stored accounts for.
	db := look(t, r.config)
	for _, damage := range []string{
		`UPDATE orders_v1 SET customer_id = 'c-2' WHERE order_id = 'o-7'`,
		`DELETE FROM orders_v1 WHERE order_id = 'o-3'`,
		`INSERT INTO orders_v1 SELECT 'o-x', customer_id, state, created_at, words, document FROM orders_v1 WHERE order_id = 'o-1'`,
	} {
		if _, err := db.ExecContext(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	r.must(t, "orders", "rebuild", ``)
	compared := func() *queries.Comparison { return r.status(t, "orders_v2").Comparison }
	r.Until("the versions are compared", func() bool { return compared() != nil })
	want := []string{"orders o-3", "orders o-7", "orders o-x"}
	if c := compared(); c.With != "orders_v1" || c.Rows != 21 || c.Differing != 3 || !slices.Equal(c.First, want) || c.Overruled != "" {
		t.Errorf("compared are %+v, want %v of 21", c, want)
	}
	r.Until("it waits for an operator", func() bool {
		waits := r.status(t, "orders_v2")
		return waits.ByHand && waits.State == queries.ProjectionStandby
	})
	stop() // it is known after a restart as well
	r.run(t)
	r.version(t, "orders_v1", queries.ProjectionLive)
	if _, problem := r.command(t, "orders_v2", "promote", ``); problem == nil || problem.Code != "differs" || problem.Status != 409 ||
		!strings.Contains(problem.Detail, "o-3") || !strings.Contains(problem.Detail, `"reason"`) {
		t.Errorf("a promotion without a reason is answered %v", problem)
	}
	r.version(t, "orders_v1", queries.ProjectionLive)
	live := r.must(t, "orders_v2", "promote", `{"reason":"rows were damaged"}`)
	if live.State != queries.ProjectionLive || live.Comparison == nil || live.Comparison.Overruled != "rows were damaged" {
		t.Errorf("promoted is %+v, %+v", live, live.Comparison)
	}
	// It may be gone back to, and from, without giving the reason again.
	r.must(t, "orders_v1", "promote", ``)
	r.must(t, "orders_v2", "promote", ``)
	r.must(t, "orders_v1", "drop", ``)
	r.must(t, "orders", "rebuild", ``)
	r.version(t, "orders_v3", queries.ProjectionLive)
	if c := r.status(t, "orders_v3").Comparison; c == nil || c.With != "orders_v2" || c.Rows != 20 || c.Differing != 0 || c.Changing != 0 {
		t.Errorf("rows that are equal are compared as %+v", c)
	}
}

// What the code makes of the same events is the same, in every view, so that each takes
// over by itself.
func TestEveryViewIsRebuiltAsItWas(t *testing.T) {
	r := newRig(t)
	r.run(t)
	r.history(t)
	all := projector.Views(nil, nil)
	for _, v := range all {
		r.must(t, v.Name, "rebuild", ``)
	}
	for _, v := range all {
		r.version(t, v.Name+"_v2", queries.ProjectionLive)
		if c := r.status(t, v.Name+"_v2").Comparison; c == nil || c.Rows == 0 || c.Differing != 0 || c.Changing != 0 {
			t.Errorf("%s_v2 is compared as %+v", v.Name, c)
		}
	}
}

// A sample is taken by primary keys, so each table must be known to have one.
func TestEveryTableHasAKeyToBeComparedBy(t *testing.T) {
	keys := make(map[string]string)
	for _, v := range projector.Views(nil, nil) {
		tables := v.Keyed()
		if len(tables) != len(v.Tables("x")) {
			t.Errorf("%s has the tables %v, and keys of %v", v.Name, v.Tables("x"), tables)
		}
		for _, table := range tables {
			keys[v.Name+table.Suffix] = strings.Join(table.Key, " ")
			if len(table.Key) == 0 {
				t.Errorf("%s%s has no primary key", v.Name, table.Suffix)
			}
		}
	}
	if keys["orders"] != "order_id" || keys["sagas_durations"] != "day kind step outcome bucket" {
		t.Errorf("the keys are %v", keys)
	}
}
