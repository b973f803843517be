package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// notes is an observer that writes down what a store tells it, durations aside.
type notes struct {
	esjs.NopObserver
	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

func newNotes() *notes { return &notes{changed: make(chan struct{})} }

func (n *notes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *notes) Handles(category string) { n.note("handles %s", category) }

func (n *notes) Appended(a esjs.AppendInfo) {
	n.note("append %s events=%d batch=%d %s", a.Stream, len(a.Events), a.Batch, esjs.Outcome(a.Err))
	if a.Took <= 0 {
		n.note("which took %s", a.Took)
	}
}

func (n *notes) Settled(id esjs.StreamID, found esjs.Settlement) { n.note("settle %s %s", id, found) }

func (n *notes) Loaded(l esjs.LoadInfo) {
	n.note("load %s %s commits=%d %s", l.Stream, l.Source, l.Commits, esjs.Outcome(l.Err))
}

func (n *notes) Decided(d esjs.DecisionInfo) {
	n.note("decide %s attempts=%d events=%d repeated=%t %s", d.Stream, d.Attempts, d.Events, d.Repeated, esjs.Outcome(d.Err))
}

func (n *notes) Connected(connection string, connected bool) {
	n.note("connection %s %t", connection, connected)
}

// are checks what was noted since the last call, connections aside.
func (n *notes) are(t *testing.T, what string, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	got := slices.DeleteFunc(slices.Clone(n.lines), func(line string) bool { return strings.HasPrefix(line, "connection") })
	if !slices.Equal(got, want) {
		t.Errorf("%s: the observer was told\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	n.lines = nil
}

// await waits for a line.
func (n *notes) await(t *testing.T, line string) {
	t.Helper()
	for ctx := testContext(t); ; {
		n.mu.Lock()
		found, changed := slices.Contains(n.lines, line), n.changed
		n.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the observer was never told %q", line)
		}
	}
}

func observedStore(t *testing.T, d *esjstest.Deployment, dial esjs.Dial) (*esjs.Store, *notes) {
	t.Helper()
	n := newNotes()
	cfg := d.Config()
	cfg.Observer = n
	s, err := esjs.Open(testContext(t), dial, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, n
}

func TestTheObserverIsToldOfAppends(t *testing.T) {
	d := esjstest.Server(t)
	d.Store(t) // provisions
	faults := d.Faults()
	ctx := testContext(t)
	s, told := observedStore(t, d, faults.Dial())

	if _, err := s.Append(ctx, account("a"), esjs.NoStream(), deposited{Amount: 1}, deposited{Amount: 2}); err != nil {
		t.Fatal(err)
	}
	told.are(t, "an append", "append account/a events=2 batch=1 ok")

	if _, err := s.Append(ctx, account("a"), esjs.NoStream(), deposited{Amount: 3}); !errors.Is(err, esjs.ErrConflict) {
		t.Fatal(err)
	}
	told.are(t, "a conflict", "settle account/a conflict", "append account/a events=1 batch=1 conflict")

	faults.LoseAcks(1)
	if _, err := s.Append(ctx, account("b"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	told.are(t, "a lost ack", "settle account/b stored", "append account/b events=1 batch=1 ok")

	faults.RefuseAppends(1)
	if _, err := s.Append(ctx, account("c"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	told.are(t, "a false refusal", "settle account/c open", "append account/c events=1 batch=1 ok")

	if _, err := s.Append(ctx, account("a"), esjs.Any()); !errors.Is(err, esjs.ErrInvalid) {
		t.Fatal(err)
	}
	told.are(t, "an append of nothing", "append account/a events=0 batch=1 invalid")

	_, err := s.AppendAll(ctx,
		esjs.Write{Stream: account("d"), Events: []esjs.Event{deposited{Amount: 1}}},
		esjs.Write{Stream: account("e"), Events: []esjs.Event{deposited{Amount: 1}, closed{}}})
	if err != nil {
		t.Fatal(err)
	}
	told.are(t, "a batch", "append account/d events=1 batch=2 ok", "append account/e events=2 batch=2 ok")
}

func TestTheObserverIsToldOfCommandsAndLoads(t *testing.T) {
	d := esjstest.Server(t)
	ctx, other := testContext(t), d.Store(t)
	s, told := observedStore(t, d, d.Dial())
	policy := &esjs.SnapshotPolicy[balance]{Bucket: snapshotBucket, Every: 2}
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{Snapshots: policy, Attempts: 3})
	handle := func(amount deposit, opts ...esjs.HandleOption) error {
		_, err := h.Handle(ctx, "a", amount, opts...)
		return err
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	once := esjs.WithMetadata(esjs.Metadata{CommandID: "c-1"})
	told.are(t, "a handler that has done nothing", "handles account")

	check(handle(10, once))
	told.are(t, "the first command",
		"load account/a log commits=0 ok",
		"append account/a events=1 batch=1 ok",
		"decide account/a attempts=1 events=1 repeated=false ok")

	check(handle(10, once))
	told.are(t, "a repeated command",
		"load account/a cache commits=0 ok",
		"decide account/a attempts=1 events=0 repeated=true ok")

	var no *esjs.Rejection
	if err := handle(-11); !errors.As(err, &no) {
		t.Fatal(err)
	}
	told.are(t, "a refused command, which is confirmed with the leader",
		"load account/a cache commits=0 ok",
		"load account/a leader commits=0 ok",
		"decide account/a attempts=1 events=0 repeated=false rejected")

	if _, err := other.Append(ctx, account("a"), esjs.Any(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	check(handle(1))
	told.are(t, "a command that finds another writer's commit",
		"load account/a cache commits=0 ok",
		"settle account/a conflict",
		"append account/a events=1 batch=1 conflict",
		"load account/a leader commits=1 ok",
		"append account/a events=1 batch=1 ok",
		"decide account/a attempts=2 events=1 repeated=false ok")

	snapshot(t, d, "a") // of the third commit, or of the second
	h.Forget("a")
	told.lines = nil
	loaded, err := h.Load(ctx, "a")
	check(err)
	if loaded.State.Total != 12 {
		t.Errorf("loaded %+v", loaded)
	}
	if got := strings.Join(told.lines, ""); !strings.HasPrefix(got, "load account/a snapshot commits=") {
		t.Errorf("a load from a snapshot told %s", got)
	}
	told.lines = nil

	_, err = h.Load(ctx, "a", esjs.AtVersion(2))
	check(err)
	told.are(t, "a load of the past", "load account/a past commits=2 ok")

	stopped, stop := context.WithCancel(ctx)
	stop()
	h.Forget("a")
	if _, err := h.Load(stopped, "a"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	told.are(t, "a load that was given up", "load account/a log commits=0 canceled")
}

func TestTheObserverIsToldOfConnections(t *testing.T) {
	d := esjstest.Server(t)
	d.Store(t)
	s, told := observedStore(t, d, d.Dial())
	all := []string{"append", "subscribe", "read-1", "read-2", "read-3", "read-4"}
	for _, state := range []string{" true", " false", " true"} {
		for _, name := range all {
			told.await(t, "connection "+name+state)
		}
		told.mu.Lock()
		n := len(told.lines)
		told.lines = nil
		told.mu.Unlock()
		if n != len(all) {
			t.Errorf("%d changes to%s were told, want one of each connection", n, state)
		}
		switch state {
		case " true":
			d.Stop(0)
		case " false":
			d.Start(t, 0)
		}
	}
	s.Close()
	told.are(t, "a store that is closed")
}

// What gives no observer has the store's.
func TestASubscriptionHasTheStoresObserver(t *testing.T) {
	d := esjstest.Server(t)
	d.Store(t)
	seen := newSignals()
	cfg := d.Config()
	cfg.Observer = seen
	s := d.StoreWith(t, cfg)
	if _, err := s.Append(testContext(t), account("a"), esjs.NoStream(), deposited{Amount: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	err := esjs.Subscribe(ctx, s, esjs.SubscriptionConfig[esjs.Event]{
		Name: "copy", EveryInstance: true, Codec: accountAggregate(t).Codec, OnCaughtUp: stop,
	}, func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	seen.await(t, "the delivery is observed", func() bool { return seen.handled["copy"] == 1 })
}

func TestOutcomesOfErrors(t *testing.T) {
	for want, err := range map[string]error{
		"ok":       nil,
		"conflict": fmt.Errorf("wrapped: %w", &esjs.ConflictError{}),
		"unknown":  fmt.Errorf("%w: and then: %w", esjs.ErrUnknownOutcome, context.DeadlineExceeded),
		"rejected": esjs.Reject("no", "no"),
		"erased":   fmt.Errorf("wrapped: %w", &esjs.ErasedError{Person: "p-1"}),
		"deadline": context.DeadlineExceeded,
		"config":   esjs.ErrNoJetStream,
		"error":    errors.New("something else"),
	} {
		if got := esjs.Outcome(err); got != want {
			t.Errorf("the outcome of %v is %q, want %q", err, got, want)
		}
	}
}
