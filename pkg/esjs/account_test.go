package esjs_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// deposited and closed are the events of the tests' account.
type deposited struct {
	Amount int    `json:"amount"`
	Note   string `json:"note,omitzero"`
}

func (deposited) EventType() string { return "Deposited" }

type closed struct{}

func (closed) EventType() string { return "Closed" }

func account(key string) esjs.StreamID { return esjs.StreamID{Category: "account", Key: key} }

// balance is the state of the tests' account.
type balance struct {
	Total  int  `json:"total"`
	Closed bool `json:"closed,omitzero"`
}

type deposit int

func accountAggregate(t testing.TB) esjs.Aggregate[balance, deposit, esjs.Event] {
	codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, deposited](), esjs.TypeOf[esjs.Event, closed]())
	if err != nil {
		t.Fatal(err)
	}
	return esjs.Aggregate[balance, deposit, esjs.Event]{
		Category: "account",
		Codec:    codec,
		Apply: func(s balance, e esjs.Event) balance {
			switch e := e.(type) {
			case deposited:
				s.Total += e.Amount
			case closed:
				s.Closed = true
			}
			return s
		},
		Decide: func(s balance, amount deposit) ([]esjs.Event, error) {
			switch {
			case s.Closed:
				return nil, esjs.Reject("closed", "the account is closed")
			case amount < 0 && s.Total < -int(amount):
				return nil, esjs.Reject("insufficient", "the account has %d", s.Total)
			case amount == 0:
				return nil, nil
			}
			return []esjs.Event{deposited{Amount: int(amount), Note: strings.Repeat("x", 33)}}, nil
		},
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// onBoth runs a test on one server and on a cluster of three. A test that is run again on several partitions (see
// [esjstest.OnPartitions]) needs no cluster for that: those that do have one of their own.
func onBoth(t *testing.T, test func(*testing.T, *esjstest.Deployment)) {
	t.Run("R1", func(t *testing.T) { t.Parallel(); test(t, esjstest.Server(t)) })
	if _, again := os.LookupEnv("ESJSTEST_PARTITIONS"); again {
		return
	}
	t.Run("R3", func(t *testing.T) { t.Parallel(); test(t, esjstest.Cluster(t)) })
}

func open(t *testing.T, dial esjs.Dial, d *esjstest.Deployment) *esjs.Store {
	t.Helper()
	d.Store(t) // provisions
	s, err := esjs.Open(testContext(t), dial, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// versions collects the versions of an iteration, in its order, and its error.
func versions(records func(func(esjs.Record, error) bool)) (all []uint64, err error) {
	for r, err := range records {
		if err != nil {
			return all, err
		}
		all = append(all, r.Version)
	}
	return all, nil
}
