package esjstest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

type Rung struct{}

func (Rung) EventType() string { return "Rung" }

// The server stores an append and its answer is lost: the append is stored once
// all the same, and its writer is told so.
func ExampleFaults() {
	ctx := context.Background()
	server, stop, err := esjstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	if err := esjs.Provision(ctx, server.Dial(), server.Config()); err != nil {
		fmt.Println(err)
		return
	}
	faults := server.Faults()
	store, err := esjs.Open(ctx, faults.Dial(), server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	faults.LoseAcks(1)
	stored, err := store.Append(ctx, esjs.StreamID{Category: "bell", Key: "front"}, esjs.NoStream(), Rung{})
	fmt.Println(stored.Revision.Version(), err, faults.Armed())
	// Output: 1 <nil> 0
}

// A bell that counts how often it is rung counts too much when it is told again
// what it knows.
func ExampleRewound() {
	rung := 0
	count := func(context.Context, esjs.Recorded[Rung]) error { rung++; return nil }
	ringThrice(esjstest.Rewound(3, count))
	fmt.Println(rung)
	// Output: 6
}

func ExampleTwice() {
	rung := 0
	count := func(context.Context, esjs.Recorded[Rung]) error { rung++; return nil }
	ringThrice(esjstest.Twice(count))
	fmt.Println(rung)
	// Output: 6
}

func ExampleLate() {
	count := func(context.Context, esjs.Recorded[Rung]) error { return nil }
	late := esjstest.Late(1, count)
	ringThrice(late)
	ringThrice(late)
	// Output:
	// esjstest: not yet
	// esjstest: not yet
	// esjstest: not yet
}

// ringThrice gives a handler three events of one bell.
func ringThrice(handle esjstest.Handler[Rung]) {
	for version := range uint64(3) {
		e := esjs.Recorded[Rung]{Record: esjs.Record{
			ID: fmt.Sprint("ring-", version+1), Stream: esjs.StreamID{Category: "bell", Key: "front"}, Version: version + 1,
		}}
		if err := handle(context.Background(), e); err != nil {
			fmt.Println(err)
		}
	}
}

// What a store promises is proven on a server of one's own by RunStore, in a test:
//
//	esjstest.RunStore(t, func(testing.TB) esjstest.StoreRig { return newRig(url) })
func ExampleStoreRig() {
	server, stop, err := esjstest.Start(esjstest.SyncAlways())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	stores := 0
	newRig := func(url string) esjstest.StoreRig {
		stores++ // each clause has a store of its own
		return esjstest.StoreRig{
			Config:  esjs.Config{Stream: fmt.Sprintf("EVENTS_%d", stores), Prefix: fmt.Sprintf("ev%d", stores), MaxBytes: 64 << 20},
			Dial:    esjs.DialURL(url),
			Faults:  func() *esjstest.Faults { return esjstest.NewFaults(url) },
			Restart: func(t testing.TB) { server.Restart(t, 0) },
		}
	}
	ctx, rig := context.Background(), newRig(server.URL())
	if err := esjs.Provision(ctx, rig.Dial, rig.Config); err != nil {
		fmt.Println(err)
		return
	}
	faults := rig.Faults()
	store, err := esjs.Open(ctx, faults.Dial(), rig.Config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	faults.RefuseAppends(1)
	stored, err := store.Append(ctx, esjs.StreamID{Category: "bell", Key: "front"}, esjs.NoStream(), Rung{})
	fmt.Println(stored.Revision, err)
	// Output: 1-1 <nil>
}
