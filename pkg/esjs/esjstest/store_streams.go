package esjstest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

var streamsClauses = []clause{
	{"Streams iterates the aggregates of a category, each once, in the order of their keys as EscapeKey writes them", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		if _, all := known(t, store, time.Now()); len(all) == 0 {
			t.Fatal("nothing is stored")
		}
		add(t, store, counter("ü.*"), esjs.NoStream(), 1)
		add(t, store, counter("B"), esjs.NoStream(), 1)
		for category, want := range map[string][]string{
			"counter": {"ü.*", "B", "a", "b"}, "memo": {"a"}, "none": nil, "count": nil,
		} {
			if got := streams(t, store, category); !slices.Equal(got, want) {
				t.Errorf("%s has %q, want %q", category, got, want)
			}
		}
		for range store.Streams(bounded(t), "counter") {
			break // it can be left
		}
	}},

	{"It reads no event", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		known(t, store, time.Now())
		before := f.Requests()
		if got := streams(t, store, "counter"); len(got) != 2 || f.Requests()-before != max(s.Config.Partitions, 1) {
			t.Fatalf("%q took %d requests", got, f.Requests()-before)
		}
	}},

	{"Every aggregate that exists when it is called is named; one that is created meanwhile may be", func(t *testing.T, s *storeSuite) {
		store, other := s.open(t), s.open(t)
		for i := range 20 {
			add(t, store, counter(fmt.Sprint(100+i)), esjs.NoStream(), 1)
			if got := streams(t, other, "counter"); len(got) != i+1 { // the leader's word, whoever asks
				t.Fatalf("%d aggregates exist, named are %q", i+1, got)
			}
		}
	}},

	{"The first error ends the iteration: ErrInvalid for what is not a category, *CorruptError for a subject that is not an aggregate's, ctx's error, and what the connection says", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		add(t, store, counterA, esjs.NoStream(), 1)
		_, prefix := s.Config.StreamOf(0)
		if _, err := store.Conn().RequestWithContext(bounded(t), prefix+".memo.=2e", nil); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		corrupt := (*esjs.CorruptError)(nil)
		for name, c := range map[string]struct {
			all iter.Seq2[esjs.StreamID, error]
			is  func(error) bool
		}{
			"category": {store.Streams(bounded(t), "a.b"), func(err error) bool { return errors.Is(err, esjs.ErrInvalid) }},
			"context":  {store.Streams(ended, "counter"), func(err error) bool { return errors.Is(err, context.Canceled) }},
			"subject":  {store.Streams(bounded(t), "memo"), func(err error) bool { return errors.As(err, &corrupt) }},
		} {
			calls := 0
			for _, err := range c.all {
				if calls++; !c.is(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if calls != 1 {
				t.Errorf("%s: %d calls", name, calls)
			}
		}
		store.Close()
		for _, err := range store.Streams(bounded(t), "counter") {
			if err == nil {
				t.Error("a closed store has streams")
			}
		}
	}},
}

func streams(t testing.TB, store *esjs.Store, category string) (keys []string) {
	t.Helper()
	for id, err := range store.Streams(bounded(t), category) {
		if err != nil || id.Category != category {
			t.Fatalf("%v, %v", id, err)
		}
		keys = append(keys, id.Key)
	}
	return keys
}
