package esjs_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// GuestRegistered says something about a person: what must be erasable one day
// is a Personal. The person's number is not, because it says nothing by itself.
type GuestRegistered struct {
	Guest string                `json:"guest"`
	Name  esjs.Personal[string] `json:"name"`
	Email esjs.Personal[string] `json:"email"`
}

func (GuestRegistered) EventType() string  { return "GuestRegistered" }
func (e GuestRegistered) PersonID() string { return e.Guest }

// GuestSeated has nothing personal.
type GuestSeated struct {
	Table int `json:"table"`
}

func (GuestSeated) EventType() string { return "GuestSeated" }

// Guest is what a restaurant knows of a guest.
type Guest struct {
	Name  string `json:"name"`
	Table int    `json:"table"`
}

// applyGuest is total: of a guest who was erased the name is unknown.
func applyGuest(g Guest, event esjs.Event) Guest {
	switch e := event.(type) {
	case GuestRegistered:
		g.Name = e.Name.Value()
		if e.Name.Erased() {
			g.Name = "a former guest"
		}
	case GuestSeated:
		g.Table = e.Table
	}
	return g
}

// guestCodec also knows the event by which the store tells of erasures.
func guestCodec() (*esjs.Codec[esjs.Event], error) {
	return esjs.NewCodec(
		esjs.TypeOf[esjs.Event, GuestRegistered](),
		esjs.TypeOf[esjs.Event, GuestSeated](),
		esjs.TypeOf[esjs.Event, esjs.PersonErased](),
	)
}

// openStoreWithKeys opens a store that seals personal values. The master key
// comes from a vault; only an operator provisions.
func openStoreWithKeys(ctx context.Context, dial esjs.Dial, master []byte) (*esjs.Store, error) {
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return nil, err
	}
	if err := esjs.ProvisionKeys(ctx, dial, "PERSONS", 1); err != nil {
		return nil, err
	}
	return esjs.Open(ctx, dial, esjs.Config{Keys: &esjs.KeyConfig{Bucket: "PERSONS", Master: master}})
}

// forgetGuest erases a guest and shows that nothing is left to be read.
func forgetGuest(ctx context.Context, store *esjs.Store, guest string) error {
	if err := store.ErasePerson(ctx, guest); err != nil {
		return err // not erased, or not completely: try again
	}
	codec, err := guestCodec()
	if err != nil {
		return err
	}
	report, err := esjs.VerifyErased(ctx, store, codec, guest)
	if err != nil {
		return err
	}
	fmt.Printf("complete: %t, %d values in %d of %d events\n", report.Complete(), report.Values, report.Events, report.Read)
	return nil
}

// A personal value is told to nobody by accident: who may see it asks for it.
func ExamplePersonal() {
	guest := GuestRegistered{Guest: "g-1", Name: esjs.PersonalOf("Ada"), Email: esjs.PersonalOf("ada@example.org")}
	fmt.Printf("%+v\n", guest)
	_, err := json.Marshal(guest)
	fmt.Println(err != nil)

	fmt.Println(guest.Name.Value())
	data, err := esjs.MarshalInClear(guest)
	fmt.Println(string(data), err)
	// Output:
	// {Guest:g-1 Name:[personal] Email:[personal]}
	// true
	// Ada
	// {"guest":"g-1","name":"Ada","email":"ada@example.org"} <nil>
}

// A guest is registered, seated and erased. What is not personal stays.
func ExampleStore_ErasePerson() {
	withKeys(func(ctx context.Context, store *esjs.Store) error {
		id := esjs.StreamID{Category: "guest", Key: "g-1"}
		_, err := store.Append(ctx, id, esjs.NoStream(),
			GuestRegistered{Guest: "g-1", Name: esjs.PersonalOf("Ada"), Email: esjs.PersonalOf("ada@example.org")},
			GuestSeated{Table: 7})
		if err != nil {
			return err
		}
		guests, err := guestHandler(ctx, store)
		if err != nil {
			return err
		}
		before, err := guests.Load(ctx, "g-1")
		if err != nil {
			return err
		}
		if err := forgetGuest(ctx, store, "g-1"); err != nil {
			return err
		}
		after, err := guests.Load(ctx, "g-1")
		if err != nil {
			return err
		}
		fmt.Println(before.State)
		fmt.Println(after.State)

		_, err = store.Append(ctx, id, esjs.Any(), GuestRegistered{Guest: "g-1", Name: esjs.PersonalOf("Ada")})
		var erased *esjs.ErasedError
		fmt.Println(errors.As(err, &erased), err)
		return nil
	})
	// Output:
	// complete: true, 2 values in 1 of 3 events
	// {Ada 7}
	// {a former guest 7}
	// true esjs: the person g-1 was erased
}

