package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ParkedCommand is a queued command that was not carried out, and why: it was refused,
// or is no command, or failed each time. It changed nothing, and those behind it went
// on. It stays until somebody releases or drops it.
type ParkedCommand struct {
	Number   uint64              `json:"number"` // that it had in the queue
	Category string              `json:"category"`
	Subject  string              `json:"subject"` // that it was published to
	Header   map[string][]string `json:"header,omitzero"`
	Body     []byte              `json:"body"` // as it came, whatever it is
	Status   int                 `json:"status"`
	Code     string              `json:"code"`
	Detail   string              `json:"detail"`
	Tries    uint64              `json:"tries"`
	QueuedAt time.Time           `json:"queued_at"`
	ParkedAt time.Time           `json:"parked_at"`
}

// DroppedCommand is a parked command that somebody gave up. It is kept for a while, so that
// it can be seen who did and why, and so that it is not carried out when it comes again.
type DroppedCommand struct {
	ParkedCommand `json:",inline"`
	By            string    `json:"by"`
	Reason        string    `json:"reason"`
	DroppedAt     time.Time `json:"dropped_at"`
}

// droppedStays is how long a dropped command is kept.
const droppedStays = 90 * 24 * time.Hour

func newParked(category string, msg jetstream.Msg, meta *jetstream.MsgMetadata, p *Problem) ParkedCommand {
	return ParkedCommand{
		Number:   meta.Sequence.Stream,
		Category: category,
		Subject:  published(msg.Subject()),
		Header:   queuedHeader(msg.Headers(), meta),
		Body:     msg.Data(),
		Status:   p.Status,
		Code:     p.Code,
		Detail:   p.Detail,
		Tries:    meta.NumDelivered,
		QueuedAt: meta.Timestamp.UTC(),
		ParkedAt: time.Now().UTC(),
	}
}

func parkedKey(category string, number uint64) string { return fmt.Sprintf("%s.%d", category, number) }

const droppedPrefix = "dropped."

// droppedKey is unlike that of a command of the same number in another stream.
func droppedKey(category string, number uint64, queuedAt time.Time) string {
	return fmt.Sprintf("%s%s.%d", droppedPrefix, parkedKey(category, number), queuedAt.UnixNano())
}

// park keeps a command. It never takes the place of another one: a stream that took the place
// of another counts anew, and then a command waits until somebody has decided about the
// one that was parked under its number.
func (q queue) park(ctx context.Context, p ParkedCommand) error {
	value, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return err
	}
	key := parkedKey(p.Category, p.Number)
	err = Answered(ctx, func(ctx context.Context) error {
		_, err := q.parked.Create(ctx, key, value)
		return err
	})
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	// It may be this one, of an earlier try whose answer was lost.
	other, _, err := q.findParked(ctx, key)
	if err == nil && !other.QueuedAt.Equal(p.QueuedAt) {
		err = fmt.Errorf("another command, which was queued at %s, is parked as %s; release or drop that one first", other.QueuedAt.Format(time.RFC3339), key)
	}
	return err
}

// isDecided tells that the command of a message has its outcome already: it is parked, or
// was dropped after that.
func (q queue) isDecided(ctx context.Context, category string, meta *jetstream.MsgMetadata) (bool, error) {
	p, _, err := q.findParked(ctx, parkedKey(category, meta.Sequence.Stream))
	if err == nil && p.QueuedAt.Equal(meta.Timestamp) {
		return true, nil
	}
	if err != nil && !errors.Is(err, esjs.ErrNotFound) {
		return false, err
	}
	_, err = q.get(ctx, droppedKey(category, meta.Sequence.Stream, meta.Timestamp))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// get reads an entry of the bucket.
func (q queue) get(ctx context.Context, key string) (entry jetstream.KeyValueEntry, err error) {
	err = Answered(ctx, func(ctx context.Context) error {
		entry, err = q.parked.Get(ctx, key)
		return err
	})
	return entry, err
}

func (q queue) findParked(ctx context.Context, key string) (p ParkedCommand, revision uint64, err error) {
	entry, err := q.get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return p, 0, fmt.Errorf("%w: no command is parked as %s", esjs.ErrNotFound, key)
	}
	if err != nil {
		return p, 0, fmt.Errorf("bucket %s: %w", parkedBucket, err)
	}
	if err := json.Unmarshal(entry.Value(), &p); err != nil {
		return p, 0, fmt.Errorf("bucket %s: %s: %w", parkedBucket, key, err)
	}
	return p, entry.Revision(), nil
}

// parkedKeys lists the keys of all that is parked or was dropped.
func (q queue) parkedKeys(ctx context.Context) (all []string, err error) {
	err = Answered(ctx, func(ctx context.Context) error {
		keys, err := q.parked.ListKeys(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = keys.Stop() }() // of a watcher that has told all
		all = nil
		for key := range keys.Keys() {
			all = append(all, key)
		}
		return ctx.Err() // then the list ended early, and did not say so
	})
	return all, err
}

