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
	"github.com/nats-io/nats.go/micro"
)

// Client is the other end of [Env.ServeCommands] and [Env.ServeQueries]: it
// sends commands and queries and reads their answers. Safe for concurrent use.
type Client struct{ Conn *nats.Conn }

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
		HeaderTraceParent:   cmd.TraceParent,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if cmd.ExpectedVersion != nil {
		header.Set(HeaderExpectedVersion, strconv.FormatUint(*cmd.ExpectedVersion, 10))
	}
	return c.request(ctx, "cmd."+cmd.Category+"."+key+"."+cmd.Verb, header, cmd.Body)
}

// Ask sends a query and returns the JSON of its answer. Errors are as for [Client.Send].
func (c Client) Ask(ctx context.Context, subject string, body []byte) ([]byte, error) {
	return c.request(ctx, subject, nil, body)
}

func (c Client) request(ctx context.Context, subject string, header nats.Header, body []byte) ([]byte, error) {
	if err := checkSize(body); err != nil {
		return nil, asProblem(err)
	}
	msg, err := c.Conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: header, Data: body})
	if err != nil {
		return nil, asProblem(fmt.Errorf("request to %s: %w", subject, err))
	}
	code := msg.Header.Get(micro.ErrorHeader)
	if code == "" {
		return msg.Data, nil
	}
	var p Problem
	if err := json.Unmarshal(msg.Data, &p); err != nil || p.Code == "" {
		return nil, errors.Join(fmt.Errorf("%s answers the error %s without a problem", subject, clip(strconv.Quote(code))), err)
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
