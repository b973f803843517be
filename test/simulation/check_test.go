package simulation

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/orders"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/go-json-experiment/json"
)

// checkAll checks what must hold when nothing happens any more.
func (w *world) checkAll(ctx context.Context) {
	books, err := truth.ReadLedger(ctx, &http.Client{Transport: direct{w.partners.server}}, "http://partners")
	if err != nil {
		panic(err)
	}
	w.shop.Check(books, time.Now())
	w.checkAttention(books)
	for _, s := range w.sagas {
		s.replay(w)
	}
	replay(w, w.orders)
	replay(w, w.stocks)
	replay(w, w.reservations)
	replay(w, w.payments)
	replay(w, w.shipments)
	w.replayView()
}

// direct asks a handler without a network in between.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	recorded := httptest.NewRecorder()
	d.ServeHTTP(recorded, r)
	return recorded.Result(), nil
}

// replay (P5): folding what is stored gives what is remembered, each time the same
// bytes, and so does a snapshot with what came after it.
func replay[S any](w *world, k kept[S]) {
	streams := map[string][]events.Event{}
	for _, e := range w.log {
		if e.Stream.Category == k.category {
			again, err := w.codec.Decode(e.Record)
			if err != nil {
				w.violated("P5", "%s is not read any more: %v", e.Stream, err)
				return
			}
			streams[e.Stream.Key] = append(streams[e.Stream.Key], again.Event)
		}
	}
	fold := func(s S, list []events.Event) S {
		for _, e := range list {
			s = k.apply(s, e)
		}
		return s
	}
	for _, key := range sortedKeys(streams) {
		list := streams[key]
		var zero, restored S
		remembered := text(k.states[key])
		if first, second := text(fold(zero, list)), text(fold(zero, list)); first != second || first != remembered {
			w.violated("P5", "%s %s: folded\n%s\nand\n%s\nremembered\n%s", k.category, key, first, second, remembered)
		}
		n := w.rand.IntN(len(list) + 1)
		if err := json.Unmarshal([]byte(w.defect.ofSnapshot(text(fold(zero, list[:n])))), &restored); err != nil {
			w.violated("P5", "%s %s: snapshot at %d: %v", k.category, key, n, err)
		}
		if tail := text(fold(restored, list[n:])); tail != remembered {
			w.violated("P5", "%s %s: from the snapshot at %d\n%s\nremembered\n%s", k.category, key, n, tail, remembered)
		}
	}
}

// replayView (P5): the read model of orders is the same each time it is built.
func (w *world) replayView() {
	build := func() string {
		view := map[string]queries.Order{}
		for _, e := range w.log {
			if e.Stream.Category == events.CategoryOrder {
				view[e.Stream.Key] = orders.Fold(view[e.Stream.Key], e)
			}
		}
		return text(view)
	}
	if first, second := build(), build(); first != second {
		w.violated("P5", "the view of orders is\n%s\nand, built again,\n%s", first, second)
	}
}

func text(v any) string {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(data)
}

// types is the story's outline: what was stored where and when, without the ids that
// partners give.
func (w *world) types() []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, e := range w.log {
			if !yield(e.Time.Format(time.RFC3339Nano) + " " + e.Stream.String() + " " + e.Type) {
				return
			}
		}
	})
}
