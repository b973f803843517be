package esjstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var readClauses = []clause{
	{"Read iterates an aggregate's events from version from to version to, both inclusive", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		for _, commits := range []int{1, 2, 63, 64, 65, 66, 130} {
			id := counter(fmt.Sprint("a.", commits))
			var at esjs.Revision
			for i := range commits {
				at = add(t, store, id, esjs.AtRevision(at), make([]int, 1+i%3)...)
			}
			last := at.Version()
			for _, from := range []uint64{1, 2, last / 2, last - last/4, last} {
				for _, to := range []uint64{1, 2, last / 3, last - 1, last} {
					if from > 0 && from <= last && to > 0 && to <= last {
						wantVersions(t, store, id, from, to, span(from, to))
					}
				}
			}
			wantVersions(t, store, id, 0, 0, span(1, last))
			wantVersions(t, store, id, last, 0, []uint64{last})
			wantVersions(t, store, id, math.MaxUint64, 1, span(last, 1))
		}
	}},

	{"from 0 is the first version and to 0 the last one; what lies beyond the last version is not there and ends the iteration", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("a")
		add(t, store, id, esjs.NoStream(), 1, 2, 3)
		for _, c := range []struct {
			from, to uint64
			want     []uint64
		}{
			{0, 0, span(1, 3)}, {0, 2, span(1, 2)}, {2, 0, span(2, 3)}, {3, 0, []uint64{3}},
			{4, 0, nil}, {5, 4, nil}, {4, 5, nil}, {0, math.MaxUint64, span(1, 3)}, {math.MaxUint64, 0, nil},
		} {
			wantVersions(t, store, id, c.from, c.to, c.want)
		}
	}},

	{"It goes backward when to is not 0 and below from: Read(ctx, id, math.MaxUint64, 1) is the whole aggregate, newest first", func(t *testing.T, s *storeSuite) {
		store, id := s.open(t), counter("a")
		add(t, store, id, esjs.NoStream(), 1, 2)
		add(t, store, id, esjs.Any(), 3)
		wantVersions(t, store, id, math.MaxUint64, 1, []uint64{3, 2, 1})
		wantVersions(t, store, id, 2, 1, []uint64{2, 1})
		for _, to := range []uint64{0, 1} { // it can be left, in both directions
			left := 0
			for _, err := range store.Read(bounded(t), id, 3*to, to) {
				if err != nil {
					t.Fatal(err)
				}
				if left++; left == 2 {
					break
				}
			}
			if left != 2 {
				t.Errorf("%d events were read before the break", left)
			}
		}
	}},

	{"It may be as old as a lagging replica, but never older than what this store has read or written of the aggregate", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		beside, id := s.open(t), counter("a")
		last := func() int { return len(records(t, store.Read(bounded(t), id, 0, 0))) }
		add(t, beside, id, esjs.NoStream(), 1)
		refresh(t, beside, id)
		eventually(t, func() bool {
			_, err := recordsOr(store.Read(bounded(t), id, 1, 1)) // every read teaches the faults what was
			return err == nil
		})
		at := add(t, beside, id, esjs.ExpectVersion(1), 2)
		f.StaleReads(1)
		if n := last(); n != 1 {
			t.Fatalf("through a replica that is one commit behind it is at version %d", n)
		}
		eventually(t, func() bool { return last() == 2 })
		f.StaleReads(1)
		if n := last(); n != 2 {
			t.Fatalf("at version 2 it was read, and then at version %d", n)
		}
		add(t, store, id, esjs.AtRevision(at), 3)
		f.StaleReads(1)
		if n := last(); n != 3 || f.Armed() != 0 {
			t.Fatalf("version 3 was written, and version %d is read", n)
		}
	}},

	{"That there are no events is the leader's word", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		for _, from := range []uint64{0, 1, math.MaxUint64} {
			if _, err := recordsOr(store.Read(bounded(t), counter("none"), from, 1)); !errors.Is(err, esjs.ErrNotFound) {
				t.Fatalf("an aggregate without events: %v", err)
			}
		}
		add(t, s.open(t), counter("a"), esjs.NoStream(), 1)
		f.StaleReads(1)
		wantNumbers(t, store, counter("a"), 1)
		if f.Armed() != 0 {
			t.Fatal("no read was stale")
		}
	}},

	{"It holds at most 64 commits in memory, and takes one round trip for each 64 commits, and forward another one for each 64 that it first goes back over, wherever they are stored", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		at := addMany(t, store, counter("a"), 200)
		store = s.openBehind(t, f.Dial())
		for direction, read := range map[string]func(func(esjs.Record, error) bool){
			"forward": store.Read(bounded(t), counter("a"), 0, 0), "backward": store.Read(bounded(t), counter("a"), math.MaxUint64, 1),
		} {
			before, most, n := f.Requests(), 0, 0
			for _, err := range read {
				if err != nil {
					t.Fatal(err)
				}
				n++
				most = max(most, f.Requests()-before)
				before = f.Requests()
			}
			// The tail, at most three commits of which only the pointers are needed, and 64 commits.
			if most > 64+4 || uint64(n) != at.Version() {
				t.Fatalf("%s: %d requests between two of %d events", direction, most, n)
			}
		}
	}},

	{"It leaves nothing behind on the server", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		addMany(t, store, counter("a"), 70)
		for range 20 {
			wantVersions(t, store, counter("a"), 0, 0, span(1, 70))
			wantVersions(t, store, counter("a"), math.MaxUint64, 60, span(70, 60))
		}
		s.wantNoConsumers(t, store)
	}},

	{"What a replica has lost or damaged is read from the leader", func(t *testing.T, s *storeSuite) {
		store, f := s.faulty(t)
		addMany(t, store, counter("a"), 130)
		for _, arm := range []func(int){f.MissingReads, f.RottenReads} {
			for _, n := range []int{1, 64, 130} {
				arm(n)
				wantVersions(t, store, counter("a"), 0, 0, span(1, 130))
				wantVersions(t, store, counter("a"), math.MaxUint64, 1, span(130, 1))
				if left := f.Armed(); left != 0 {
					t.Fatalf("%d of %d commits were not damaged", left, n)
				}
			}
		}
	}},

	{"The first error ends the iteration: ErrNotFound when the aggregate has no events, ErrInvalid, *CorruptError, ctx's error, and what the connection says", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		add(t, store, counter("a"), esjs.NoStream(), 1, 2)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		closed := s.open(t)
		closed.Close()
		for name, c := range map[string]struct {
			all  iter.Seq2[esjs.Record, error]
			want error
		}{
			"no events":       {store.Read(bounded(t), counter("none"), 0, 0), esjs.ErrNotFound},
			"a bad category":  {store.Read(bounded(t), esjs.StreamID{Category: "Counter", Key: "a"}, 0, 0), esjs.ErrInvalid},
			"a bad key":       {store.Read(bounded(t), counter(""), 2, 1), esjs.ErrInvalid},
			"a context":       {store.Read(ended, counter("a"), 0, 0), context.Canceled},
			"a closed store":  {closed.Read(bounded(t), counter("a"), 2, 1), nats.ErrConnectionClosed},
			"of another time": {store.ReadAsOf(ended, counter("a"), time.Now()), context.Canceled},
		} {
			calls := 0
			for _, err := range c.all {
				if calls++; !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
			}
			if calls != 1 {
				t.Errorf("%s: %d calls", name, calls)
			}
		}
	}},

	{"What is lost or damaged there too, or does not follow what was before it, is a *CorruptError that names the place", func(t *testing.T, s *storeSuite) {
		store := s.open(t)
		sequence := add(t, store, near("other"), esjs.NoStream(), 1).Position().Sequence()
		for name, body := range map[string]func(key string) []byte{
			"a version is left out":          func(key string) []byte { return commitBody(t, key, 3, sequence-1) },
			"a version comes again":          func(key string) []byte { return commitBody(t, key, 1, sequence-1) },
			"it points to another aggregate": func(key string) []byte { return commitBody(t, key, 2, 1) },
			"it points ahead":                func(key string) []byte { return commitBody(t, key, 2, sequence+1000) },
			"it is another aggregate's":      func(string) []byte { return commitBody(t, "another", 2, sequence-1) },
			"it is no commit":                func(string) []byte { return []byte(`{"hello":"world"}`) },
			"it is empty":                    func(string) []byte { return nil },
		} {
			id := near(name)
			add(t, store, id, esjs.NoStream(), 1)
			sequence += 2
			s.publish(t, store, id, body(id.Key))
			at := sequence
			if name == "it points to another aggregate" {
				at = 1 // what is found there
			}
			for _, direction := range []func(func(esjs.Record, error) bool){
				store.Read(bounded(t), id, 0, 0), store.Read(bounded(t), id, math.MaxUint64, 1),
			} {
				read, err := recordsOr(direction)
				if len(read) > 1 {
					t.Fatalf("%s: %d events were read before the damage was noticed", name, len(read))
				}
				wantCorrupt(t, err, id, at)
			}
			h := s.handler(t, store, esjs.HandlerConfig[total]{})
			_, err := h.Load(bounded(t), id.Key)
			wantCorrupt(t, err, id, at)
			_, err = h.Handle(bounded(t), id.Key, 0)
			wantCorrupt(t, err, id, at)
		}
	}},
}

