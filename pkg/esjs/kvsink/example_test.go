package kvsink_test

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

// Jar is the row of a jar, and what is stored as JSON in the entry
// jars_v1.row.j-1 of the bucket.
type Jar struct {
	Coins int `json:"coins"`
	Total int `json:"total"`
}

// A projection keeps one row per aggregate in a KV bucket, and is read as soon
// as it has come as far as the reader has seen the store.
func Example() {
	ctx := context.Background()
	server, stop, err := esjstest.Start() // a nats-server inside this process
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	if err := example(ctx, server.Dial()); err != nil {
		fmt.Println(err)
	}
	// Output: {2 5}
}

func example(ctx context.Context, dial esjs.Dial) error {
	if err := esjs.Provision(ctx, dial, esjs.Config{}); err != nil {
		return err
	}
	if err := esjs.ProvisionBucket(ctx, dial, "VIEWS", 1); err != nil {
		return err
	}
	store, err := esjs.Open(ctx, dial, esjs.Config{})
	if err != nil {
		return err
	}
	defer store.Close()
	codec, err := esjs.NewCodec(esjs.TypeOf[added, added]())
	if err != nil {
		return err
	}
	sink := kvsink.New(store, "VIEWS")
	jars := esjs.NewProjector(store, sink, esjs.Projection[*kvsink.Tx, added]{
		Name: "jars", Version: 1, Codec: codec,
		Query: esjs.Query{Categories: []string{"jar"}},
		Apply: func(ctx context.Context, tx *kvsink.Tx, e esjs.Recorded[added]) error {
			return kvsink.Update(ctx, tx, e.Stream.Key, e.Record, func(j Jar) (Jar, error) {
				return Jar{Coins: j.Coins + 1, Total: j.Total + e.Event.N}, nil
			})
		},
	}, esjs.ProjectionConfig{})
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- jars.Run(running) }()

	stored, err := store.Append(ctx, esjs.StreamID{Category: "jar", Key: "j-1"}, esjs.NoStream(), added{2}, added{3})
	if err != nil {
		end()
		return err
	}
	if err := jars.WaitFor(ctx, stored.Revision.Position()); err != nil {
		end()
		return err
	}
	var jar Jar
	if _, err := sink.Get(ctx, "jars_v1", "j-1", &jar); err != nil {
		end()
		return err
	}
	fmt.Println(jar)
	end()
	return <-ended
}