func (q queue) allParked(ctx context.Context) (parked []ParkedCommand, dropped []DroppedCommand, err error) {
	parked, dropped = []ParkedCommand{}, []DroppedCommand{}
	keys, err := q.parkedKeys(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("bucket %s: %w", parkedBucket, err)
	}
	for _, key := range keys {
		entry, err := q.get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // released meanwhile
		}
		if err != nil {
			return nil, nil, fmt.Errorf("bucket %s: %w", parkedBucket, err)
		}
		var d DroppedCommand // which is a parked one, and more
		if err := json.Unmarshal(entry.Value(), &d); err != nil {
			return nil, nil, fmt.Errorf("bucket %s: %s: %w", parkedBucket, key, err)
		}
		if strings.HasPrefix(key, droppedPrefix) {
			dropped = append(dropped, d)
		} else {
			parked = append(parked, d.ParkedCommand)
		}
	}
	slices.SortFunc(parked, func(a, b ParkedCommand) int {
		return cmp.Or(strings.Compare(a.Category, b.Category), cmp.Compare(a.Number, b.Number))
	})
	slices.SortFunc(dropped, func(a, b DroppedCommand) int {
		return cmp.Or(a.DroppedAt.Compare(b.DroppedAt), strings.Compare(a.Category, b.Category), cmp.Compare(a.Number, b.Number))
	})
	return parked, dropped, nil
}

// serveParked answers cmd.queue.<category>.<number>.<verb>, what operators do about
// parked commands: "release" queues one again, behind what is there, and "drop" gives it
// up. Both take a reason and an Actor: of a release the log keeps them, of a drop
// [DroppedCommand] does.
func (e *Env) serveParked(ctx context.Context, t taker) error {
	category := "queue." + t.commands.Category
	return e.serveCommands(ctx, t.commands.Category+"-queue", "parked commands of "+t.commands.Category, Commands{Category: category, Verbs: map[string]Answer{
		"release": t.decide("released", t.release),
		"drop":    t.decide("dropped", t.drop),
	}})
}

// decide ends the parking of a command after something was done about it. When that is
// interrupted in between, the command is still parked, and to release it again
// queues the same command.
func (t taker) decide(decision string, do func(context.Context, DroppedCommand) error) Answer {
	return func(ctx context.Context, request Command) (Reply, error) {
		var body struct {
			Reason string `json:"reason" required:"that says why, and is kept"`
		}
		if err := request.Decode(&body); err != nil {
			return Reply{}, err
		}
		actor, err := request.Decider()
		if err != nil {
			return Reply{}, err
		}
		number, err := strconv.ParseUint(request.Key, 10, 64)
		if err != nil {
			return Reply{}, badRequest("bad_key", "%s is not the number of a parked command", clip(strconv.Quote(request.Key)))
		}
		key := parkedKey(t.commands.Category, number)
		p, revision, err := t.findParked(ctx, key)
		if err != nil {
			return Reply{}, err
		}
		if err := do(ctx, DroppedCommand{ParkedCommand: p, By: actor, Reason: clip(body.Reason), DroppedAt: time.Now().UTC()}); err != nil {
			return Reply{}, err
		}
		if err := t.unpark(ctx, key, revision); err != nil {
			return Reply{}, err
		}
		t.env.Log.Info().Str("command", key).Str("subject", clip(p.Subject)).Str("code", p.Code).
			Str("actor", actor).Str("reason", clip(body.Reason)).Msg("a parked command was " + decision)
		return Reply{EventIDs: []string{}, State: p}, nil
	}
}

// drop keeps who gave a command up, and why. A first decision stays when it is made again.
func (t taker) drop(ctx context.Context, d DroppedCommand) error {
	value, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return err
	}
	err = Answered(ctx, func(ctx context.Context) error {
		_, err := t.parked.Create(ctx, droppedKey(d.Category, d.Number, d.QueuedAt), value, jetstream.KeyTTL(droppedStays))
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	return err
}

// release queues a parked command again, under the same Command-Id.
func (t taker) release(ctx context.Context, p DroppedCommand) error {
	msg := &nats.Msg{Subject: p.Subject, Header: nats.Header{}, Data: p.Body}
	for name, values := range p.Header {
		msg.Header[name] = values
	}
	msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("release:%s:%d", parkedKey(p.Category, p.Number), p.ParkedAt.UnixNano()))
	return Answered(ctx, func(ctx context.Context) error { // the message's id makes it one
		_, err := t.js.PublishMsg(ctx, msg)
		return err
	})
}

// unpark removes a parked command, unless somebody else has decided about it.
func (q queue) unpark(ctx context.Context, key string, revision uint64) error {
	again := false
	err := Answered(ctx, func(ctx context.Context) error {
		err := q.parked.Delete(ctx, key, jetstream.LastRevision(revision))
		if again && errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			if _, err := q.parked.Get(ctx, key); errors.Is(err, jetstream.ErrKeyNotFound) {
				return nil // the try before, whose answer was lost
			}
		}
		again = true
		return err
	})
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return &esjs.Rejection{Code: "conflict", Message: "somebody else decided about " + key + " at the same time: " + err.Error(), Status: http.StatusConflict}
	}
	return err
}
