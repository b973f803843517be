package esjs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// copied is an event of another store: its data is stored as it is.
type copied struct {
	id      string // in the other store
	stream  esjs.StreamID
	version uint64 // 1, 2, 3 … within the stream
	name    string // the type's
	schema  int
	at      time.Time
	data    []byte // JSON
}

func (c copied) EventType() string            { return c.name }
func (c copied) SchemaVersion() int           { return c.schema }
func (c copied) MarshalJSON() ([]byte, error) { return json.RawMessage(c.data).MarshalJSON() }

// copyEvent appends one event of another store. It may be called again for the
// same event, by a copy that is repeated or goes on after it was cut off.
func copyEvent(ctx context.Context, store *esjs.Store, c copied) error {
	_, err := store.AppendWrite(ctx, esjs.Write{
		Stream: c.stream,
		Expect: esjs.ExpectVersion(c.version - 1),
		Events: []esjs.Event{c},
		Time:   c.at,
		Metadata: esjs.Metadata{
			CommandID:  "copy/" + c.id, // the new event id follows from it
			Extensions: map[string]string{"formerid": c.id},
		},
	})
	var conflict *esjs.ConflictError
	if errors.As(err, &conflict) && conflict.Actual >= c.version {
		return sameEvent(ctx, store, c)
	}
	return err
}

// sameEvent checks that what is stored where c belongs is c.
func sameEvent(ctx context.Context, store *esjs.Store, c copied) error {
	for record, err := range store.Read(ctx, c.stream, c.version, c.version) {
		if err != nil {
			return err
		}
		if former := record.Metadata.Extensions["formerid"]; former != c.id {
			return fmt.Errorf("version %d of %s is %q, not %q", c.version, c.stream, former, c.id)
		}
	}
	return nil
}

// Rows of a table of events, in the order of their position, are copied one by
// one. Running the copy again changes nothing.
func Example_copyFromTable() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		card := esjs.StreamID{Category: "giftcard", Key: "card-1"}
		march := func(day int) time.Time { return time.Date(2024, 3, day, 9, 0, 0, 0, time.UTC) }
		rows := []copied{ // SELECT … FROM events ORDER BY position
			{id: "7c1e", stream: card, version: 1, name: "CardIssued", schema: 1, at: march(1), data: []byte(`{"cents":5000}`)},
			{id: "9a02", stream: card, version: 2, name: "CardRedeemed", schema: 1, at: march(4), data: []byte(`{"cents":1250}`)},
		}
		for range 2 {
			for _, row := range rows {
				if err := copyEvent(ctx, store, row); err != nil {
					return err
				}
			}
		}
		for record, err := range store.Read(ctx, card, 0, 0) {
			if err != nil {
				return err
			}
			fmt.Println(record.Version, record.Time.Format(time.DateOnly), record.Metadata.Extensions["formerid"], record.Type, string(record.Data))
		}
		return nil
	})
	// Output:
	// 1 2024-03-01 7c1e CardIssued {"cents":5000}
	// 2 2024-03-04 9a02 CardRedeemed {"cents":1250}
}

// copyRita copies a store of github.com/synadia-labs/rita in its own order, up
// to what is stored when it starts.
func copyRita(ctx context.Context, js jetstream.JetStream, name string, store *esjs.Store) error {
	consumer, err := js.OrderedConsumer(ctx, "ES_"+name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	versions := map[esjs.StreamID]uint64{}
	for left := consumer.CachedInfo().NumPending; left > 0; left-- {
		msg, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			return err
		}
		c, err := fromRita(msg)
		if err != nil {
			return err
		}
		versions[c.stream]++
		c.version = versions[c.stream]
		if err := copyEvent(ctx, store, c); err != nil {
			return err
		}
	}
	return nil
}

// fromRita reads one of rita's messages; its envelope is in the headers.
func fromRita(msg jetstream.Msg) (copied, error) {
	header := msg.Headers()
	if codec := header.Get("Rita-Codec"); codec != "json" {
		return copied{}, fmt.Errorf("%s: data of codec %q must be decoded and written as JSON first", msg.Subject(), codec)
	}
	category, key, _ := strings.Cut(header.Get("Rita-Entity"), ".")
	at, err := time.Parse(time.RFC3339Nano, header.Get("Rita-Time"))
	return copied{
		id:     header.Get(nats.MsgIdHdr),
		stream: esjs.StreamID{Category: category, Key: key},
		name:   header.Get("Rita-Type"),
		schema: 1,
		at:     at,
		data:   msg.Data(),
	}, err
}

func Example_copyFromRita() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		js, err := jetstream.New(store.Conn())
		if err != nil {
			return err
		}
		if err := storeAsRitaDoes(ctx, js); err != nil {
			return err
		}
		if err := copyRita(ctx, js, "shop", store); err != nil {
			return err
		}
		for record, err := range store.ReadAll(ctx, esjs.Query{}) {
			if err != nil {
				return err
			}
			fmt.Println(record.Stream, record.Version, record.Time.Format(time.DateOnly), record.Metadata.Extensions["formerid"], record.Type)
		}
		return nil
	})
	// Output:
	// giftcard/card-1 1 2024-03-01 n-1 CardIssued
	// giftcard/card-2 1 2024-03-02 n-2 CardIssued
	// giftcard/card-1 2 2024-03-03 n-3 CardRedeemed
}

// storeAsRitaDoes writes three events in rita's form.
func storeAsRitaDoes(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ES_shop", Subjects: []string{"$ES.shop.>"}})
	if err != nil {
		return err
	}
	for i, e := range []struct{ entity, name, data string }{
		{"giftcard.card-1", "CardIssued", `{"cents":5000}`},
		{"giftcard.card-2", "CardIssued", `{"cents":2000}`},
		{"giftcard.card-1", "CardRedeemed", `{"cents":1250}`},
	} {
		msg := nats.NewMsg("$ES.shop." + e.entity + "." + e.name)
		msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("n-%d", i+1))
		msg.Header.Set("Rita-Entity", e.entity)
		msg.Header.Set("Rita-Type", e.name)
		msg.Header.Set("Rita-Time", time.Date(2024, 3, 1+i, 9, 0, 0, 0, time.UTC).Format(time.RFC3339Nano))
		msg.Header.Set("Rita-Codec", "json")
		msg.Data = []byte(e.data)
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			return err
		}
	}
	return nil
}
