package main

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// client sends commands and queries as values, and reads what they answer. It
// is safe for concurrent use.
type client struct{ nc *nats.Conn }

// reply is what a command answers; State is as the service shows it.
type reply struct {
	Version  uint64         `json:"version"`
	Revision string         `json:"revision"`
	EventIDs []string       `json:"event_ids"`
	State    jsontext.Value `json:"state"`
}

// commandOptions are the headers of a command; the zero value is a command with
// a new id and without expectations.
type commandOptions struct {
	id       string
	expected *uint64
	actor    string
}

// command sends one command; its errors are those of [service.Client.Send]. It
// always carries a Command-Id.
func (c client) command(ctx context.Context, id esjs.StreamID, verb string, body any, opts commandOptions) (reply, error) {
	cmd, err := opts.command(id, verb, body)
	if err != nil {
		return reply{}, err
	}
	answer, err := service.Client{Conn: c.nc}.Send(ctx, cmd)
	if err != nil {
		return reply{}, err
	}
	var r reply
	return r, read(answer, &r)
}

// queued is a command that was queued.
type queued struct {
	Number    uint64 `json:"number"` // in the queue
	Category  string `json:"category"`
	Key       string `json:"key"`
	Verb      string `json:"verb"`
	CommandID string `json:"command_id"`
}

// enqueue queues one command; its errors are those of [service.Client.Enqueue].
func (c client) enqueue(ctx context.Context, id esjs.StreamID, verb string, body any, opts commandOptions) (queued, error) {
	cmd, err := opts.command(id, verb, body)
	if err != nil {
		return queued{}, err
	}
	number, err := service.Client{Conn: c.nc}.Enqueue(ctx, cmd)
	return queued{Number: number, Category: cmd.Category, Key: cmd.Key, Verb: verb, CommandID: cmd.ID}, err
}

// command is a command with the options, and a new id when they have none.
func (o commandOptions) command(id esjs.StreamID, verb string, body any) (service.Command, error) {
	if o.id == "" {
		o.id = uuid.NewString()
	}
	data, err := json.Marshal(body, json.Deterministic(true))
	return service.Command{
		Category: id.Category, Key: id.Key, Verb: verb, Body: data,
		ID: o.id, ExpectedVersion: o.expected, Actor: o.actor,
	}, err
}

// query asks a read model; its errors are those of [service.Client.Ask].
func (c client) query(ctx context.Context, subject string, body, answer any) error {
	request, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return err
	}
	data, err := service.Client{Conn: c.nc}.Ask(ctx, subject, request)
	if err != nil {
		return err
	}
	return read(data, answer)
}

func read(data []byte, answer any) error {
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the answer is not understood: %w", err)
	}
	return nil
}
