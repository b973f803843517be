package esjs_test

import (
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

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
