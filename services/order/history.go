package order

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// queries answer how an order was, from its own events.
func (d desk) queries() map[string]service.Query {
	return map[string]service.Query{
		"query.orders.at":   d.at,
		"query.orders.diff": d.diff,
	}
}

// Moment is an order at one of its versions.
type Moment struct {
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"` // of the version's event
	State   View      `json:"state"`
}

// Difference is what changed between two versions of an order.
type Difference struct {
	From    Moment   `json:"from"`
	To      Moment   `json:"to"`
	Changes []Change `json:"changes"`
}

// Change is one value of the state that differs. Path is a JSON pointer into
// it; Old is missing for what is new, and New for what is gone.
type Change struct {
	Path string `json:"path"`
	Old  any    `json:"old,omitzero"`
	New  any    `json:"new,omitzero"`
}

func (d desk) at(ctx context.Context, request []byte) (any, error) {
	var body struct {
		OrderID string    `json:"order_id"`
		Version *uint64   `json:"version"`
		AsOf    time.Time `json:"as_of"`
	}
	if err := service.Decode(request, &body); err != nil {
		return nil, err
	}
	if (body.Version == nil) == body.AsOf.IsZero() {
		return nil, reject(http.StatusUnprocessableEntity, "field_required", `give either "version" or "as_of"`)
	}
	if body.Version != nil {
		return d.version(ctx, body.OrderID, *body.Version)
	}
	return d.load(ctx, body.OrderID, esjs.AsOf(body.AsOf))
}

func (d desk) diff(ctx context.Context, request []byte) (any, error) {
	var body struct {
		OrderID string `json:"order_id"`
		From    uint64 `json:"from"`
		To      uint64 `json:"to"`
	}
	if err := service.Decode(request, &body); err != nil {
		return nil, err
	}
	from, err := d.version(ctx, body.OrderID, body.From)
	if err != nil {
		return nil, err
	}
	to, err := d.version(ctx, body.OrderID, body.To)
	if err != nil {
		return nil, err
	}
	changes, err := compare(from.State, to.State)
	return Difference{From: from, To: to, Changes: changes}, err
}

func (d desk) version(ctx context.Context, id string, n uint64) (Moment, error) {
	if n == 0 {
		return Moment{}, reject(http.StatusUnprocessableEntity, "field_invalid", "an order's versions are counted from 1")
	}
	return d.load(ctx, id, esjs.AtVersion(n))
}

func (d desk) load(ctx context.Context, id string, option esjs.LoadOption) (Moment, error) {
	if err := text("order_id", id); err != nil {
		return Moment{}, err
	}
	past, err := d.orders.Load(ctx, id, option)
	if err != nil {
		return Moment{}, err
	}
	if !past.State.exists() {
		return Moment{}, reject(http.StatusNotFound, "order_not_found", "there was no order %q then", id)
	}
	return Moment{Version: past.Revision.Version(), Time: past.Time, State: viewOf(past.State)}, nil
}

// compare lists the values that differ between two states, in the order of
// their paths.
func compare(from, to View) ([]Change, error) {
	var trees [2]any
	for i, v := range []View{from, to} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &trees[i]); err != nil {
			return nil, err
		}
	}
	return differ([]Change{}, "", trees[0], trees[1]), nil
}

func differ(changes []Change, path string, old, now any) []Change {
	o, n := children(old), children(now)
	if o == nil || n == nil {
		if !reflect.DeepEqual(old, now) {
			changes = append(changes, Change{Path: path, Old: old, New: now})
		}
		return changes
	}
	var names []string
	for name := range o {
		names = append(names, name)
	}
	for name := range n {
		if _, both := o[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		changes = differ(changes, path+"/"+name, o[name], n[name])
	}
	return changes
}

// children are a JSON object's members, or a list's elements by the line_id
// that they have, or else their index; nil for any other value.
func children(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case []any:
		members := make(map[string]any, len(v))
		for i, e := range v {
			name := strconv.Itoa(i)
			if line, ok := e.(map[string]any); ok {
				if id, ok := line["line_id"].(string); ok {
					name = id
				}
			}
			members[name] = e
		}
		return members
	}
	return nil
}
