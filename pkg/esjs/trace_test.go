package esjs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

const (
	traceA = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceB = "00-11111111111111111111111111111111-2222222222222222-00"
)

func TestWhatIsNoTraceContextIsPassedOver(t *testing.T) {
	s := esjstest.Server(t).Store(t)
	for _, c := range []struct{ given, want string }{
		{traceA, traceA},
		{traceB, traceB},
		// A later version counts as far as this one knows it.
		{"cc" + traceA[2:] + "-what-comes-later\r\nX: y", traceA},
		{"01" + traceA[2:], traceA},
		{"", ""},
		{"00", ""},
		{traceA[:54], ""},
		{traceA + "-", ""},
		{traceA + "00", ""},
		{"01" + traceA[2:] + "00", ""},
		{"ff" + traceA[2:], ""},
		{"0g" + traceA[2:], ""},
		{strings.ToUpper(traceA), ""},
		{strings.Replace(traceA, "0af7", "0a 7", 1), ""},
		{strings.Replace(traceA, "b7ad", "b7ä", 1), ""},
		{"00_" + traceA[3:], ""},
		{traceA[:35] + "." + traceA[36:], ""},
		{traceA[:52] + "." + traceA[53:], ""},
		{traceA[:53] + "0x", ""},
		{"00-00000000000000000000000000000000" + traceA[35:], ""},
		{traceA[:36] + "0000000000000000-01", ""},
	} {
		if got := s.TraceParent(esjs.WithTraceParent(t.Context(), c.given)); got != c.want {
			t.Errorf("%q is carried on as %q, want %q", c.given, got, c.want)
		}
		outer := esjs.WithTraceParent(t.Context(), traceB)
		if got := s.TraceParent(esjs.WithTraceParent(outer, c.given)); c.want == "" && got != traceB {
			t.Errorf("%q replaced what was carried by %q", c.given, got)
		}
	}
}

// Without a tracer a trace goes on from event to event all the same.
func TestATraceGoesOnWithoutATracer(t *testing.T) {
	d := esjstest.Server(t)
	s := d.Store(t)
	ctx := esjs.WithTraceParent(testContext(t), traceA)
	stored := func(what, key, want string) {
		t.Helper()
		if got := last(t, s, account(key)).Metadata.TraceParent; got != want {
			t.Errorf("%s stored the trace context %q, want %q", what, got, want)
		}
	}
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.Append(ctx, account("append"), esjs.NoStream(), deposited{Amount: 1}))
	stored("an append", "append", traceA)

	given := esjs.Metadata{TraceParent: traceB}
	writes := []esjs.Write{
		{Stream: account("batch-1"), Events: []esjs.Event{deposited{Amount: 1}}},
		{Stream: account("batch-2"), Events: []esjs.Event{deposited{Amount: 1}}, Metadata: given},
	}
	check(s.AppendAll(ctx, writes...))
	stored("a batch", "batch-1", traceA)
	stored("a batch that was given one", "batch-2", traceB)
	if writes[0].Metadata.TraceParent != "" {
		t.Error("the caller's write was changed")
	}

	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	check(h.Handle(ctx, "handle", 1))
	stored("a command", "handle", traceA)
	check(h.Handle(ctx, "given", 1, esjs.WithMetadata(given)))
	stored("a command that was given one", "given", traceB)

	handling, stop := context.WithCancel(testContext(t))
	defer stop()
	err := esjs.Subscribe(handling, s, esjs.SubscriptionConfig[esjs.Event]{
		Name: "mirror", EveryInstance: true, Codec: accountAggregate(t).Codec, OnCaughtUp: stop,
		Query: esjs.Query{Streams: []esjs.StreamID{account("append")}},
	}, func(ctx context.Context, _ esjs.Recorded[esjs.Event]) error {
		_, err := s.Append(ctx, account("caused"), esjs.NoStream(), deposited{Amount: 1})
		return err
	})
	check(nil, err)
	stored("a handler", "caused", traceA)
}

