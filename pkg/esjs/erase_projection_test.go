package esjs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// A projection that is told of erasures loses the person's rows, and one that is
// built afterwards never has them.
func TestProjectionsAreToldOfErasures(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := keyedStore(t, d, master(1))
		register := func(guest string) esjs.Appended {
			stored, err := store.Append(testContext(t), esjs.StreamID{Category: "guest", Key: guest}, esjs.Any(),
				GuestRegistered{Guest: guest, Name: esjs.PersonalOf("Ada")})
			if err != nil {
				t.Fatal(err)
			}
			return stored
		}
		register("g-1")
		last := register("g-2")
		before := newGuestList(t, keyedStore(t, d, master(1)))
		before.want(t, last.Revision.Position(), "g-1 Ada", "g-2 Ada")
		if err := store.ErasePerson(testContext(t), "g-1"); err != nil {
			t.Fatal(err)
		}
		end, err := store.Last(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		before.want(t, end, "g-2 Ada")
		newGuestList(t, keyedStore(t, d, master(1))).want(t, end, "g-2 Ada")
	})
}

// What a store reads after a PersonErased is erased, also where the key was in
// its memory and it is deaf for the bucket.
func TestNothingOfAPersonIsReadAfterTheErasure(t *testing.T) {
	d := esjstest.Server(t)
	store, late, reading := keyedStore(t, d, master(1)), keyedStore(t, d, master(1)), keyedStore(t, d, master(1))
	esjs.StopKeyWatch(late)
	esjs.StopKeyWatch(reading)
	for _, key := range []string{"first", "late"} {
		if key == "late" {
			if err := store.ErasePerson(testContext(t), "m-1"); err != nil {
				t.Fatal(err)
			}
		}
		// late has the key in memory and does not know better.
		if _, err := late.Append(testContext(t), member(key), esjs.NoStream(), ada("m-1")); err != nil {
			t.Fatal(err)
		}
		// reading takes the key into memory.
		if key == "first" {
			for _, err := range reading.ReadAll(testContext(t), esjs.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var names []string
	for r, err := range reading.ReadAll(testContext(t), esjs.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := joinedCodec(t).Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if j, ok := e.Event.(joined); ok {
			names = append(names, fmt.Sprintf("%s %q", r.Stream.Key, j.Name.Value()))
		}
	}
	if want := []string{`first "Ada"`, `late ""`}; !reflect.DeepEqual(names, want) {
		t.Errorf("read %v, want %v", names, want)
	}
}

// A key that was parked is released with its personal values.
func TestAReleasedKeyHasItsPersonalValues(t *testing.T) {
	store := keyedStore(t, esjstest.Server(t), master(1))
	var mended atomic.Bool
	list := newGuestList(t, store, func(p *esjs.Projection[*sql.Tx, esjs.Event]) {
		apply := p.Apply
		p.Apply = func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[esjs.Event]) error {
			if !mended.Load() {
				return esjs.Park(errors.New("not yet"))
			}
			return apply(ctx, tx, e)
		}
	})
	for _, guest := range []string{"g-1", "g-2"} {
		if _, err := store.Append(testContext(t), esjs.StreamID{Category: "guest", Key: guest}, esjs.NoStream(),
			GuestRegistered{Guest: guest, Name: esjs.PersonalOf("Ada")}); err != nil {
			t.Fatal(err)
		}
	}
	last, err := store.Last(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	list.want(t, last)
	mended.Store(true)
	if err := list.projector.Release(testContext(t), "guest/g-1"); err != nil {
		t.Fatal(err)
	}
	list.want(t, last, "g-1 Ada")
	if err := store.ErasePerson(testContext(t), "g-2"); err != nil {
		t.Fatal(err)
	}
	if err := list.projector.Release(testContext(t), "guest/g-2"); err != nil {
		t.Fatal(err)
	}
	list.want(t, last, "g-1 Ada")
}

// guestList is the projection of the example, running.
type guestList struct {
	db        *sql.DB
	projector *esjs.Projector[*sql.Tx, esjs.Event]
}

func newGuestList(t *testing.T, store *esjs.Store, changes ...func(*esjs.Projection[*sql.Tx, esjs.Event])) guestList {
	t.Helper()
	db, err := sqlsink.OpenSQLite(filepath.Join(t.TempDir(), "guests.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	codec, err := guestCodec()
	if err != nil {
		t.Fatal(err)
	}
	projection := guestTable(codec)
	for _, change := range changes {
		change(&projection)
	}
	l := guestList{db: db, projector: esjs.NewProjector(store, sqlsink.New(db), projection, esjs.ProjectionConfig{})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.projector.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l guestList) want(t *testing.T, at esjs.Position, want ...string) {
	t.Helper()
	if err := l.projector.WaitFor(testContext(t), at); err != nil {
		t.Fatal(err)
	}
	rows, err := l.db.QueryContext(testContext(t), `SELECT guest || ' ' || name FROM guests_v1 ORDER BY guest`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var have []string
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		have = append(have, row)
	}
	if err := rows.Err(); err != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("the rows are %q, %v, want %q", have, err, want)
	}
}
