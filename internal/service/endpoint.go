package service

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	// requestTimeout bounds the handling of one request.
	requestTimeout = 10 * time.Second
	// defaultConcurrency is how many requests one endpoint set handles at once.
	defaultConcurrency = 256
)

// Answer answers a command.
type Answer = func(context.Context, Command) (Reply, error)

// Query answers a query; what it returns is the answer's JSON body.
type Query = func(ctx context.Context, body []byte) (any, error)

// Answering makes a [Query] of a function of values. The body is read by [Decode];
// an empty one is an empty object.
func Answering[Q, A any](answer func(context.Context, Q) (A, error)) Query {
	return func(ctx context.Context, body []byte) (any, error) {
		if len(body) == 0 {
			body = []byte("{}")
		}
		var q Q
		if err := Decode(body, &q); err != nil {
			return nil, err
		}
		return answer(ctx, q)
	}
}

// Commands is one category's command endpoint.
type Commands struct {
	Category string
	// Verbs are the verbs that exist; another one is refused and the answer lists these.
	Verbs map[string]Answer
	// Concurrency bounds the commands handled at once; a full pool answers
	// "busy". Default 256.
	Concurrency int
}

// ServeCommands answers cmd.<category>.>, and carries out what is queued on
// cmdq.<category>.>, until ctx ends, then drains. Errors
// that handlers return are mapped to problems by the one error table; a handler
// that panics costs its own request an "internal" and nothing else. Replicas of
// a service share the commands. A handler's context ends after 10 s, and not
// when ctx does: what was begun is finished.
//
// A queued command is carried out at least once, and its id makes that one effect; those of
// one key in the order in which they were queued. One that is refused, or is no
// command, is parked with the reason: see [ParkedCommand]. [ProvisionQueue] is needed.
//
// It returns nil after a drain, and an error when the server refuses the
// subscription or the connection is closed.
func (e *Env) ServeCommands(ctx context.Context, c Commands) error {
	e.Health.Await(queuePart(c.Category))
	return Group(ctx,
		func(ctx context.Context) error { return e.serveCommands(ctx, c.Category, "commands of "+c.Category, c) },
		func(ctx context.Context) error { return e.takeQueued(ctx, c) },
	)
}

// serveCommands answers cmd.<category>.> as the NATS micro service of a name.
func (e *Env) serveCommands(ctx context.Context, name, describe string, c Commands) error {
	answer := func(ctx context.Context, m micro.Request) (any, string, error) {
		cmd, err := parseCommand(c.Category, c.Verbs, m.Subject(), nats.Header(m.Headers()), m.Data())
		if err != nil {
			return nil, "unknown", err
		}
		reply, err := c.Verbs[cmd.Verb](ctx, cmd)
		return reply, cmd.Verb, err
	}
	observe := func(verb, outcome string, took time.Duration) {
		e.Metrics.commands.WithLabelValues(c.Category, verb, outcome).Inc()
		e.Metrics.commandSeconds.WithLabelValues(c.Category, verb).Observe(took.Seconds())
	}
	return e.serve(ctx, &endpoints{
		name:        name,
		describe:    describe,
		category:    c.Category,
		subjects:    map[string]string{"commands": "cmd." + c.Category + ".>"},
		concurrency: c.Concurrency,
		answer:      answer,
		observe:     observe,
	})
}

// Queries is a set of query endpoints: subject ("query.orders.get") to handler.
type Queries struct {
	Name     string // of the NATS micro service: "projector"
	Handlers map[string]Query
	// Metadata is what "nats micro info" shows of an endpoint, by subject.
	Metadata map[string]map[string]string
}

// ServeQueries answers until ctx ends, then drains. Errors, panics and replicas
// are as for [Env.ServeCommands], and a body over [MaxBody] is refused.
func (e *Env) ServeQueries(ctx context.Context, q Queries) error {
	subjects := make(map[string]string, len(q.Handlers))
	for subject := range q.Handlers {
		subjects[endpointName(subject)] = subject
	}
	answer := func(ctx context.Context, m micro.Request) (any, string, error) {
		if err := checkSize(m.Data()); err != nil {
			return nil, m.Subject(), err
		}
		reply, err := q.Handlers[m.Subject()](ctx, m.Data())
		return reply, m.Subject(), err
	}
	observe := func(query, outcome string, took time.Duration) {
		e.Metrics.queries.WithLabelValues(query, outcome).Inc()
		e.Metrics.querySeconds.WithLabelValues(query).Observe(took.Seconds())
	}
	return e.serve(ctx, &endpoints{name: q.Name, describe: "queries", subjects: subjects, metadata: q.Metadata, answer: answer, observe: observe})
}

// endpointName is the name under which "nats micro" shows a query:
// "orders-get" for query.orders.get.
func endpointName(subject string) string {
	return strings.ReplaceAll(strings.TrimPrefix(subject, "query."), ".", "-")
}
