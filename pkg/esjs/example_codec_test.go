package esjs_test

import (
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
)

// TicketSold is stored in its second version: the first one had whole euros.
type TicketSold struct {
	Cents int    `json:"cents"`
	Seat  string `json:"seat"`
}

func (TicketSold) EventType() string  { return "TicketSold" }
func (TicketSold) SchemaVersion() int { return 2 }

// ticketCodec reads all that was ever stored of a ticket.
func ticketCodec() (*esjs.Codec[esjs.Event], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, TicketSold]())
	if err != nil {
		return nil, err
	}
	return codec.WithUpcasters(
		// The event was once named SeatSold.
		esjs.Upcaster{Type: "SeatSold", To: "TicketSold"},
		// Version 1 had "price" in whole euros.
		esjs.Upcaster{Type: "TicketSold", SchemaVersion: 1, Upcast: eurosToCents},
	)
}

func eurosToCents(data []byte) ([]byte, error) {
	var old struct {
		Price int    `json:"price"`
		Seat  string `json:"seat"`
	}
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, err
	}
	return json.Marshal(TicketSold{Cents: old.Price * 100, Seat: old.Seat})
}

// Stored events never change; what is read of them does.
func ExampleCodec_WithUpcasters() {
	codec, err := ticketCodec()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, stored := range []esjs.Record{
		{Type: "SeatSold", SchemaVersion: 1, Data: []byte(`{"price":20,"seat":"A1"}`)},
		{Type: "TicketSold", SchemaVersion: 1, Data: []byte(`{"price":25,"seat":"B7"}`)},
		{Type: "TicketSold", SchemaVersion: 2, Data: []byte(`{"cents":1999,"seat":"C3"}`)},
	} {
		recorded, err := codec.Decode(stored)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s v%d: %+v\n", stored.Type, stored.SchemaVersion, recorded.Event)
	}
	// Output:
	// SeatSold v1: {Cents:2000 Seat:A1}
	// TicketSold v1: {Cents:2500 Seat:B7}
	// TicketSold v2: {Cents:1999 Seat:C3}
}

// A program that is older than an event says so, instead of guessing.
func ExampleDecodeError() {
	codec, err := ticketCodec()
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket := esjs.StreamID{Category: "ticket", Key: "t-1"}
	_, err = codec.Decode(esjs.Record{Stream: ticket, Version: 4, Type: "TicketSold", SchemaVersion: 3, Data: []byte(`{}`)})
	var decoding *esjs.DecodeError
	fmt.Println(errors.As(err, &decoding) && decoding.Unknown, err)
	_, err = codec.Decode(esjs.Record{Stream: ticket, Version: 5, Type: "TicketLost", Data: []byte(`{}`)})
	fmt.Println(err)
	// Output:
	// true esjs: decode TicketSold of ticket/t-1 version 4: schema version 3 is newer than the codec's 2
	// esjs: decode TicketLost of ticket/t-1 version 5: the codec has no such type
}

// published is how a package of event types lists them without importing esjs.
type published struct {
	Name          string
	SchemaVersion int
	Decode        func(data []byte, unmarshal func([]byte, any) error) (esjs.Event, error)
}

// The list of a package that knows nothing of esjs is enough for a codec.
func ExampleNewCodecFrom() {
	codec, err := esjs.NewCodecFrom([]published{{
		Name: "CardIssued",
		Decode: func(data []byte, unmarshal func([]byte, any) error) (esjs.Event, error) {
			var e CardIssued
			err := unmarshal(data, &e)
			return e, err
		},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	recorded, err := codec.Decode(esjs.Record{Type: "CardIssued", Data: []byte(`{"cents":5000}`)})
	fmt.Printf("%+v %v\n", recorded.Event, err)
	// Output: {Cents:5000} <nil>
}
