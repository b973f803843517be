package console

import (
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// The board does not say that there is nothing where it shows something, nor that all is
// well where it counts what is not.
func TestTheBoardAgreesWithItself(t *testing.T) {
	stuck := queries.Saga{Kind: queries.SagaFulfilment, SagaID: "o-1", OrderID: "o-1", State: "COMP_SHIPMENT", Attention: "goods_left", StartedAt: began}
	open := queries.Saga{Kind: queries.SagaFulfilment, SagaID: "o-2", OrderID: "o-2", State: "DISPATCHING", StartedAt: began}
	ended := queries.Saga{Kind: queries.SagaFulfilment, SagaID: "o-3", OrderID: "o-3", State: "COMPLETED", StartedAt: began, EndedAt: began}
	const (
		nobody   = "Nothing needs you."
		goesOn   = "What is under way goes on by itself"
		nothing  = "Nothing is under way"
		elseNone = "Nothing else is under way."
		noMatch  = "Nothing matches"
		likeThat = "Nothing else is like that."
		decided  = "is just being decided"
		table    = `<tr data-saga=`
		cards    = "They need you"
	)
	all := []string{nobody, goesOn, nothing, elseNone, noMatch, likeThat, decided, table, cards}
	for name, c := range map[string]struct {
		board board
		says  []string
	}{
		"nothing at all":               {board{}, []string{nobody, nothing}},
		"one that needs an operator":   {board{Waiting: 1, Attention: []card{{Saga: stuck}}}, []string{cards, elseNone}},
		"one that goes on":             {board{Lanes: []lane{{Sagas: []queries.Saga{open}}}}, []string{nobody, goesOn, table}},
		"both":                         {board{Waiting: 1, Attention: []card{{Saga: stuck}}, Lanes: []lane{{Sagas: []queries.Saga{open}}}}, []string{cards, table}},
		"one that was just decided":    {board{Waiting: 1}, []string{decided, nothing}},
		"a filter that finds nothing":  {board{Filtered: true, Waiting: 1}, []string{noMatch}},
		"a filter that finds a card":   {board{Filtered: true, Waiting: 1, Attention: []card{{Saga: stuck}}}, []string{cards, likeThat}},
		"a filter that finds an ended": {board{Filtered: true, Ended: []queries.Saga{ended}}, []string{table}},
	} {
		body := rendered(t, "sagas", signin.Operator, c.board)
		for _, text := range all {
			want := false
			for _, s := range c.says {
				want = want || s == text
			}
			if got := strings.Contains(body, text); got != want {
				t.Errorf("%s: that it says %q is %v, want %v", name, text, got, want)
			}
		}
	}
}
