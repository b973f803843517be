package index

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

const (
	// maxTree bounds the events of a tree, so that an answer fits in a message.
	maxTree = 1000
	// maxDepth bounds how far causes are followed. What an event says of its cause
	// is whatever its writer wrote, and could name itself.
	maxDepth = 200
)

// causation answers with all that came of the first cause of an event.
func causation(ctx context.Context, rows view.Reader, request queries.CausationRequest) (queries.EventTree, error) {
	e, err := find(ctx, rows, request.EventID)
	if err != nil {
		return queries.EventTree{Events: []queries.TreeEvent{}}, err
	}
	root := e.EventID
	err = rows.QueryRow(ctx, `
		WITH RECURSIVE causes (event_id, causation_id, depth) AS (
			SELECT event_id, causation_id, 0 FROM {view} WHERE event_id = $1
			UNION
			SELECT e.event_id, e.causation_id, causes.depth + 1
			FROM causes JOIN {view} e ON e.event_id = causes.causation_id WHERE causes.depth < $2
		)
		SELECT event_id FROM causes ORDER BY depth DESC LIMIT 1`, e.EventID, maxDepth).Scan(&root)
	if err != nil {
		return queries.EventTree{}, err
	}
	// An event is told once, however it is reached.
	return tree(ctx, rows, `
		WITH RECURSIVE tree (event_id, depth) AS (
			SELECT event_id, 0 FROM {view} WHERE event_id = $1
			UNION
			SELECT e.event_id, tree.depth + 1
			FROM tree JOIN {view} e ON e.causation_id = tree.event_id AND e.causation_id <> '' WHERE tree.depth < $2
		)
		SELECT `+columns+` FROM {view}
		WHERE event_id IN (SELECT event_id FROM tree LIMIT $3) ORDER BY sequence, version LIMIT $4`,
		root, maxDepth, 2*maxTree, maxTree+1)
}

// correlation answers with all events of a correlation; "correlation_not_found"
// when there are none.
func correlation(ctx context.Context, rows view.Reader, request queries.CorrelationRequest) (queries.EventTree, error) {
	if request.CorrelationID == "" {
		return queries.EventTree{}, view.Required("correlation_id", "names what was done together; for an order it is the order's id")
	}
	found, err := tree(ctx, rows, `
		SELECT `+columns+` FROM {view}
		WHERE correlation_id = $1 AND correlation_id <> '' ORDER BY sequence, version LIMIT $2`, request.CorrelationID, maxTree+1)
	if err == nil && len(found.Events) == 0 {
		return found, view.NotFound("correlation_not_found", "no event has the correlation id %.100q", request.CorrelationID)
	}
	return found, err
}

// tree reads events in the store's order, and how deep in the tree each is: a
// cause is stored before what it caused.
func tree(ctx context.Context, rows view.Reader, text string, args ...any) (queries.EventTree, error) {
	found := queries.EventTree{Events: []queries.TreeEvent{}}
	depths := make(map[string]int)
	err := rows.Each(ctx, text, args, func(column func(...any) error) error {
		if found.Truncated = len(found.Events) == maxTree; found.Truncated {
			return view.Enough
		}
		e, err := scan(view.Scanner(column))
		if err != nil {
			return err
		}
		node := queries.TreeEvent{IndexedEvent: e}
		if depth, known := depths[e.CausationID]; known {
			node.Depth = depth + 1
		}
		depths[e.EventID] = node.Depth
		found.Events = append(found.Events, node)
		return nil
	})
	return found, err
}