// What can be read of a person, before: the places, and not the values.
func ExampleErasureReport() {
	withKeys(func(ctx context.Context, store *esjs.Store) error {
		_, err := store.Append(ctx, esjs.StreamID{Category: "guest", Key: "g-1"}, esjs.NoStream(),
			GuestRegistered{Guest: "g-1", Name: esjs.PersonalOf("Ada"), Email: esjs.PersonalOf("ada@example.org")})
		if err != nil {
			return err
		}
		codec, err := guestCodec()
		if err != nil {
			return err
		}
		report, err := esjs.VerifyErased(ctx, store, codec, "g-1")
		if err != nil {
			return err
		}
		fmt.Println("complete:", report.Complete())
		for _, value := range report.Readable {
			fmt.Println(value.Stream, value.Version, value.Type, value.Path)
		}
		return nil
	})
	// Output:
	// complete: false
	// guest/g-1 1 GuestRegistered /name
	// guest/g-1 1 GuestRegistered /email
}

// guestTable is a projection that removes the rows of erased persons: it also
// selects the category in which the store tells of them.
func guestTable(codec *esjs.Codec[esjs.Event]) esjs.Projection[*sql.Tx, esjs.Event] {
	return esjs.Projection[*sql.Tx, esjs.Event]{
		Name: "guests", Version: 1, Codec: codec,
		Query: esjs.Query{Categories: []string{"guest", "erasure"}},
		Init: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE guests_v1 (guest TEXT PRIMARY KEY, name TEXT NOT NULL)`)
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, e esjs.Recorded[esjs.Event]) (err error) {
			switch event := e.Event.(type) {
			case GuestRegistered:
				if !event.Name.Erased() { // when it is built again
					_, err = tx.ExecContext(ctx, `INSERT INTO guests_v1 VALUES (?, ?)`, event.Guest, event.Name.Value())
				}
			case esjs.PersonErased:
				_, err = tx.ExecContext(ctx, `DELETE FROM guests_v1 WHERE guest = ?`, event.Person)
			}
			return err
		},
	}
}

// rotate is the third of four steps to another master key: this process has the
// new one as Master and the old one as Previous, and so have all others.
func rotate(ctx context.Context, store *esjs.Store) error {
	for {
		n, err := store.RotateMasterKey(ctx)
		if err != nil || n == 0 {
			return err // nil: the old key can be destroyed
		}
		fmt.Println(n, "keys are wrapped anew")
	}
}

// The master key is replaced while stores with either key work.
func ExampleStore_RotateMasterKey() {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	before, now := newMasterKey(), newMasterKey()
	store, err := openStoreWithKeys(ctx, server.Dial(), before)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	_, err = store.Append(ctx, esjs.StreamID{Category: "guest", Key: "g-1"}, esjs.NoStream(),
		GuestRegistered{Guest: "g-1", Name: esjs.PersonalOf("Ada")})
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := esjs.Open(ctx, server.Dial(), esjs.Config{
		Keys: &esjs.KeyConfig{Bucket: "PERSONS", Master: now, Previous: [][]byte{before}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer next.Close()
	fmt.Println(rotate(ctx, next))
	// Output:
	// 1 keys are wrapped anew
	// <nil>
}

// newMasterKey makes a master key, which a vault keeps.
func newMasterKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}

func guestHandler(ctx context.Context, store *esjs.Store) (*esjs.CommandHandler[Guest, any, esjs.Event], error) {
	codec, err := guestCodec()
	if err != nil {
		return nil, err
	}
	return esjs.NewCommandHandler(ctx, store, esjs.Aggregate[Guest, any, esjs.Event]{
		Category: "guest",
		Codec:    codec,
		Apply:    applyGuest,
		Decide:   func(Guest, any) ([]esjs.Event, error) { return nil, nil }, // not shown here
	}, esjs.HandlerConfig[Guest]{})
}

// withKeys gives f a store with keys, of a server of its own.
func withKeys(f func(context.Context, *esjs.Store) error) {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	store, err := openStoreWithKeys(context.Background(), server.Dial(), newMasterKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := f(context.Background(), store); err != nil {
		fmt.Println(err)
	}
}
