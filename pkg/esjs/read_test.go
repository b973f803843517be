package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// noted is the event of the reading tests.
type noted struct {
	N int `json:"n"`
}

func (noted) EventType() string { return "Noted" }

type erased struct{}

func (erased) EventType() string { return "Erased" }

// onBoth runs a test on one server and on a cluster.
func onBoth(t *testing.T, test func(*testing.T, *esjstest.Deployment)) {
	t.Run("R1", func(t *testing.T) { t.Parallel(); test(t, esjstest.Server(t)) })
	t.Run("R3", func(t *testing.T) { t.Parallel(); test(t, esjstest.Cluster(t)) })
}

// appendNotes appends commits with the given numbers of events.
func appendNotes(t *testing.T, store *esjs.Store, id esjs.StreamID, sizes ...int) {
	t.Helper()
	expect := esjs.Any()
	for _, size := range sizes {
		events := make([]esjs.Event, size)
		for i := range events {
			events[i] = noted{i}
		}
		appended, err := store.Append(t.Context(), id, expect, events...)
		if err != nil {
			t.Fatal(err)
		}
		expect = esjs.AtRevision(appended.Revision)
	}
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

// span lists from, from+1 … to, or from, from-1 … to.
func span(from, to uint64) (all []uint64) {
	for v := min(from, to); v <= max(from, to); v++ {
		all = append(all, v)
	}
	if from > to {
		slices.Reverse(all)
	}
	return all
}

func TestReadGivesTheVersionsFromAndToInBothDirections(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		for _, commits := range []int{1, 2, 63, 64, 65, 66, 129, 130, 200} {
			id := esjs.StreamID{Category: "note", Key: fmt.Sprint("a.", commits)}
			var last uint64
			sizes := make([]int, commits)
			for i := range sizes {
				sizes[i] = 1 + i%3
				last += uint64(sizes[i])
			}
			appendNotes(t, store, id, sizes...)
			check := func(from, to uint64, want []uint64) {
				t.Helper()
				got, err := versions(store.Read(t.Context(), id, from, to))
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%d commits, %d versions, from %d to %d: got %v, %v, want %v", commits, last, from, to, got, err, want)
				}
			}
			check(0, 0, span(1, last))
			check(last, 0, []uint64{last})
			check(last+1, 0, nil)
			check(last+2, last+1, nil)
			check(0, math.MaxUint64, span(1, last))
			check(math.MaxUint64, 1, span(last, 1))
			for _, from := range []uint64{1, 2, last / 2, last - last/4, last} {
				for _, to := range []uint64{1, 2, last / 3, last - 1, last} {
					if from > 0 && from <= last && to > 0 && to <= last {
						check(from, to, span(from, to))
					}
				}
			}
		}
	})
}

func TestReadGivesTheEnvelope(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	id := esjs.StreamID{Category: "note", Key: "Ä/1"}
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	metadata := esjs.Metadata{CorrelationID: "c", CommandID: "d", Actor: "e", Extensions: map[string]string{"tenant": "x"}}
	written, err := store.AppendAll(t.Context(), esjs.Write{Stream: id, Events: []esjs.Event{noted{7}, erased{}}, Metadata: metadata, Time: at})
	if err != nil {
		t.Fatal(err)
	}
	var got []esjs.Record
	for r, err := range store.Read(t.Context(), id, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) != 2 {
		t.Fatalf("got %d records: %v", len(got), got)
	}
	for i, r := range got {
		if r.ID != written[0].EventIDs[i] || r.Stream != id || r.Version != uint64(i+1) || !r.Time.Equal(at) ||
			r.Position != written[0].Revision.Position() || r.SchemaVersion != 1 ||
			r.Metadata.CorrelationID != "c" || r.Metadata.Extensions["tenant"] != "x" {
			t.Errorf("record %d is %+v", i, r)
		}
	}
	if got[0].Type != "Noted" || string(got[0].Data) != `{"n":7}` || got[1].Type != "Erased" || string(got[1].Data) != `{}` {
		t.Errorf("got %s %s and %s %s", got[0].Type, got[0].Data, got[1].Type, got[1].Data)
	}
}

