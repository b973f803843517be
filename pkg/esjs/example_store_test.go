package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// withStore runs an example against a store of its own, on a nats-server
// inside this process.
func withStore(example func(ctx context.Context, dial esjs.Dial, store *esjs.Store) error) {
	ctx := context.Background()
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	store, err := openStore(ctx, server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := example(ctx, server.Dial(), store); err != nil {
		fmt.Println(err)
	}
}

// A store is provisioned once, by someone who may create streams; services only
// open it, and are told what is wrong with a stream that is not as it must be.
func ExampleProvision() {
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	dial := esjs.DialURL(server.URL())
	cfg := esjs.Config{Replicas: 1, MaxBytes: 256 << 20}

	_, err = esjs.Open(ctx, dial, cfg)
	fmt.Println(errors.Is(err, esjs.ErrConfig), err)

	if err := esjs.Provision(ctx, dial, cfg); err != nil {
		fmt.Println(err)
		return
	}
	store, err := esjs.Open(ctx, dial, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	last, err := store.Last(ctx)
	fmt.Println(last, err)
	// Output:
	// true esjs: configuration: there is no stream EVENTS; provision the store first
	// 0-0 <nil>
}

func ExampleStore_Append() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		first, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil {
			return err
		}
		// Two events of one decision are one commit: both are stored or none.
		second, err := store.Append(ctx, card, esjs.AtRevision(first.Revision),
			CardRedeemed{Cents: 12_50}, CardRedeemed{Cents: 7_50})
		if err != nil {
			return err
		}
		fmt.Println(first.Revision.Version(), second.Revision.Version(), len(second.EventIDs))
		return nil
	})
	// Output: 1 3 2
}

// A commit with metadata, which is stored with its events: whom it came from, and what it belongs to.
func ExampleStore_AppendWrite() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		issued, err := store.AppendWrite(ctx, esjs.Write{
			Stream:   esjs.StreamID{Category: "giftcard", Key: "card-1"},
			Expect:   esjs.NoStream(),
			Events:   []esjs.Event{CardIssued{Cents: 50_00}},
			Metadata: esjs.Metadata{CommandID: "issue-1", CorrelationID: "order-7", Actor: "clerk-7"},
		})
		if err != nil {
			return err
		}
		fmt.Println(issued.Revision.Version(), len(issued.EventIDs))
		return nil
	})
	// Output: 1 1
}

// Several aggregates change together or not at all.
func ExampleStore_AppendAll() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		from := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		to := esjs.StreamID{Category: "giftcard", Key: "card-2"}
		issued, err := store.Append(ctx, from, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil {
			return err
		}
		move := esjs.Metadata{CommandID: "move-1", Actor: "clerk-7"}
		moved, err := store.AppendAll(ctx,
			esjs.Write{Stream: from, Expect: esjs.AtRevision(issued.Revision), Events: []esjs.Event{CardRedeemed{Cents: 20_00}}, Metadata: move},
			esjs.Write{Stream: to, Expect: esjs.NoStream(), Events: []esjs.Event{CardIssued{Cents: 20_00}}, Metadata: move},
		)
		if err != nil {
			return err
		}
		fmt.Println(moved[0].Revision.Version(), moved[1].Revision.Version())
		return nil
	})
	// Output: 2 1
}

// Of two writers who know the same version one is refused. The refusal is
// final, and names the version to read again from.
func ExampleConflictError() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if _, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00}); err != nil {
			return err
		}
		if _, err := store.Append(ctx, card, esjs.ExpectVersion(1), CardRedeemed{Cents: 30_00}); err != nil {
			return err
		}
		_, err := store.Append(ctx, card, esjs.ExpectVersion(1), CardRedeemed{Cents: 40_00})
		var conflict *esjs.ConflictError
		if !errors.As(err, &conflict) {
			return err
		}
		fmt.Printf("%s: expected version %d, found %d\n", conflict.Stream, conflict.Expected, conflict.Actual)
		return nil
	})
	// Output: giftcard/card-1: expected version 1, found 2
}

