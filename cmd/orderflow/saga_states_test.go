package main

import (
	"slices"
	"testing"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// What can be asked for is every state that a saga can be in. One that has not begun is
// on no list.
func TestEverySagaStateCanBeAskedFor(t *testing.T) {
	var want []string
	for _, s := range fulfilment.Statuses() {
		want = append(want, string(s))
	}
	for _, s := range refund.Statuses() {
		want = append(want, string(s))
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == string(fulfilment.New) || s == string(refund.New) })
	got := queries.SagaStates()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("states that can be asked for are\n%v, those of sagas\n%v", got, want)
	}
}
