package service

import (
	"context"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Command is one request on cmd.<category>.<key>.<verb>.
type Command struct {
	Category string
	Key      string // unescaped
	Verb     string
	Body     []byte

	ID              string // Command-Id header
	ExpectedVersion *uint64
	CorrelationID   string
	Actor           string
	TraceParent     string
}

// Decode reads the body into v, strictly: an unknown field, a duplicate key or
// a value of the wrong type is a *[esjs.Rejection] with code "bad_request",
// status 400 and a sentence that names the field.
func (c Command) Decode(v any) error { panic("stub") }

// Options returns the command's metadata, idempotency and expectation for a
// command handler; correlation is used when the command brought none.
func (c Command) Options(correlation string) []esjs.HandleOption { panic("stub") }

// Reply is the answer to a command that was handled.
type Reply struct {
	Version  uint64   `json:"version"`
	Revision string   `json:"revision"`
	EventIDs []string `json:"event_ids"`
	State    any      `json:"state"`
}

// ReplyTo makes the reply of a result; view is what the caller may see of the state.
func ReplyTo[S any](r esjs.Result[S], view any) Reply { panic("stub") }

// Commands is one category's command endpoint.
type Commands struct {
	Category string
	// Verbs are the verbs that exist; another one is refused and the answer lists these.
	Verbs map[string]func(context.Context, Command) (Reply, error)
	// Concurrency bounds the commands handled at once; a full pool answers
	// "busy". Default 256.
	Concurrency int
}

// ServeCommands answers cmd.<category>.> until ctx ends, then drains. Errors
// that handlers return are mapped to problems by the one error table.
func (e *Env) ServeCommands(ctx context.Context, c Commands) error { panic("stub") }

// Queries is a set of query endpoints: subject ("query.orders.get") to handler.
type Queries struct {
	Name     string // of the NATS micro service: "projector"
	Handlers map[string]func(ctx context.Context, body []byte) (any, error)
}

// ServeQueries answers until ctx ends, then drains.
func (e *Env) ServeQueries(ctx context.Context, q Queries) error { panic("stub") }
