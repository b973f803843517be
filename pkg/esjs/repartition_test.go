package esjs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// moving is how the tests move the deployment's store.
func moving(d *esjstest.Deployment, partitions int) esjs.RepartitionConfig {
	to := d.Config()
	to.Stream, to.Partitions = "ORDERS", partitions
	if partitions == 1 {
		to.Prefix = "or"
	}
	return esjs.RepartitionConfig{From: d.Config(), Dial: d.Dial(), To: to, CutOver: true}
}

func repartition(t *testing.T, cfg esjs.RepartitionConfig) esjs.RepartitionReport {
	t.Helper()
	report, err := esjs.Repartition(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func reopened(t *testing.T, d *esjstest.Deployment, cfg esjs.Config) *esjs.Store {
	t.Helper()
	store, err := esjs.Open(testContext(t), d.Dial(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// fill stores what a log can have: many commits of one aggregate, batches with guards, commits of several events, inputs, and
// metadata of every kind.
func fill(t *testing.T, store *esjs.Store) {
	t.Helper()
	ctx := testContext(t)
	var last esjs.Record
	for i := range 75 { // more than a commit has pointers
		for _, key := range []string{"a", "b", fmt.Sprintf("single %d", i)} {
			events := slices.Repeat([]esjs.Event{deposited{Amount: i + 1, Note: key}}, i%3+1)
			w := esjs.Write{
				Stream: account(key), Expect: esjs.Any(), Events: events, Time: time.Unix(int64(1_000_000+i), 123),
				Metadata: esjs.Metadata{
					CommandID: fmt.Sprintf("%s/%d", key, i), CommandHash: "hash", CorrelationID: "c", Actor: "ü",
					Extensions: map[string]string{"own": "x"},
				},
			}
			if last.ID != "" {
				w.Metadata.CausationID = last.ID
				w.Metadata.Input = esjs.InputRef{ID: last.ID, Source: "/account", Position: last.Position, Version: last.Version}
			}
			if _, err := store.AppendWrite(ctx, w); err != nil {
				t.Fatal(err)
			}
			for r, err := range store.Read(ctx, account(key), 0, 0) {
				if err != nil {
					t.Fatal(err)
				}
				last = r
			}
		}
	}
	out, err := store.Append(ctx, account("guarded"), esjs.NoStream(), deposited{Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := store.AppendAll(ctx,
			esjs.Write{Stream: account("x"), Expect: esjs.Any(), Events: []esjs.Event{deposited{Amount: 1}}},
			esjs.Write{Stream: account("y"), Expect: esjs.Any(), Events: []esjs.Event{deposited{Amount: 1}}},
			esjs.Unchanged(account("guarded"), out.Revision)); err != nil {
			t.Fatal(err)
		}
	}
}

func allOf(t *testing.T, store *esjs.Store) (all []esjs.Record) {
	t.Helper()
	for r, err := range store.ReadAll(testContext(t), esjs.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// wantMoved checks that a store has what another one had: each partition in the same order, and
// places that name the same events. It knows of the copy's own means none but the partition.
func wantMoved(t *testing.T, old, store *esjs.Store, partitions int) {
	t.Helper()
	before, after := allOf(t, old), allOf(t, store)
	if len(after) != len(before) {
		t.Fatalf("there are %d events, want %d", len(after), len(before))
	}
	oldAt, newAt := map[esjs.Position][]string{}, map[esjs.Position][]string{}
	for _, r := range before {
		oldAt[r.Position] = append(oldAt[r.Position], r.ID)
	}
	for _, r := range after {
		newAt[r.Position] = append(newAt[r.Position], r.ID)
	}
	same := func(what string, was, is esjs.Position) {
		t.Helper()
		if was.IsZero() != is.IsZero() || !slices.Equal(oldAt[was], newAt[is]) || !was.IsZero() && len(oldAt[was]) == 0 {
			t.Fatalf("%s is %s, with the events %v, want %v as at %s", what, is, newAt[is], oldAt[was], was)
		}
	}
	byPartition := func(all []esjs.Record) map[int][]esjs.Record {
		parts := map[int][]esjs.Record{}
		for _, r := range all {
			p := esjs.Partition(r.Stream.Key, partitions)
			parts[p] = append(parts[p], r)
		}
		return parts
	}
	want, got := byPartition(before), byPartition(after)
	for p := range want {
		for i, w := range want[p] {
			g := got[p][i]
			if g.Position.Partition() != p {
				t.Fatalf("%s is at %s, want partition %d", g.Stream, g.Position, p)
			}
			same("the place of "+w.ID, w.Position, g.Position)
			same("the input of "+w.ID, w.Metadata.Input.Position, g.Metadata.Input.Position)
			if w.Type == (esjs.Guarded{}).EventType() {
				var was, is esjs.Guarded
				if err := errors.Join(json.Unmarshal(w.Data, &was), json.Unmarshal(g.Data, &is)); err != nil {
					t.Fatal(err)
				}
				same("what a guard saw", was.Position, is.Position)
				is.Position, g.Data = was.Position, w.Data
				if was != is {
					t.Fatalf("the guard is %+v, want %+v", is, was)
				}
			}
			g.Position, g.Metadata.Input.Position = w.Position, w.Metadata.Input.Position
			if !reflect.DeepEqual(g, w) {
				t.Fatalf("partition %d has at %d\n%+v, want\n%+v", p, i, g, w)
			}
		}
	}
	report, err := esjs.Verify[esjs.Event](testContext(t), store, nil, esjs.VerifyConfig{})
	if err != nil || !report.Sound() || report.Events != len(before) {
		t.Fatalf("verified: %+v, %v", report, err)
	}
}

func TestRepartitionKeepsEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		fill(t, old)
		cfg := moving(d, 4)
		first := cfg
		first.CutOver = false
		if report := repartition(t, first); report.CutOver || report.Found != 0 || report.Copied != 241 {
			t.Fatalf("copied: %+v", report)
		}
		if err := openError(t, d.Dial(), cfg.To); !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "not complete") {
			t.Fatalf("a copy that is not complete: %v", err)
		}
		late, err := old.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 7})
		if err != nil {
			t.Fatal(err)
		}
		report := repartition(t, cfg)
		if !report.CutOver || report.Found != 241 || report.Copied != 1 || report.Until != late.Revision.Position() || report.Aggregates != 85 {
			t.Fatalf("moved: %+v", report)
		}
		store := reopened(t, d, cfg.To)
		wantMoved(t, old, store, 4)
		if last, err := store.Last(testContext(t)); err != nil || last != report.At {
			t.Fatalf("the new store ends at %s, %v, want %s", last, err, report.At)
		}

		// The old one is there to be read.
		_, err = old.Append(testContext(t), account("a"), esjs.Any(), deposited{Amount: 1})
		if !errors.Is(err, esjs.ErrMoved) || !errors.Is(err, esjs.ErrRefused) || !strings.Contains(err.Error(), "ORDERS, Partitions: 4") {
			t.Errorf("append to the old store: %v", err)
		}
		_, err = old.AppendAll(testContext(t),
			esjs.Write{Stream: account("n"), Events: []esjs.Event{deposited{Amount: 1}}}, esjs.Write{Stream: account("m"), Events: []esjs.Event{deposited{Amount: 1}}})
		if !errors.Is(err, esjs.ErrMoved) {
			t.Errorf("a batch for the old store: %v", err)
		}
		for what, err := range map[string]error{"check": old.Check(testContext(t)), "provision": esjs.Provision(testContext(t), d.Dial(), d.Config())} {
			if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "has moved to ORDERS") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := openError(t, d.Dial(), d.Config()); err != nil {
			t.Errorf("open to read: %v", err)
		}

		// The new one is written to, and to move again changes nothing.
		out, err := store.Append(testContext(t), account("a"), esjs.ExpectVersion(late.Revision.Version()), deposited{Amount: 8})
		if err != nil || out.Revision.Version() != late.Revision.Version()+1 {
			t.Fatalf("append to the new store: %v, %v", out, err)
		}
		again := repartition(t, cfg)
		if again.Found != 242 || again.Copied != 0 || again.At != report.At || !again.CutOver {
			t.Errorf("moved again: %+v", again)
		}
		if err := openError(t, d.Dial(), cfg.To); err != nil {
			t.Error(err)
		}
	})
}

// Whoever has read the old store up to a place goes on in the new one at the place that it is moved to.
func TestAPlaceMovesWithTheStore(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		interleave(t, old)
		cfg := moving(d, 3)
		report := repartition(t, cfg)
		store := reopened(t, d, cfg.To)
		if _, err := store.Append(testContext(t), account("later"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
		before := allOf(t, old)
		for i, r := range before {
			at, err := store.Moved(testContext(t), r.Position)
			if err != nil {
				t.Fatal(err)
			}
			var read, rest []string
			for _, w := range before[:i+1] {
				read = append(read, w.ID)
			}
			for r, err := range store.ReadAll(testContext(t), esjs.Query{Until: at}) {
				if err != nil {
					t.Fatal(err)
				}
				rest = append(rest, r.ID)
			}
			slices.Sort(read)
			slices.Sort(rest)
			if !slices.Equal(read, rest) {
				t.Fatalf("up to %s, which was %s, there are %v, want %v", at, r.Position, rest, read)
			}
		}
		for p, want := range map[esjs.Position]esjs.Position{{}: {}, report.Until: report.At} {
			if at, err := store.Moved(testContext(t), p); err != nil || at != want {
				t.Errorf("%s has moved to %s, %v, want %s", p, at, err, want)
			}
		}
	})
}

// Nobody's append is lost or stored twice, whatever came between it and its answer. Each writer has a command id for
// each, and repeats on the new store what it does not know of the old one.
func TestWritersWriteWhileTheStoreMoves(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		d.Store(t)
		const writers = 6
		faults := d.Faults()
		store, err := esjs.Open(testContext(t), faults.Dial(), d.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		var (
			stored  atomic.Int64
			enough  = make(chan struct{})
			unknown [writers]*esjs.Write
			acked   [writers]int
			writing sync.WaitGroup
		)
		for i := range writers {
			writing.Go(func() {
				id := account(fmt.Sprintf("writer-%d", i))
				for n := 1; ; n++ {
					w := esjs.Write{Stream: id, Expect: esjs.ExpectVersion(uint64(n - 1)), Events: []esjs.Event{deposited{Amount: n}}, Metadata: esjs.Metadata{CommandID: fmt.Sprint(n)}}
					ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
					_, err := store.AppendWrite(ctx, w)
					cancel()
					switch {
					case err == nil:
						acked[i] = n
						if stored.Add(1) == 1500 {
							close(enough)
						}
					case errors.Is(err, esjs.ErrMoved):
						return
					case errors.Is(err, esjs.ErrUnknownOutcome):
						unknown[i] = &w
						return
					default:
						t.Errorf("%s: %v", id, err)
						return
					}
					if n%20 == 0 {
						faults.LoseAcks(1)
					}
				}
			})
		}
		<-enough
		cfg := moving(d, 4)
		report := repartition(t, cfg)
		writing.Wait()
		moved := reopened(t, d, cfg.To)
		wantMoved(t, reopened(t, d, d.Config()), moved, 4)
		events := 0
		for i := range writers {
			want := acked[i]
			if w := unknown[i]; w != nil {
				if _, err := moved.AppendWrite(testContext(t), *w); err != nil {
					t.Errorf("what was not known is repeated: %v", err)
				}
				want++
			}
			var amounts []int
			for r, err := range moved.Read(testContext(t), account(fmt.Sprintf("writer-%d", i)), 0, 0) {
				var e deposited
				if err := errors.Join(err, json.Unmarshal(r.Data, &e)); err != nil {
					t.Fatal(err)
				}
				amounts = append(amounts, e.Amount)
			}
			if len(amounts) != want || !slices.IsSorted(amounts) || len(slices.Compact(slices.Clone(amounts))) != want {
				t.Errorf("writer %d has %v, want 1 to %d", i, amounts, want)
			}
			events += want
		}
		if events < 1500 || report.Events > events {
			t.Errorf("%d events were moved of %d", report.Events, events)
		}
	})
}

// A move that ends before any of its requests is begun again, and one whose connections break there goes on.
func TestAMoveIsInterruptedEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		interleave(t, old)
		cfg := moving(d, 2)
		faults := d.Faults()
		cfg.Dial = faults.Dial()
		stride := 1
		if d.Replicas() > 1 {
			stride = 7
		}
		for n := 1; ; n += stride {
			ctx, cancel := context.WithCancel(testContext(t))
			faults.BeforeRequest(n, cancel)
			if n%5 == 0 && n > stride {
				faults.BeforeRequest(n-stride, faults.Disconnect)
			}
			_, err := esjs.Repartition(ctx, cfg)
			ended := ctx.Err() == nil
			cancel()
			if ended {
				if err != nil {
					t.Fatalf("at request %d: %v", n, err)
				}
				break
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("ended at request %d: %v", n, err)
			}
		}
		wantMoved(t, old, reopened(t, d, cfg.To), 2)
	})
}

func TestTwoMovesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		fill(t, old)
		cfg := moving(d, 3)
		var moving sync.WaitGroup
		for range 3 {
			moving.Go(func() {
				if report, err := esjs.Repartition(testContext(t), cfg); err != nil || !report.CutOver || report.Found+report.Copied != 241 {
					t.Errorf("%+v, %v", report, err)
				}
			})
		}
		moving.Wait()
		wantMoved(t, old, reopened(t, d, cfg.To), 3)
	})
}

// A move that was complete can be begun again at any time: the new store stays open, also where a
// partition had nothing then, and has what was written there since.
func TestACompleteMoveIsBegunAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		old := d.Store(t)
		if _, err := old.Append(testContext(t), account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
			t.Fatal(err)
		}
		cfg := moving(d, 2)
		cfg.CutOver = true
		repartition(t, cfg)
		store := reopened(t, d, cfg.To)
		again := func() {
			t.Helper()
			for _, cfg.CutOver = range []bool{false, true} {
				if report := repartition(t, cfg); report.Copied != 0 || report.Found != 1 {
					t.Errorf("%+v", report)
				}
				if err := store.Check(testContext(t)); err != nil {
					t.Errorf("cut over %v: the new store is not well: %v", cfg.CutOver, err)
				}
			}
		}
		again()
		for _, key := range []string{"a", "b", "c", "d", "e"} { // some of them are in the other partition
			if _, err := store.Append(testContext(t), account(key), esjs.Any(), deposited{Amount: 2}); err != nil {
				t.Fatal(err)
			}
		}
		again()
		if n := len(allOf(t, store)); n != 6 {
			t.Errorf("there are %d events, want 6", n)
		}
		for text, want := range map[string]error{"1-1": esjs.ErrInvalid, "0-1,1-1": esjs.ErrInvalid, "0-1": nil} {
			position, err := esjs.ParsePosition(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Moved(testContext(t), position); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", text, err, want)
			}
			if _, err := old.Moved(testContext(t), position); err == nil {
				t.Errorf("%s: a store that was not copied says where it has moved to", text)
			}
		}
	})
}

// A store of one partition gets another name, on its own servers and on others.
func TestAStoreMovesAsItIs(t *testing.T) {
	t.Parallel()
	d, other := esjstest.Server(t), esjstest.Server(t)
	old := d.Store(t)
	interleave(t, old)
	cfg := moving(d, 1)
	cfg.CutOver = false
	if report := repartition(t, cfg); report.Until != report.At {
		t.Errorf("%+v", report)
	}
	elsewhere := esjs.RepartitionConfig{From: d.Config(), Dial: d.Dial(), To: other.Config(), ToDial: other.Dial(), CutOver: true}
	if report := repartition(t, elsewhere); report.Until != report.At {
		t.Errorf("%+v", report)
	}
	wantMoved(t, old, other.StoreWith(t, other.Config()), 1)
}
