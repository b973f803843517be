package projector_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/projector"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/go-json-experiment/json"
)

// variablePlan makes the test binary a process that projects all views and kills
// itself.
const variablePlan = "PROJECTOR_TEST_PLAN"

// plan says when the process dies. Each view is on its way to a point of its own;
// when all are there, or have nothing more to do, the process kills itself.
type plan struct {
	URL   string
	Last  esjs.Position // up to where the views are wanted
	Loose bool          // transactions are none
	Views []target
}

// target is a view in a database of its own.
type target struct {
	Name          string
	Database, URL string // as in projector.Config
	At            int    // at the how manieth point it stops; each process counts from 1
}

func (t target) open(ctx context.Context) (*sql.DB, func() error, error) {
	return projector.Config{Database: t.Database, DatabaseURL: t.URL}.Open(ctx)
}

func TestMain(m *testing.M) {
	text := os.Getenv(variablePlan)
	if text == "" {
		os.Exit(m.Run())
	}
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.carryOut(context.Background())
	}
	if err != nil {
		panic(err)
	}
}

// smallBatch makes several transactions of a short history.
const smallBatch = 8

// carryOut kills the process, or returns when no view comes to its point any more.
func (p plan) carryOut(ctx context.Context) error {
	store, err := esjs.Open(ctx, esjs.DialURL(p.URL), esjs.Config{})
	if err != nil {
		return err
	}
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	stopped, done, failed := make(chan struct{}), make(chan struct{}), make(chan error)
	all := projector.Views(store, codec)
	for _, target := range p.Views {
		pool, _, err := target.open(ctx)
		if err != nil {
			return err
		}
		var mu sync.Mutex
		left, over := target.At, false
		pass := func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 && !over {
				stopped <- struct{}{}
				select {} // the signal ends this
			}
		}
		i := slices.IndexFunc(all, func(v view.View) bool { return v.Name == target.Name })
		db := mortal{pool, pass, p.Loose}.open()
		running := esjs.NewProjector(store, sqlsink.New(db), all[i].Projection(1, codec), esjs.ProjectionConfig{Batch: smallBatch})
		go func() { failed <- running.Run(ctx) }()
		go func() {
			if err := running.WaitFor(ctx, p.Last); err != nil {
				failed <- err
			}
			mu.Lock() // for ever, if it has stopped
			over = true
			mu.Unlock()
			done <- struct{}{}
		}()
	}
	dies := false
	for range p.Views {
		select {
		case <-stopped:
			dies = true
		case <-done:
		case err := <-failed:
			return fmt.Errorf("a projector ended by itself: %w", err)
		}
	}
	if dies {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

var (
	killEvery = flag.Int("kill-every", 3, "kill at one of so many `points`; 1: at each")
	killSeed  = flag.Uint64("kill-seed", 0, "`seed` by which the points are chosen; 0: of the clock")
)

// The process that projects is killed at every point of every transaction, of every
// view: before it, after each statement, before the commit and before anybody hears of
// the commit. What it leaves behind is each time what a projector that nobody
// disturbed had at that checkpoint, and the next process goes on from there.
//
// Unless -kill-every says otherwise it is one point of three, others each time.
func TestKilledAtEveryPointOfABatch(t *testing.T) {
	k := newKilled(t)
	kills := 0
	for ; k.killed(false); kills++ {
		for i := range k.views {
			if err := k.agree(&k.views[i]); err != nil {
				t.Fatalf("after %d kills: %v", kills+1, err)
			}
		}
		if kills > 2000 {
			t.Fatal("it never comes to its end")
		}
	}
	for _, v := range k.views {
		if got, want := rows(t, v), v.whole[len(v.whole)-1]; got != want.rows {
			t.Errorf("%s in the end, after %d kills:\n%s\nundisturbed:\n%s", v.Name, kills, got, want.rows)
		}
	}
	t.Logf("killed %d times, at one of %d points; seed %d", kills, *killEvery, k.seed)
	if kills**killEvery < 50 {
		t.Errorf("killed %d times only", kills)
	}
}

// Without transactions the same test finds rows that do not agree with the checkpoint.
func TestRowsWithoutTransactionsDoNotAgree(t *testing.T) {
	k := newKilled(t)
	for i := range k.views {
		v := &k.views[i]
		if _, err := sqlsink.New(v.db).Open(t.Context(), v.Name+"_v1", v.view.Projection(1, nil).Init); err != nil {
			t.Fatal(err)
		}
	}
	found := make(map[string]bool)
	for range 30 {
		if len(found) == len(k.views) {
			return
		}
		if !k.killed(true) {
			t.Fatal("it came to its end")
		}
		for i := range k.views {
			if k.agree(&k.views[i]) != nil {
				found[k.views[i].Name] = true
			}
		}
	}
	t.Errorf("of the views only %v were found to disagree", found)
}

// killed are views in databases of their own, a process that projects them, and what
// they are when nobody disturbs them.
type killed struct {
	t      *testing.T
	plan   plan
	views  []disturbed
	seed   uint64
	random *rand.Rand
}

// disturbed is one of them.
type disturbed struct {
	target
	view  view.View
	db    *sql.DB
	at    string // the checkpoint that was seen last; "" before there is one
	whole []moment
}

// moment is what a view's rows are at a checkpoint.
type moment struct {
	position esjs.Position
	rows     string
}

func newKilled(t *testing.T) *killed {
	r := newRig(t)
	r.history(t)
	last, err := r.Store.Last(t.Context())
	r.Check(err)
	k := &killed{t: t, plan: plan{URL: r.Server.URL(), Last: last}, seed: *killSeed}
	if k.seed == 0 {
		k.seed = uint64(time.Now().UnixNano())
	}
	k.random = rand.New(rand.NewPCG(k.seed, 0))
	for _, v := range projector.Views(r.Store, r.Codec) {
		config := newDatabase(t)
		d := disturbed{target: target{v.Name, config.Database, config.DatabaseURL, k.first()}, view: v}
		d.whole = r.undisturbed(t, v, last)
		_, closeAll, err := d.open(t.Context()) // which makes its directory
		r.Check(err)
		r.Check(closeAll())
		d.db = look(t, config)
		k.views = append(k.views, d)
	}
	return k
}

// look opens a database from outside, beside the projector that it belongs to.
func look(t *testing.T, config projector.Config) (db *sql.DB) {
	t.Helper()
	var err error
	if config.DatabaseURL != "" {
		db, err = sqlsink.OpenPostgres(t.Context(), config.DatabaseURL)
	} else {
		db, err = sqlsink.OpenSQLite(config.Database)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// undisturbed projects a view, commit by commit, and notes its rows at each.
func (r *rig) undisturbed(t *testing.T, v view.View, last esjs.Position) []moment {
	t.Helper()
	db, closeAll, err := newDatabase(t).Open(t.Context())
	r.Check(err)
	defer closeAll()
	w := &watched{Sink: sqlsink.New(db)}
	w.committed = func(ctx context.Context, name string) error {
		c, err := w.Load(ctx, name)
		if err == nil && len(c.Parked) > 0 {
			err = fmt.Errorf("%v are parked", c.Parked)
		}
		w.moments = append(w.moments, moment{c.Position, rows(t, disturbed{view: v, db: db})})
		return err
	}
	running := esjs.NewProjector(r.Store, w, v.Projection(1, r.Codec), esjs.ProjectionConfig{Batch: 1})
	stop := r.Run(running.Run)
	r.Check(running.WaitFor(t.Context(), last))
	stop()
	if len(w.moments) < 3 {
		t.Fatalf("%s shows only %d moments of the history", v.Name, len(w.moments))
	}
	return w.moments
}

// watched looks at what was committed.
type watched struct {
	*sqlsink.Sink
	committed func(ctx context.Context, name string) error
	moments   []moment
}

func (w *watched) Open(ctx context.Context, name string, init func(context.Context, *sql.Tx) error) (esjs.Checkpoint, error) {
	c, err := w.Sink.Open(ctx, name, init)
	if err != nil {
		return c, err
	}
	return c, w.committed(ctx, name)
}

func (w *watched) Commit(ctx context.Context, name string, step func(context.Context, *sql.Tx, esjs.Checkpoint) (esjs.Checkpoint, error)) error {
	if err := w.Sink.Commit(ctx, name, step); err != nil {
		return err
	}
	return w.committed(context.WithoutCancel(ctx), name)
}

// killed runs the process until it has killed itself, or has nothing more to do.
func (k *killed) killed(loose bool) bool {
	k.t.Helper()
	k.plan.Loose, k.plan.Views = loose, nil
	for _, v := range k.views {
		k.plan.Views = append(k.plan.Views, v.target)
	}
	text, err := json.Marshal(k.plan)
	if err != nil {
		k.t.Fatal(err)
	}
	child := exec.CommandContext(k.t.Context(), os.Args[0])
	child.Env = append(os.Environ(), variablePlan+"="+string(text))
	output, err := child.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		k.t.Fatalf("the process did not die as it should: %v\n%s", err, output)
	}
	return true
}

// first is the first point at which a process dies.
func (k *killed) first() int { return 1 + k.random.IntN(*killEvery) }

// agree compares a view's rows with what they were, undisturbed, at the checkpoint
// that is stored. The next process dies at a later point, or, if this one stored
// something, at one behind that.
func (k *killed) agree(v *disturbed) error {
	k.t.Helper()
	c, err := sqlsink.New(v.db).Load(k.t.Context(), v.Name+"_v1")
	if errors.Is(err, esjs.ErrNotFound) {
		v.At += *killEvery
		return nil
	}
	if err != nil {
		k.t.Fatal(err)
	}
	if now := c.Position.String(); now == v.at {
		v.At += *killEvery
	} else {
		v.at, v.At = now, k.first()
	}
	var want moment
	for _, m := range v.whole {
		if !c.Position.Before(m.position) {
			want = m
		}
	}
	if got := rows(k.t, *v); got != want.rows {
		return fmt.Errorf("%s, at the checkpoint %s:\n%s\nundisturbed at %s:\n%s", v.Name, c.Position, got, want.position, want.rows)
	}
	return nil
}

// rows is everything that the first version of a view has stored, as text.
func rows(t *testing.T, v disturbed) string {
	t.Helper()
	var all []string
	for _, table := range v.view.Tables(view.Name(v.view.Name + "_v1")) {
		all = append(all, rowsOf(t, v.db, table)...)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func rowsOf(t *testing.T, db *sql.DB, table string) (all []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		cells, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			to[i] = &cells[i]
		}
		if err := found.Scan(to...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i, c := range cells {
			line += fmt.Sprintf(" %s=%q", columns[i], c.String)
		}
		all = append(all, line)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// history stores something for every view and every kind of row: an order that is
// completed and refunded, and one that is undone.
func (r *rig) history(t *testing.T) {
	t.Helper()
	r.complete(t, "o-1")
	back := euros("24.90")
	now := time.Now()
	r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderRefundRequested{RefundID: "f-1", PaymentID: "p-1", Amount: back})
	r.append(t, "refund", "f-1", esjs.Metadata{}, events.RefundOpened{OrderID: "o-1", RefundID: "f-1", PaymentID: "p-1", Amount: back},
		events.RefundRequested{Request: events.Request{OrderID: "o-1", RequestID: "r1", Attempt: 1}, RefundID: "f-1", PaymentID: "p-1", Amount: back})
	r.append(t, "payment", "p-1", esjs.Metadata{}, events.PaymentRefunded{OrderID: "o-1", RefundID: "f-1", Amount: back})
	r.append(t, "refund", "f-1", esjs.Metadata{}, events.RefundPaid{OrderID: "o-1", RefundID: "f-1", PaymentID: "p-1", Amount: back},
		events.RefundSettled{OrderID: "o-1", RefundID: "f-1", Outcome: events.RefundOutcomeRefunded})
	r.append(t, "order", "o-1", esjs.Metadata{}, events.OrderRefunded{RefundID: "f-1", Amount: back})

	r.append(t, "order", "o-2", esjs.Metadata{}, events.OrderCreated{OrderID: "o-2", CustomerID: "c-1", Currency: "EUR"})
	r.append(t, "fulfilment", "o-2", esjs.Metadata{}, events.FulfilmentStarted{OrderID: "o-2", Deadline: now},
		events.ReservationRequested{Request: events.Request{OrderID: "o-2", RequestID: "r1", Attempt: 1}})
	r.append(t, "fulfilment", "o-2", esjs.Metadata{}, events.ReservationFailed{OrderID: "o-2", Code: "out_of_stock"},
		events.CompensationStarted{OrderID: "o-2", Cause: "out_of_stock", Outcome: events.OutcomeRejected})
	r.append(t, "order", "o-2", esjs.Metadata{}, events.OrderRejected{Code: "out_of_stock"})
	r.append(t, "stock", "beans-1kg", esjs.Metadata{}, events.StockReceived{Quantity: 1, OnHandAfter: 41})
}
