package order

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// queries answer how an order was, from its own events.
func (d desk) queries() (service.Queries, error) {
	q := service.Queries{Name: history, Handlers: map[string]service.Query{}, Metadata: map[string]map[string]string{}}
	for _, a := range []struct {
		question queries.Description
		answer   service.Query
	}{
		{queries.OrderAt.Describe(), service.Answering(d.at)},
		{queries.OrderDiff.Describe(), service.Answering(d.diff)},
		{queries.OrderEvents.Describe(), service.Answering(d.events)},
	} {
		metadata, err := a.question.Metadata()
		if err != nil {
			return q, err
		}
		q.Handlers[a.question.Subject], q.Metadata[a.question.Subject] = a.answer, metadata
	}
	return q, nil
}

// ahead is how far a clock of those who ask may be ahead of ours.
const ahead = time.Minute

func (d desk) at(ctx context.Context, request queries.OrderAtRequest) (queries.OrderMoment, error) {
	switch {
	case (request.Version == nil) == request.AsOf.IsZero():
		return queries.OrderMoment{}, reject(http.StatusUnprocessableEntity, "field_required", `give either "version" or "as_of"`)
	case request.Version != nil:
		return d.version(ctx, request.OrderID, *request.Version)
	case time.Until(request.AsOf) > ahead:
		return queries.OrderMoment{}, reject(http.StatusUnprocessableEntity, "time_in_future",
			`"as_of" is %s; what will be is not known yet: give a time that is past`, request.AsOf.UTC().Format(time.RFC3339))
	}
	return d.load(ctx, request.OrderID, esjs.AsOf(request.AsOf))
}

func (d desk) diff(ctx context.Context, request queries.OrderDiffRequest) (queries.OrderDifference, error) {
	from, err := d.version(ctx, request.OrderID, request.From)
	if err != nil {
		return queries.OrderDifference{}, err
	}
	to, err := d.version(ctx, request.OrderID, request.To)
	if err != nil {
		return queries.OrderDifference{}, err
	}
	changes, err := compare(from.State, to.State)
	return queries.OrderDifference{From: from, To: to, Changes: changes}, err
}

func (d desk) version(ctx context.Context, id string, n uint64) (queries.OrderMoment, error) {
	if n == 0 {
		return queries.OrderMoment{}, reject(http.StatusUnprocessableEntity, "field_invalid", "an order's versions are counted from 1")
	}
	moment, err := d.load(ctx, id, esjs.AtVersion(n))
	if !errors.Is(err, esjs.ErrNotFound) {
		return moment, err
	}
	now, err := d.load(ctx, id)
	if err != nil {
		return queries.OrderMoment{}, err
	}
	return queries.OrderMoment{}, reject(http.StatusNotFound, "version_not_found", "order %q has no version %d; it is at version %d", id, n, now.Version)
}

func (d desk) load(ctx context.Context, id string, options ...esjs.LoadOption) (queries.OrderMoment, error) {
	if err := text("order_id", id); err != nil {
		return queries.OrderMoment{}, err
	}
	past, err := d.orders.Load(ctx, id, options...)
	if err != nil {
		return queries.OrderMoment{}, err
	}
	if !past.State.exists() {
		return queries.OrderMoment{}, reject(http.StatusNotFound, "order_not_found", "there is no order %q, or there was none then", id)
	}
	return queries.OrderMoment{Version: past.Revision.Version(), Time: past.Time, State: viewOf(past.State)}, nil
}

// compare lists the values that differ between two states, in the order of
// their paths.
func compare(from, to queries.OrderView) ([]queries.OrderChange, error) {
	var trees [2]any
	for i, v := range []queries.OrderView{from, to} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &trees[i]); err != nil {
			return nil, err
		}
	}
	return differ([]queries.OrderChange{}, "", trees[0], trees[1]), nil
}

func differ(changes []queries.OrderChange, path string, old, now any) []queries.OrderChange {
	o, n := children(old), children(now)
	if o == nil || n == nil {
		if !reflect.DeepEqual(old, now) {
			changes = append(changes, queries.OrderChange{Path: path, Old: old, New: now})
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
