package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// Client is the other end of [Env.ServeCommands] and [Env.ServeQueries]: it
// sends commands and queries and reads their answers. Safe for concurrent use.
type Client struct {
	Conn *nats.Conn
	// TraceParent returns the trace context that goes with a request; see
	// [esjs.Store.TraceParent]. Nil: none goes with it.
	TraceParent func(context.Context) string
}

// maxVerb bounds a verb, in bytes: a subject that is too long makes the server
// close the connection.
const maxVerb = 64

// Send sends a command and returns the JSON of its [Reply].
//
// An error is a *[Problem]: what the service answered; what is wrong with the
// command itself, which is then not sent ("bad_key", "unknown_verb",
// "body_too_large"); "not_running" when nobody answers such a command; or
// "timeout" when ctx ends first, and then it may have been carried out: sending
// it again with the same ID is safe.
func (c Client) Send(ctx context.Context, cmd Command) ([]byte, error) {
	msg, err := c.message("cmd.", cmd)
	if err != nil {
		return nil, err
	}
	return c.request(ctx, msg)
}

// Enqueue stores a command in the queue, from which it is carried out when its service
// runs, and returns its number there. Nobody answers; see [ParkedCommand] for what
// becomes of one that is refused. Queued again with the same ID it has one effect.
//
// Errors are as for [Client.Send], and "no_queue" when there is none for the
// category; with one, it is not queued, or not known to be after a "timeout".
func (c Client) Enqueue(ctx context.Context, cmd Command) (number uint64, err error) {
	msg, err := c.message(queuePrefix, cmd)
	if err != nil {
		return 0, err
	}
	if err := c.complete(ctx, msg); err != nil {
		return 0, err
	}
	if cmd.ID != "" {
		// Not the id alone: another command with the same one is to be refused, and not lost.
		msg.Header.Set(jetstream.MsgIDHeader, strings.Join([]string{cmd.Category, cmd.Key, cmd.ID, esjs.CommandHash(cmd.Verb, cmd.Body)}, "/"))
	}
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return 0, err
	}
	var ack *jetstream.PubAck
	publish := func(ctx context.Context) error {
		ack, err = js.PublishMsg(ctx, msg)
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			return asProblem(err) // which is known at once, and final: there may be no such queue
		}
		return err
	}
	if cmd.ID == "" { // it cannot be told from itself
		err = publish(ctx)
	} else {
		err = Answered(ctx, publish)
	}
	if err != nil {
		return 0, asProblem(fmt.Errorf("queue %s: %w", msg.Subject, err))
	}
	return ack.Sequence, nil
}

// message is a command as it is sent.
func (c Client) message(prefix string, cmd Command) (*nats.Msg, error) {
	key, err := esjs.EscapeKey(cmd.Key)
	if err != nil {
		return nil, asProblem(badRequest("bad_key", "%v", err))
	}
	if !isVerb(cmd.Verb) {
		return nil, asProblem(&esjs.Rejection{
			Code:    "unknown_verb",
			Message: fmt.Sprintf("%s has no command %s", cmd.Category, clip(strconv.Quote(cmd.Verb))),
			Status:  http.StatusNotFound,
		})
	}
	header := nats.Header{}
	for name, value := range map[string]string{
		HeaderCommandID:     cmd.ID,
		HeaderCorrelationID: cmd.CorrelationID,
		HeaderActor:         cmd.Actor,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if cmd.ExpectedVersion != nil {
		header.Set(HeaderExpectedVersion, strconv.FormatUint(*cmd.ExpectedVersion, 10))
	}
	return &nats.Msg{Subject: prefix + cmd.Category + "." + key + "." + cmd.Verb, Header: header, Data: cmd.Body}, nil
}

// Ask sends a query and returns the JSON of its answer. Errors are as for [Client.Send].
func (c Client) Ask(ctx context.Context, subject string, body []byte) ([]byte, error) {
	return c.request(ctx, &nats.Msg{Subject: subject, Header: nats.Header{}, Data: body})
}

// complete checks a message's body and adds the trace that it belongs to.
func (c Client) complete(ctx context.Context, msg *nats.Msg) error {
	if err := checkSize(msg.Data); err != nil {
		return asProblem(err)
	}
	if c.TraceParent != nil {
		if traceParent := c.TraceParent(ctx); traceParent != "" {
			msg.Header.Set(HeaderTraceParent, traceParent)
		}
	}
	return nil
}

func (c Client) request(ctx context.Context, request *nats.Msg) ([]byte, error) {
	if err := c.complete(ctx, request); err != nil {
		return nil, err
	}
	msg, err := c.Conn.RequestMsgWithContext(ctx, request)
	if err != nil {
		return nil, asProblem(fmt.Errorf("request to %s: %w", request.Subject, err))
	}
	code := msg.Header.Get(micro.ErrorHeader)
	if code == "" {
		return msg.Data, nil
	}
	var p Problem
	if err := json.Unmarshal(msg.Data, &p); err != nil || p.Code == "" {
		return nil, errors.Join(fmt.Errorf("%s answers the error %s without a problem", request.Subject, clip(strconv.Quote(code))), err)
	}
	return nil, &p
}

// asProblem says by the table of errors what err means. What the table does not
// know stays as it is, for a log.
func asProblem(err error) error {
	if p, _ := ProblemOf(err); p.Code != codeInternal {
		return p
	}
	return err
}

// isVerb accepts one token of a subject that can be a verb: [a-z0-9-].
func isVerb(s string) bool {
	return s != "" && len(s) <= maxVerb && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