// appendDays stores three events of one card, one on each of three days.
func appendDays(ctx context.Context, store *esjs.Store, card esjs.StreamID) error {
	for day, event := range []esjs.Event{CardIssued{Cents: 50_00}, CardRedeemed{Cents: 12_50}, CardRedeemed{Cents: 37_50}} {
		_, err := store.AppendWrite(ctx, esjs.Write{
			Stream: card,
			Expect: esjs.ExpectVersion(uint64(day)),
			Events: []esjs.Event{event},
			Time:   time.Date(2026, 3, 1+day, 9, 0, 0, 0, time.UTC),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Records hold data as it is stored; a codec decodes them.
func ExampleStore_Read() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if err := appendDays(ctx, store, card); err != nil {
			return err
		}
		codec, err := cardCodec()
		if err != nil {
			return err
		}
		for record, err := range store.Read(ctx, card, 2, 0) { // from version 2 to the end
			if err != nil {
				return err
			}
			recorded, err := codec.Decode(record)
			if err != nil {
				return err
			}
			fmt.Printf("%d %T %s\n", recorded.Version, recorded.Event, record.Data)
		}
		for record, err := range store.Read(ctx, card, math.MaxUint64, 1) { // backward
			if err != nil {
				return err
			}
			fmt.Println(record.Version, record.Type)
		}
		return nil
	})
	// Output:
	// 2 esjs_test.CardRedeemed {"cents":1250}
	// 3 esjs_test.CardRedeemed {"cents":3750}
	// 3 CardRedeemed
	// 2 CardRedeemed
	// 1 CardIssued
}

// What did the card look like on the evening of the second of March?
func ExampleStore_ReadAsOf() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		if err := appendDays(ctx, store, card); err != nil {
			return err
		}
		evening := time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC)
		for record, err := range store.ReadAsOf(ctx, card, evening) {
			if err != nil {
				return err
			}
			fmt.Println(record.Version, record.Type, record.Time.Format(time.DateOnly))
		}
		return nil
	})
	// Output:
	// 1 CardIssued 2026-03-01
	// 2 CardRedeemed 2026-03-02
}

// All cards that were issued, in the store's order.
func ExampleStore_ReadAll() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		for _, key := range []string{"card-1", "card-2"} {
			if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: key}); err != nil {
				return err
			}
		}
		query := esjs.Query{Categories: []string{"giftcard"}, Types: []string{"CardIssued"}, Limit: 10}
		for record, err := range store.ReadAll(ctx, query) {
			if err != nil {
				return err
			}
			fmt.Println(record.Position, record.Stream, record.Type)
		}
		return nil
	})
	// Output:
	// 0-1 giftcard/card-1 CardIssued
	// 0-4 giftcard/card-2 CardIssued
}

// All cards that there are, without reading an event.
func ExampleStore_Streams() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		for _, key := range []string{"card-2", "card-1"} {
			if err := appendDays(ctx, store, esjs.StreamID{Category: "giftcard", Key: key}); err != nil {
				return err
			}
		}
		for id, err := range store.Streams(ctx, "giftcard") {
			if err != nil {
				return err
			}
			fmt.Println(id.Key)
		}
		return nil
	})
	// Output:
	// card-1
	// card-2
}

// A revision goes to a client as text, and comes back as what the client expects.
func ExampleParseRevision() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		issued, err := store.Append(ctx, card, esjs.NoStream(), CardIssued{Cents: 50_00})
		if err != nil {
			return err
		}
		text := issued.Revision.String()
		seen, err := esjs.ParseRevision(text)
		if err != nil {
			return err
		}
		redeemed, err := store.Append(ctx, card, esjs.AtRevision(seen), CardRedeemed{Cents: 12_50})
		fmt.Println(text, redeemed.Revision)
		return err
	})
	// Output: 1-1 2-2
}

func ExampleEscapeKey() {
	token, err := esjs.EscapeKey("a@example.com")
	fmt.Println(token, err)
	key, err := esjs.UnescapeKey(token)
	fmt.Println(key, err)
	// Output:
	// a=40example=2Ecom <nil>
	// a@example.com <nil>
}