func TestSpansOfCommands(t *testing.T) {
	d := esjstest.Server(t)
	s, spans := tracedStore(t, d)
	h := newHandler(t, d, s, esjs.HandlerConfig[balance]{})
	ctx := esjs.WithTraceParent(testContext(t), traceA)
	if _, err := h.Handle(ctx, "a", 5); err != nil {
		t.Fatal(err)
	}
	handle := spans.child(t, traceA, esjs.OperationHandle)
	load := spans.child(t, handle.self, esjs.OperationLoad)
	stored := spans.child(t, handle.self, esjs.OperationAppend)
	for _, span := range []recorded{handle, load, stored} {
		if span.Stream != account("a") || span.err != nil {
			t.Errorf("the span %+v is of %s, with %v", span.Span, span.Stream, span.err)
		}
	}
	if got := last(t, s, account("a")).Metadata.TraceParent; got != stored.self || stored.Events != 1 {
		t.Errorf("the event carries %s, want that of the append %+v", got, stored)
	}

	// What comes with the command is the parent where the context has no span,
	// and is stored as it is.
	if _, err := h.Handle(testContext(t), "a", 1, esjs.WithMetadata(esjs.Metadata{TraceParent: traceB})); err != nil {
		t.Fatal(err)
	}
	spans.child(t, traceB, esjs.OperationHandle)
	if got := last(t, s, account("a")).Metadata.TraceParent; got != traceB {
		t.Errorf("stored %s, want what was given", got)
	}

	// The nearest span is the parent.
	inside, end := spans.Start(ctx, esjs.Span{Operation: "mine"})
	mine := spans.TraceParent(inside)
	if _, err := h.Handle(inside, "a", -100, esjs.WithMetadata(esjs.Metadata{TraceParent: traceB})); err == nil {
		t.Fatal("not refused")
	}
	end(nil)
	refused := spans.child(t, mine, esjs.OperationHandle)
	if no := (*esjs.Rejection)(nil); !errors.As(refused.err, &no) {
		t.Errorf("the refused command's span ended with %v", refused.err)
	}
	spans.child(t, refused.self, esjs.OperationLoad) // the leader's confirmation

	writes := []esjs.Write{
		{Stream: account("b"), Events: []esjs.Event{deposited{Amount: 1}}},
		{Stream: account("c"), Events: []esjs.Event{deposited{Amount: 1}, closed{}}},
	}
	if _, err := s.AppendAll(inside, writes...); err != nil {
		t.Fatal(err)
	}
	batch := spans.child(t, mine, esjs.OperationAppend)
	if batch.Events != 3 || batch.Stream != (esjs.StreamID{}) || last(t, s, account("c")).Metadata.TraceParent != batch.self {
		t.Errorf("the batch's span is %+v", batch)
	}
}

