package esjs_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// Several filters are applied by the reader: the server is asked for
// everything, and what is delivered and how far it reaches is the same.
func TestFollowSelectsSeveralSubjects(t *testing.T) {
	d := esjstest.Server(t)
	store := d.Store(t)
	js := jetStream(t, d.Connect(t))
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "RAW", Subjects: []string{"raw.>"}}); err != nil {
		t.Fatal(err)
	}
	const messages = 3000
	for i := range messages {
		if _, err := js.PublishAsync(fmt.Sprintf("raw.%d.x", i%5), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	for _, c := range []struct {
		filters []string
		want    []int // the remainders that are selected
	}{
		{[]string{"raw.0.x", "raw.3.*"}, []int{0, 3}},
		{[]string{"raw.4.>", "raw.7.x"}, []int{4}},
		{[]string{"raw.*.x", "raw"}, []int{0, 1, 2, 3, 4}},
		{[]string{"raw.*", "raw.0.x.y", "raw.1"}, nil},
		{[]string{"raw.2.x"}, []int{2}},
		{nil, []int{0, 1, 2, 3, 4}},
	} {
		var want, got []string
		for i := range messages {
			for _, remainder := range c.want {
				if i%5 == remainder {
					want = append(want, fmt.Sprintf("%d raw.%d.x", i+1, remainder))
				}
			}
		}
		told := 0
		err := esjs.FollowStream(within(t), store, "RAW", c.filters, true, 0,
			func(m esjs.FollowedMessage) error {
				got = append(got, fmt.Sprintf("%d %s", m.Sequence, m.Subject))
				return nil
			},
			func(sequence, pending uint64) error {
				told++
				if len(c.filters) > 1 && sequence+pending != messages { // the server leaves out nothing
					t.Errorf("%v: at %d of %d it is told that %d are behind", c.filters, sequence, messages, pending)
				}
				if sequence == messages {
					return errEnough
				}
				return nil
			})
		if !errors.Is(err, errEnough) {
			t.Fatalf("%v: %v", c.filters, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: got %d messages, want %d, in order", c.filters, len(got), len(want))
		}
		if skipped := messages - len(want); len(c.filters) > 1 && told < skipped/300 {
			t.Errorf("%v: %d messages were skipped and only %d times it was told how far the reader is", c.filters, skipped, told)
		}
	}
}