func TestReadOfNothing(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	if _, err := versions(store.Read(t.Context(), esjs.StreamID{Category: "note", Key: "none"}, 0, 0)); !errors.Is(err, esjs.ErrNotFound) {
		t.Errorf("an aggregate without events: %v", err)
	}
	if _, err := versions(store.Read(t.Context(), esjs.StreamID{Category: "Note", Key: "a"}, 0, 0)); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("a bad category: %v", err)
	}
	id := esjs.StreamID{Category: "note", Key: "a"}
	appendNotes(t, store, id, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := versions(store.Read(ctx, id, 0, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled context: %v", err)
	}
}

func TestReadCanBeLeft(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	id := esjs.StreamID{Category: "note", Key: "a"}
	appendNotes(t, store, id, 2, 2, 2)
	for _, to := range []uint64{0, 1} {
		n := 0
		for _, err := range store.Read(t.Context(), id, 6*to, to) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("%d records were read before the break", n)
		}
	}
}

func TestReadAsOf(t *testing.T) {
	t.Parallel()
	store := esjstest.Server(t).Store(t)
	id := esjs.StreamID{Category: "note", Key: "a"}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		_, err := store.AppendAll(t.Context(), esjs.Write{
			Stream: id, Expect: esjs.ExpectVersion(uint64(2 * i)), Events: []esjs.Event{noted{i}, noted{i}}, Time: start.Add(time.Duration(i) * time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[time.Duration][]uint64{
		-time.Nanosecond: nil, 0: {1, 2}, time.Hour - 1: {1, 2}, time.Hour: {1, 2, 3, 4}, 24 * time.Hour: {1, 2, 3, 4, 5, 6},
	} {
		got, err := versions(store.ReadAsOf(t.Context(), id, start.Add(after)))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v after the first event: %v, %v, want %v", after, got, err, want)
		}
	}
}

// publishRaw stores a body beside the library, as a damaged or a foreign writer would.
func publishRaw(t *testing.T, d *esjstest.Deployment, subject string, body []byte) {
	t.Helper()
	if _, err := d.Connect(t).Request(subject, body, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

func commitBody(t *testing.T, key string, version uint64, window ...uint64) []byte {
	t.Helper()
	body, err := wire.AppendCommit(nil, window, []wire.Event{{
		ID: "x", Type: "Noted", Source: "/note", Subject: key, Sequence: version, Time: time.Now(), Data: []byte(`{}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestReadFindsDamage(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := d.Store(t)
		other := esjs.StreamID{Category: "note", Key: "other"}
		appendNotes(t, store, other, 1) // sequence 1
		cases := []struct {
			name   string
			body   func(key string) []byte
			reason string
		}{
			{"gap", func(key string) []byte { return commitBody(t, key, 3, 2) }, "version 3 follows 1"},
			{"repeated version", func(key string) []byte { return commitBody(t, key, 1, 2) }, "pointers"},
			{"pointer to another aggregate", func(key string) []byte { return commitBody(t, key, 2, 1) }, "belongs to"},
			{"pointer ahead", func(key string) []byte { return commitBody(t, key, 2, 1000) }, "points ahead"},
			{"not a commit", func(string) []byte { return []byte(`{"hello":"world"}`) }, "does not decode"},
		}
		sequence := uint64(1)
		for i, c := range cases {
			id := esjs.StreamID{Category: "note", Key: fmt.Sprint("k", i)}
			appendNotes(t, store, id, 1)
			sequence++
			body := c.body(id.Key)
			if i == 0 {
				body = commitBody(t, id.Key, 3, sequence)
			}
			publishRaw(t, d, "ev.note."+id.Key, body)
			sequence++
			for direction, records := range map[string]func(func(esjs.Record, error) bool){
				"forward":  store.Read(t.Context(), id, 0, 0),
				"backward": store.Read(t.Context(), id, math.MaxUint64, 1),
			} {
				_, err := versions(records)
				var corrupt *esjs.CorruptError
				if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Reason, c.reason) {
					t.Errorf("%s, %s: got %v, want a CorruptError with %q", c.name, direction, err, c.reason)
				}
			}
		}
	})
}
