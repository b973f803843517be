package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// AddressClaimed and AddressReleased are the events of an e-mail address, whose key
// is the address: so an address is claimed by one user at a time.
type AddressClaimed struct {
	User string `json:"user"`
}

type AddressReleased struct{}

// MemberJoined and MemberLeft are the events of a user.
type MemberJoined struct {
	Email string `json:"email"`
}

type MemberLeft struct{}

func (AddressClaimed) EventType() string  { return "AddressClaimed" }
func (AddressReleased) EventType() string { return "AddressReleased" }
func (MemberJoined) EventType() string    { return "MemberJoined" }
func (MemberLeft) EventType() string      { return "MemberLeft" }

// address is the state of an e-mail address: who has claimed it.
type address struct{ User string }

// users registers users under addresses that nobody else has.
type users struct {
	store     *esjs.Store
	addresses *esjs.CommandHandler[address, any, esjs.Event]
}

func newUsers(ctx context.Context, store *esjs.Store) (*users, error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, AddressClaimed](), esjs.TypeOf[esjs.Event, AddressReleased]())
	if err != nil {
		return nil, err
	}
	addresses, err := esjs.NewCommandHandler(ctx, store, esjs.Aggregate[address, any, esjs.Event]{
		Category: "email",
		Codec:    codec,
		Apply: func(a address, e esjs.Event) address {
			switch e := e.(type) {
			case AddressClaimed:
				a.User = e.User
			case AddressReleased:
				a.User = ""
			}
			return a
		},
		Decide: func(address, any) ([]esjs.Event, error) { return nil, nil }, // users decide
	}, esjs.HandlerConfig[address]{})
	return &users{store: store, addresses: addresses}, err
}

// register stores the claim and the user, or neither. Of two who want the same
// address at once one gets it, and the other one a *ConflictError of the
// address; who comes later is rejected.
func (u *users) register(ctx context.Context, user, email string) error {
	email = strings.ToLower(email) // one key per address
	// Fresh: a rejection writes nothing, so no expectation would notice an old state.
	claim, err := u.addresses.Load(ctx, email, esjs.Fresh())
	if err != nil {
		return err
	}
	if claim.State.User != "" {
		return esjs.Reject("email_taken", "%s has an account", email)
	}
	_, err = u.store.AppendAll(ctx,
		u.addresses.Write(claim, esjs.Metadata{}, time.Time{}, AddressClaimed{User: user}),
		esjs.Write{Stream: memberStream(user), Expect: esjs.NoStream(), Events: []esjs.Event{MemberJoined{Email: email}}})
	return err
}

// leave ends the account and lets the address go.
func (u *users) leave(ctx context.Context, user, email string) error {
	claim, err := u.addresses.Load(ctx, strings.ToLower(email), esjs.Fresh())
	if err != nil {
		return err
	}
	if claim.State.User != user {
		return esjs.Reject("email_not_yours", "%s is not the address of %s", email, user)
	}
	_, err = u.store.AppendAll(ctx,
		u.addresses.Write(claim, esjs.Metadata{}, time.Time{}, AddressReleased{}),
		esjs.Write{Stream: memberStream(user), Expect: esjs.Any(), Events: []esjs.Event{MemberLeft{}}})
	return err
}

func memberStream(user string) esjs.StreamID { return esjs.StreamID{Category: "member", Key: user} }

// A value is unique when it is the key of an aggregate: a claim on it expects
// that nobody has it, and is stored together with what claims it.
func Example_uniqueness() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		u, err := newUsers(ctx, store)
		if err != nil {
			return err
		}
		fmt.Println(u.register(ctx, "u-1", "Ada@example.org"))
		fmt.Println(u.register(ctx, "u-2", "ada@example.org"))
		fmt.Println(u.leave(ctx, "u-1", "ada@example.org"))
		fmt.Println(u.register(ctx, "u-2", "ada@example.org"))
		return nil
	})
	// Output:
	// <nil>
	// email_taken: ada@example.org has an account
	// <nil>
	// <nil>
}

// A customer's two gift cards may be overdrawn one by one while their sum is
// not. The card that is not written is guarded, so nobody redeems it between
// the decision and the append.
func ExampleUnchanged() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		one := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		two := esjs.StreamID{Category: "giftcard", Key: "card-2"}
		cards, err := store.AppendAll(ctx,
			esjs.Write{Stream: one, Events: []esjs.Event{CardIssued{Cents: 50_00}}},
			esjs.Write{Stream: two, Events: []esjs.Event{CardIssued{Cents: 50_00}}})
		if err != nil {
			return err
		}
		// Both decide on 100.00 in all.
		redeem := func(card, other int) error {
			ids := []esjs.StreamID{one, two}
			_, err := store.AppendAll(ctx,
				esjs.Write{
					Stream: ids[card], Expect: esjs.AtRevision(cards[card].Revision),
					Events: []esjs.Event{CardRedeemed{Cents: 80_00}},
				},
				esjs.Unchanged(ids[other], cards[other].Revision))
			return err
		}
		fmt.Println(redeem(0, 1))
		err = redeem(1, 0)
		fmt.Println(err, errors.Is(err, esjs.ErrConflict))
		return nil
	})
	// Output:
	// <nil>
	// esjs: conflict: giftcard/card-1 is at version 2, not 1 true
}

// A guard is stored beside what it protects: who audits the log sees what a decision has relied on.
func ExampleGuarded() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		one := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		two := esjs.StreamID{Category: "giftcard", Key: "card-2"}
		read, err := store.Append(ctx, one, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil {
			return err
		}
		_, err = store.AppendAll(ctx,
			esjs.Write{Stream: two, Events: []esjs.Event{CardIssued{Cents: 25_00}}},
			esjs.Unchanged(one, read.Revision))
		if err != nil {
			return err
		}
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Guarded, esjs.Guarded]())
		if err != nil {
			return err
		}
		for record, err := range store.ReadAll(ctx, esjs.Query{Categories: []string{"guard"}}) {
			if err != nil {
				return err
			}
			guard, err := codec.Decode(record)
			if err != nil {
				return err
			}
			fmt.Println("relied on", guard.Event.Category, guard.Event.Key, "at version", guard.Event.Version)
		}
		return nil
	})
	// Output: relied on giftcard card-1 at version 1
}
