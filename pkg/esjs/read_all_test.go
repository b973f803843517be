package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// collect reads an iteration to its end.
func collect(t *testing.T, records func(func(esjs.Record, error) bool)) (all []esjs.Record) {
	t.Helper()
	for r, err := range records {
		if err != nil {
			t.Fatalf("after %d records: %v", len(all), err)
		}
		all = append(all, r)
	}
	return all
}

// places names records shortly: "note/a 1".
func places(records []esjs.Record) (all []string) {
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %d", r.Stream, r.Version))
	}
	return all
}

func consumersLeft(t *testing.T, d *esjstest.Deployment) []string {
	t.Helper()
	js, err := jetstream.New(d.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return consumers(t, js, "EVENTS")
}

var (
	noteA = esjs.StreamID{Category: "note", Key: "a"}
	noteB = esjs.StreamID{Category: "note", Key: "b"}
	memoA = esjs.StreamID{Category: "memo", Key: "a"}
	listA = esjs.StreamID{Category: "list", Key: "a"}
)

// fill stores a small known history: one commit an hour, and returns the
// position after each.
func fill(t *testing.T, store *esjs.Store, start time.Time) (after []esjs.Position) {
	t.Helper()
	for i, w := range []esjs.Write{
		{Stream: noteA, Events: []esjs.Event{noted{1}, erased{}}},
		{Stream: memoA, Events: []esjs.Event{noted{2}}},
		{Stream: noteB, Events: []esjs.Event{erased{}}},
		{Stream: listA, Events: []esjs.Event{noted{3}}},
		{Stream: noteA, Events: []esjs.Event{noted{4}}},
		{Stream: memoA, Events: []esjs.Event{erased{}, noted{5}}},
	} {
		w.Expect, w.Time = esjs.Any(), start.Add(time.Duration(i)*time.Hour)
		stored, err := store.AppendAll(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		after = append(after, stored[0].Revision.Position())
	}
	return after
}

func TestReadAllSelects(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		if got := collect(t, store.ReadAll(t.Context(), esjs.Query{})); got != nil {
			t.Errorf("an empty store has %v", places(got))
		}
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		at := fill(t, store, start)
		all := []string{"note/a 1", "note/a 2", "memo/a 1", "note/b 1", "list/a 1", "note/a 3", "memo/a 2", "memo/a 3"}
		for name, c := range map[string]struct {
			query esjs.Query
			want  []string
		}{
			"all":                       {esjs.Query{}, all},
			"a category":                {esjs.Query{Categories: []string{"note"}}, []string{"note/a 1", "note/a 2", "note/b 1", "note/a 3"}},
			"two categories":            {esjs.Query{Categories: []string{"memo", "list"}}, []string{"memo/a 1", "list/a 1", "memo/a 2", "memo/a 3"}},
			"a category without events": {esjs.Query{Categories: []string{"none"}}, nil},
			"a stream":                  {esjs.Query{Streams: []esjs.StreamID{noteB}}, []string{"note/b 1"}},
			"a stream and a category":   {esjs.Query{Streams: []esjs.StreamID{noteB, listA}, Categories: []string{"list"}}, []string{"note/b 1", "list/a 1"}},
			"types":                     {esjs.Query{Types: []string{"Erased"}}, []string{"note/a 2", "note/b 1", "memo/a 2"}},
			"after":                     {esjs.Query{After: at[3]}, all[5:]},
			"after the last":            {esjs.Query{After: at[5]}, nil},
			"until":                     {esjs.Query{Until: at[1]}, all[:3]},
			"after and until":           {esjs.Query{After: at[0], Until: at[3], Categories: []string{"note"}}, []string{"note/b 1"}},
			"until before after":        {esjs.Query{After: at[3], Until: at[1]}, nil},
			"since":                     {esjs.Query{Since: start.Add(4 * time.Hour)}, all[5:]},
			"before":                    {esjs.Query{Before: start.Add(time.Hour)}, all[:2]},
			"limit":                     {esjs.Query{Limit: 1}, all[:1]},
			"limit of what is selected": {esjs.Query{Limit: 2, Types: []string{"Erased"}}, []string{"note/a 2", "note/b 1"}},
			"limit above all":           {esjs.Query{Limit: 100}, all},
		} {
			if got := places(collect(t, store.ReadAll(t.Context(), c.query))); !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
		if last, err := store.Last(t.Context()); err != nil || last != at[5] {
			t.Errorf("the last position is %v, %v, want %v", last, err, at[5])
		}
		if left := consumersLeft(t, d); left != nil {
			t.Errorf("the consumers %v are left behind", left)
		}
	})
}

func TestReadAllReadsMoreThanABatch(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		const commits = 1200
		for i := range commits {
			id := esjs.StreamID{Category: []string{"note", "memo"}[i%2], Key: fmt.Sprint(i % 20)}
			if _, err := store.Append(t.Context(), id, esjs.Any(), noted{i}); err != nil {
				t.Fatal(err)
			}
		}
		var position uint64
		for i, r := range collect(t, store.ReadAll(t.Context(), esjs.Query{})) {
			if position++; r.Position.Sequence() != position || string(r.Data) != fmt.Sprintf(`{"n":%d}`, i) {
				t.Fatalf("record %d is at %s with %s", i, r.Position, r.Data)
			}
		}
		if position != commits {
			t.Errorf("%d records are read, want %d", position, commits)
		}
		if n := len(collect(t, store.ReadAll(t.Context(), esjs.Query{Categories: []string{"memo"}}))); n != commits/2 {
			t.Errorf("%d records of a category are read, want %d", n, commits/2)
		}
	})
}