func TestSpansOfDeliveries(t *testing.T) {
	d := esjstest.Server(t)
	s, spans := tracedStore(t, d)
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	codec := accountAggregate(t).Codec
	deposit := func(key, trace string, at time.Time) {
		t.Helper()
		check(d.Store(t).AppendWrite(testContext(t), esjs.Write{
			Stream: account(key), Events: []esjs.Event{deposited{Amount: 1}}, Time: at, Metadata: esjs.Metadata{TraceParent: trace},
		}))
	}
	deposit("now", traceA, time.Time{})
	deposit("untraced", "what nobody can read", time.Time{})
	deposit("long ago", traceB, time.Now().Add(-2*time.Hour))
	subscribe := func(name, key string, handle func(context.Context) error) {
		t.Helper()
		ctx, stop := context.WithCancel(testContext(t))
		defer stop()
		check(nil, esjs.Subscribe(ctx, s, esjs.SubscriptionConfig[esjs.Event]{
			Name: name, EveryInstance: true, Codec: codec, OnCaughtUp: stop, Query: esjs.Query{Streams: []esjs.StreamID{account(key)}},
			Retry: esjs.Backoff{First: time.Millisecond},
		}, func(ctx context.Context, _ esjs.Recorded[esjs.Event]) error { return handle(ctx) }))
	}

	calls := 0
	subscribe("mailer", "now", func(ctx context.Context) error {
		if calls++; calls == 1 {
			return errors.New("not yet")
		}
		_, err := s.Append(ctx, account("caused"), esjs.NoStream(), deposited{Amount: 1})
		return err
	})
	failed := spans.child(t, traceA, esjs.OperationDeliver)
	if failed.err == nil || failed.Subscription != "mailer" || failed.Stream != account("now") || failed.Events != 1 {
		t.Errorf("the span of the first call is %+v, with %v", failed.Span, failed.err)
	}
	again := spans.await(t, "of the second call", func(r recorded) bool { return r.Parent == traceA && r.err == nil })
	if got := last(t, s, account("caused")).Metadata.TraceParent; got != spans.child(t, again.self, esjs.OperationAppend).self {
		t.Errorf("what a handler stored carries %s", got)
	}

	subscribe("roots", "untraced", func(context.Context) error { return nil })
	root := spans.await(t, "of an event without a trace", func(r recorded) bool { return r.Subscription == "roots" })
	if root.Parent != "" {
		t.Errorf("its parent is %s", root.Parent)
	}

	// History has no spans, and its trace is carried on.
	before := spans.count(esjs.OperationDeliver)
	subscribe("history", "long ago", func(ctx context.Context) error {
		_, err := s.Append(ctx, account("late"), esjs.NoStream(), deposited{Amount: 1})
		return err
	})
	if n := spans.count(esjs.OperationDeliver); n != before {
		t.Errorf("history has %d spans", n-before)
	}
	if got := last(t, s, account("late")).Metadata.TraceParent; got != spans.child(t, traceB, esjs.OperationAppend).self {
		t.Errorf("what history caused carries %s", got)
	}
}

func TestSpansOfBatches(t *testing.T) {
	d := esjstest.Server(t)
	s, spans := tracedStore(t, d)
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	for key, trace := range map[string]string{"a": traceA, "b": traceB} {
		_, err := d.Store(t).AppendWrite(ctx, esjs.Write{
			Stream: account(key), Events: []esjs.Event{deposited{Amount: 1}}, Metadata: esjs.Metadata{TraceParent: trace},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	together := 0
	err := esjs.SubscribeBatch(ctx, s, esjs.SubscriptionConfig[esjs.Event]{
		Name: "group", EveryInstance: true, Codec: accountAggregate(t).Codec, OnCaughtUp: stop, Retry: esjs.Backoff{First: time.Millisecond, Max: time.Millisecond},
	}, 10, func(ctx context.Context, deliveries []esjs.Delivery[esjs.Event]) []error {
		if len(deliveries) < 2 && together == 0 { // both are ready by the next call
			return []error{esjs.RetryAfter(50*time.Millisecond, errors.New("alone"))}
		}
		together = max(together, len(deliveries))
		errs := make([]error, len(deliveries))
		for i, d := range deliveries {
			id := account("caused-" + d.Events[0].Stream.Key)
			_, errs[i] = s.AppendWrite(ctx, esjs.Write{
				Stream: id, Expect: esjs.Any(), Events: []esjs.Event{deposited{Amount: 1}}, Metadata: esjs.Metadata{TraceParent: d.TraceParent},
			})
		}
		return errs
	})
	if err != nil || together != 2 {
		t.Fatalf("%d were handled together, %v", together, err)
	}
	one := func(key, trace string) recorded {
		t.Helper()
		return spans.await(t, "of "+key, func(r recorded) bool {
			return r.Operation == esjs.OperationDeliver && r.Stream == account(key) && r.Parent == trace && r.err == nil
		})
	}
	a, b := one("a", traceA), one("b", traceB)
	call := spans.await(t, "of the call", func(r recorded) bool { return r.Operation == esjs.OperationDeliver && len(r.Links) == 2 })
	if call.Parent != "" || call.Events != 2 || !slices.Contains(call.Links, a.self) || !slices.Contains(call.Links, b.self) {
		t.Errorf("the call's span is %+v, want one that is linked to %s and %s", call, a.self, b.self)
	}
	spans.child(t, call.self, esjs.OperationAppend)
	if got := last(t, s, account("caused-a")).Metadata.TraceParent; got != a.self {
		t.Errorf("what a caused carries %s, want %s", got, a.self)
	}
}
