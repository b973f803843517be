package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// client sends commands and queries. It is safe for concurrent use.
type client struct{ nc *nats.Conn }

// reply is what a command answers; State is as the service shows it.
type reply struct {
	Version  uint64         `json:"version"`
	Revision string         `json:"revision"`
	EventIDs []string       `json:"event_ids"`
	State    jsontext.Value `json:"state"`
}

// commandOptions are the headers of a command; the zero value is a command of
// its own id and without expectations.
type commandOptions struct {
	id       string
	expected *uint64
	actor    string
}

// command sends one command. Its error is a *[service.Problem] when the service
// refused, when there is none ("not_running") or when no answer came in time
// ("timeout"). It always carries a Command-Id.
func (c client) command(ctx context.Context, id esjs.StreamID, verb string, body any, opts commandOptions) (reply, error) {
	key, err := esjs.EscapeKey(id.Key)
	if err != nil {
		return reply{}, usageError("%q cannot be the id of a %s: %w", id.Key, id.Category, err)
	}
	if opts.id == "" {
		opts.id = uuid.NewString()
	}
	header := nats.Header{service.HeaderCommandID: {opts.id}}
	if opts.expected != nil {
		header.Set(service.HeaderExpectedVersion, strconv.FormatUint(*opts.expected, 10))
	}
	if opts.actor != "" {
		header.Set(service.HeaderActor, opts.actor)
	}
	var r reply
	return r, c.request(ctx, "cmd."+id.Category+"."+key+"."+verb, header, body, &r)
}

// query asks a read model; errors are as for [client.command].
func (c client) query(ctx context.Context, subject string, body, answer any) error {
	return c.request(ctx, subject, nil, body, answer)
}

func (c client) request(ctx context.Context, subject string, header nats.Header, body, answer any) error {
	data, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return err
	}
	msg, err := c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
	if err != nil {
		return answered(fmt.Errorf("%s: %w", subject, err))
	}
	if msg.Header.Get(micro.ErrorCodeHeader) != "" {
		p := &service.Problem{}
		if err := json.Unmarshal(msg.Data, p); err != nil {
			return errors.Join(fmt.Errorf("%s answers an error that is not a problem: %s", subject, msg.Header.Get(micro.ErrorHeader)), err)
		}
		return p
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("%s answers what is not understood: %w", subject, err)
	}
	return nil
}

// answered turns the errors that everybody meets, nobody there and no answer in
// time, into the sentences that the table of errors has for them.
func answered(err error) error {
	if p, _ := service.ProblemOf(err); p.Code != "internal" {
		return p
	}
	return err
}