func wantVersions(t testing.TB, store *esjs.Store, id esjs.StreamID, from, to uint64, want []uint64) {
	t.Helper()
	if got := versions(records(t, store.Read(bounded(t), id, from, to))); !slices.Equal(got, want) {
		t.Fatalf("%s from %d to %d: versions %v, want %v", id, from, to, got, want)
	}
}

func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	if !until(condition) {
		t.Fatal("it did not come true")
	}
}

// publish stores a body as the aggregate's last message beside the library, as a
// foreign or damaged writer does.
func (s *storeSuite) publish(t testing.TB, store *esjs.Store, id esjs.StreamID, body []byte) {
	t.Helper()
	_, prefix := s.Config.StreamOf(esjs.Partition(id.Key, s.Config.Partitions))
	subject := wire.Subject(prefix, id.Category, id.Key)
	if _, err := store.Conn().RequestWithContext(bounded(t), subject, body); err != nil {
		t.Fatal(err)
	}
}

// commitBody is a commit of one count.
func commitBody(t testing.TB, key string, version uint64, window ...uint64) []byte {
	t.Helper()
	body, err := wire.AppendCommit(nil, window, []wire.Event{{
		ID: "x", Type: "Counted", Source: "/counter", Subject: key, Sequence: version, Time: time.Now(), Data: []byte(`{"n":1}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// wantNoConsumers checks that the store's streams have no consumer.
func (s *storeSuite) wantNoConsumers(t testing.TB, store *esjs.Store) {
	t.Helper()
	for p := range max(s.Config.Partitions, 1) {
		stream, _ := s.Config.StreamOf(p)
		wantNoConsumersOf(t, store, stream)
	}
}

// wantNoConsumersOf checks one stream. In a cluster
// the list is the meta leader's, who may carry out a deletion after its answer,
// but in the order of the requests: when it lists a later consumer, it has.
func wantNoConsumersOf(t testing.TB, store *esjs.Store, stream string) {
	t.Helper()
	const later = "later"
	js, err := jetstream.New(store.Conn())
	if err != nil {
		t.Fatal(err)
	}
	err = answered(bounded(t), func(ctx context.Context) error {
		_, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Name: later, InactiveThreshold: patience})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	eventually(t, func() bool {
		reply, err := esjs.Answered(bounded(t), func(ctx context.Context) (*nats.Msg, error) {
			return store.Conn().RequestWithContext(ctx, "$JS.API.CONSUMER.NAMES."+stream, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Consumers []string `json:"consumers"`
		}
		if err := json.Unmarshal(reply.Data, &list); err != nil {
			t.Fatalf("%s: %v", reply.Data, err)
		}
		names = list.Consumers
		return slices.Contains(names, later)
	})
	if len(names) > 1 {
		t.Errorf("consumers are left beside the later one: %v", names)
	}
	err = answered(bounded(t), func(ctx context.Context) error { return js.DeleteConsumer(ctx, stream, later) })
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) { // the answer to the first request was lost
		t.Error(err)
	}
}
