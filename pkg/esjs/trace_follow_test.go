package esjs_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/kvsink"
)

func TestSpansOfProjections(t *testing.T) {
	d := esjstest.Server(t)
	s, spans := tracedStore(t, d)
	ctx := testContext(t)
	if err := esjs.ProvisionBucket(ctx, d.Dial(), "VIEWS", 1); err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{"b": true}
	p := esjs.NewProjector(s, kvsink.New(s, "VIEWS"), esjs.Projection[*kvsink.Tx, esjs.Event]{
		Name: "totals", Version: 1, Codec: accountAggregate(t).Codec,
		Apply: func(_ context.Context, _ *kvsink.Tx, e esjs.Recorded[esjs.Event]) error {
			if broken[e.Stream.Key] {
				return esjs.Park(errors.New("broken"))
			}
			return nil
		},
	}, esjs.ProjectionConfig{})
	var end esjs.Position
	for key, trace := range map[string]string{"a": traceA, "b": traceB} {
		out, err := d.Store(t).AppendWrite(ctx, esjs.Write{
			Stream: account(key), Events: []esjs.Event{deposited{Amount: 1}, closed{}}, Metadata: esjs.Metadata{TraceParent: trace},
		})
		if err != nil {
			t.Fatal(err)
		}
		end = out.Revision.Position()
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	if err := p.WaitFor(ctx, end); err != nil {
		t.Fatal(err)
	}
	done := spans.await(t, "of what was applied", func(r recorded) bool { return r.Parent == traceA && r.err == nil })
	if done.Operation != esjs.OperationProject || done.Subscription != "totals_v1" || done.Stream != account("a") || done.Events != 2 {
		t.Errorf("the span is %+v", done.Span)
	}
	failed := spans.child(t, traceB, esjs.OperationProject)
	if failed.err == nil || !strings.Contains(failed.err.Error(), "broken") {
		t.Errorf("the span of what was not applied ended with %v", failed.err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// One trace goes from an event over a process and its timer to what comes of it.
func TestATraceFollowsAProcessAndItsTimers(t *testing.T) {
	for name, traced := range map[string]bool{"with a tracer": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			d := esjstest.Server(t)
			r := newAssemblyRig(t, d)
			store, spans := d.Store(t), newRecorder()
			if traced {
				store, spans = tracedStore(t, d)
			}
			p := r.startOn(t, store, options{})
			_, err := r.store.Append(esjs.WithTraceParent(contextWithPatience(t), traceA),
				esjs.StreamID{Category: "order", Key: "o-1"}, esjs.NoStream(), placed{Order: "o-1", WaitMS: 1})
			if err != nil {
				t.Fatal(err)
			}
			history := r.seen.await(t, "o-1", "AssemblyStarted", "Reminded", "GivenUp")
			p.shutdown(t)
			if !traced {
				for _, e := range history {
					if e.Metadata.TraceParent != traceA {
						t.Errorf("%s carries %q", e.Type, e.Metadata.TraceParent)
					}
				}
				return
			}
			react := spans.child(t, traceA, esjs.OperationReact)
			for _, e := range history {
				if react.Subscription != "assembly" && react.Subscription != "assembly-timers" {
					t.Errorf("the span %+v is of another subscription", react.Span)
				}
				handle := spans.child(t, react.self, esjs.OperationHandle)
				stored := spans.child(t, handle.self, esjs.OperationAppend)
				if e.Metadata.TraceParent != stored.self {
					t.Errorf("%s carries %q, want that of its append %s", e.Type, e.Metadata.TraceParent, stored.self)
				}
				if e.Type != "GivenUp" { // a timer was armed inside react
					react = spans.child(t, react.self, esjs.OperationReact)
				}
			}
		})
	}
}
