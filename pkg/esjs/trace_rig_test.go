package esjs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// recorder is a tracer that keeps what it is told. Trace contexts number its
// spans; those of another's are kept as they are.
type recorder struct {
	mu      sync.Mutex
	spans   []*recorded
	changed chan struct{}
}

type recorded struct {
	esjs.Span
	self  string // its trace context
	ended bool
	err   error
}

type recorderKey struct{}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) Start(ctx context.Context, span esjs.Span) (context.Context, func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if span.Parent == "" {
		span.Parent = r.TraceParent(ctx)
	}
	trace := fmt.Sprintf("%032x", len(r.spans)+1)
	if span.Parent != "" {
		trace = span.Parent[3:35]
	}
	s := &recorded{Span: span, self: fmt.Sprintf("00-%s-%016x-01", trace, len(r.spans)+1)}
	r.spans = append(r.spans, s)
	return context.WithValue(ctx, recorderKey{}, s.self), func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.ended {
			panic("a span was ended twice")
		}
		s.ended, s.err = true, err
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

func (r *recorder) TraceParent(ctx context.Context) string {
	self, _ := ctx.Value(recorderKey{}).(string)
	return self
}

// await waits for an ended span and returns it.
func (r *recorder) await(t *testing.T, what string, is func(recorded) bool) recorded {
	t.Helper()
	for ctx := testContext(t); ; {
		r.mu.Lock()
		i := slices.IndexFunc(r.spans, func(s *recorded) bool { return s.ended && is(*s) })
		if i >= 0 {
			defer r.mu.Unlock()
			return *r.spans[i]
		}
		seen, changed := r.list(), r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no span %s in\n%s", what, seen)
		}
	}
}

func (r *recorder) list() string {
	var b strings.Builder
	for _, s := range r.spans {
		fmt.Fprintf(&b, "%s %s %s: %s parent=%s ended=%t %v\n", s.Operation, s.Subscription, s.Stream, s.self, s.Parent, s.ended, s.err)
	}
	return b.String()
}

// child waits for a span whose parent is given.
func (r *recorder) child(t *testing.T, parent string, operation esjs.Operation) recorded {
	t.Helper()
	return r.await(t, fmt.Sprintf("%s below %s", operation, parent), func(s recorded) bool {
		return s.Parent == parent && s.Operation == operation
	})
}

// count is the number of spans of an operation so far.
func (r *recorder) count(operation esjs.Operation) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Operation == operation {
			n++
		}
	}
	return n
}

func tracedStore(t *testing.T, d *esjstest.Deployment) (*esjs.Store, *recorder) {
	t.Helper()
	tracer := newRecorder()
	cfg := d.Config()
	cfg.Tracer = tracer
	return d.StoreWith(t, cfg), tracer
}

func last(t *testing.T, s *esjs.Store, id esjs.StreamID) esjs.Record {
	t.Helper()
	var last esjs.Record
	for r, err := range s.Read(testContext(t), id, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	return last
}