func TestReadAllEndsAtWhatWasLast(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	fill(t, store, time.Now())
	n := 0
	for _, err := range store.ReadAll(t.Context(), esjs.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		appendNotes(t, store, noteB, 1) // each record read makes one more
	}
	if n != 8 {
		t.Errorf("%d records are read, want the 8 that were there", n)
	}
}

func TestReadAllCanBeLeft(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	store := d.Store(t)
	fill(t, store, time.Now())
	for r, err := range store.ReadAll(t.Context(), esjs.Query{}) {
		if err != nil || r.Version != 1 {
			t.Errorf("got %+v, %v", r, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	for _, err := range store.ReadAll(ctx, esjs.Query{Categories: []string{"note"}}) {
		if n++; n == 1 && err == nil {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled context: %v", err)
		}
	}
	cancel()
	if _, err := versions(store.ReadAll(ctx, esjs.Query{})); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that was canceled before: %v", err)
	}
	if left := consumersLeft(t, d); left != nil {
		t.Errorf("the consumers %v are left behind", left)
	}
}

func TestReadAllRefusesQueries(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	appendNotes(t, store, noteA, 1)
	for name, q := range map[string]esjs.Query{
		"a bad category": {Categories: []string{"a.b"}},
		"a bad key":      {Streams: []esjs.StreamID{{Category: "note"}}},
		"a limit":        {Limit: -1},
	} {
		if _, err := versions(store.ReadAll(t.Context(), q)); !errors.Is(err, esjs.ErrInvalid) && !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadAllFindsDamage(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		appendNotes(t, store, noteA, 1)
		publishRaw(t, d, "ev.note.a", commitBody(t, "a", 3, 1)) // version 2 is missing
		appendNotes(t, store, memoA, 1)
		publishRaw(t, d, "ev.memo.a", []byte(`[]`))
		for category, want := range map[string][]uint64{"note": {1}, "memo": {1}} {
			got, err := versions(store.ReadAll(t.Context(), esjs.Query{Categories: []string{category}}))
			var corrupt *esjs.CorruptError
			if !errors.As(err, &corrupt) || !slices.Equal(got, want) {
				t.Errorf("%s: got %v, %v, want a CorruptError after %v", category, got, err, want)
			}
		}
	})
}

func TestReadAllSurvivesANewLeader(t *testing.T) {
	t.Parallel()
	d := esjstest.Cluster(t)
	store := d.Store(t)
	const commits = 1500
	for i := range commits {
		if _, err := store.Append(t.Context(), esjs.StreamID{Category: "note", Key: fmt.Sprint(i % 50)}, esjs.Any(), noted{i}); err != nil {
			t.Fatal(err)
		}
	}
	var read int
	for r, err := range store.ReadAll(t.Context(), esjs.Query{}) {
		if err != nil {
			t.Fatalf("after %d records: %v", read, err)
		}
		if string(r.Data) != fmt.Sprintf(`{"n":%d}`, read) {
			t.Fatalf("record %d is %s", read, r.Data)
		}
		if read++; read == 100 {
			d.StepDown(t, "EVENTS")
		}
	}
	if read != commits {
		t.Errorf("%d records are read, want %d", read, commits)
	}
}
