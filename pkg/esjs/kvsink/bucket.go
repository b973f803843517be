package kvsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// leaderPatience is how long a bucket may be without a leader, which then has
	// nobody to answer, before that is an error: longer than an election.
	leaderPatience = 15 * time.Second
	// writeAttempts of one entry: a cluster now and then refuses a write as a
	// conflict although nobody else has written.
	writeAttempts = 4
)

// bucket reads and writes entries where it matters who was first: from the
// leader, and guarded by a revision.
type bucket struct {
	nc   *nats.Conn
	name string
}

// apiAnswer is the server's answer to a read or a write of one message.
type apiAnswer struct {
	Error    *jetstream.APIError `json:"error"`
	Sequence uint64              `json:"seq"` // of a write
	Message  struct {
		Sequence uint64 `json:"seq"`
		Header   []byte `json:"hdrs"`
		Data     []byte `json:"data"`
	} `json:"message"`
}

// ask makes a request, and again while nobody answers it. All of them can be repeated:
// a write that was stored before is refused then, and settled by reading.
func (b bucket) ask(ctx context.Context, msg *nats.Msg) (apiAnswer, error) {
	limited, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	var answer apiAnswer
	before := b.nc.LastError()
	reply, err := esjs.Answered(limited, func(ctx context.Context) (*nats.Msg, error) { return b.nc.RequestMsgWithContext(ctx, msg) })
	switch {
	case err == nil:
		err = json.Unmarshal(reply.Data, &answer)
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case errors.Is(err, nats.ErrMaxPayload):
		return answer, fmt.Errorf("%w: an entry of bucket %s", esjs.ErrTooLarge, b.name)
	}
	// A server does not answer who may not ask: it tells the connection.
	if denied := b.nc.LastError(); err != nil && !errors.Is(denied, before) && errors.Is(denied, nats.ErrPermissionViolation) && strings.Contains(denied.Error(), strconv.Quote(msg.Subject)) {
		return answer, fmt.Errorf("%w: bucket %s: %w", esjs.ErrRefused, b.name, denied)
	}
	if err != nil {
		return answer, fmt.Errorf("%w: bucket %s: %w", esjs.ErrUnavailable, b.name, err)
	}
	return answer, nil
}

// get returns an entry's value and revision as the leader has them; no value,
// and the revision to write at, when there is none.
func (b bucket) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	request := nats.NewMsg("$JS.API.STREAM.MSG.GET.KV_" + b.name)
	request.Data = fmt.Appendf(nil, `{"last_by_subj":%q}`, b.subject(key))
	answer, err := b.ask(ctx, request)
	switch {
	case err != nil:
		return nil, 0, err
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, nil
	case answer.Error != nil:
		return nil, 0, b.refusal(answer.Error)
	}
	m := answer.Message
	if bytes.Contains(m.Header, []byte("KV-Operation")) || bytes.Contains(m.Header, []byte("Nats-Marker-Reason")) {
		return nil, m.Sequence, nil // deleted
	}
	return m.Data, m.Sequence, nil
}

// purge removes the entries of a pattern without a trace, all at once.
func (b bucket) purge(ctx context.Context, pattern string) error {
	request := nats.NewMsg("$JS.API.STREAM.PURGE.KV_" + b.name)
	request.Data = fmt.Appendf(nil, `{"filter":%q}`, b.subject(pattern))
	answer, err := b.ask(ctx, request)
	if err == nil && answer.Error != nil {
		err = b.refusal(answer.Error)
	}
	return err
}

func (b bucket) subject(key string) string { return "$KV." + b.name + "." + key }

// putJSON writes an entry that must be at revision, 0 for none, and returns its
// new revision. Every answer but an ack is settled by reading the entry back.
// Errors: [esjs.ErrConflict], [esjs.ErrUnavailable], [esjs.ErrTooLarge], [esjs.ErrConfig]
// where there is no bucket, [esjs.ErrRefused] where a right is missing, ctx's error.
func (b bucket) putJSON(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	data, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return 0, fmt.Errorf("entry %s of bucket %s: %w", key, b.name, err)
	}
	for attempt := 1; ; attempt++ {
		msg := nats.NewMsg(b.subject(key))
		msg.Data = data
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
		answer, err := b.ask(ctx, msg)
		switch {
		case err == nil && answer.Error == nil && answer.Sequence > 0:
			return answer.Sequence, nil
		case err == nil && answer.Error != nil && !isConflict(answer.Error):
			err = b.refusal(answer.Error)
		}
		if err != nil && !errors.Is(err, esjs.ErrUnavailable) {
			return 0, err
		}
		stored, now, readErr := b.get(ctx, key)
		switch {
		case readErr != nil:
			return 0, readErr
		case now > revision && bytes.Equal(stored, data):
			return now, nil
		case now > revision:
			return 0, fmt.Errorf("%w: the entry %s of bucket %s was written by another instance", esjs.ErrConflict, key, b.name)
		case err != nil:
			return 0, err
		case attempt == writeAttempts:
			return 0, fmt.Errorf("%w: the entry %s of bucket %s is refused as a conflict and unchanged", esjs.ErrUnavailable, key, b.name)
		}
		// At the revision, or behind it where a leader that is cut off answers: not decided yet.
	}
}

// isConflict tells the codes that are settled by the entry.
func isConflict(e *jetstream.APIError) bool {
	const wrongLastSequenceConstant = 10164
	return e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || e.ErrorCode == wrongLastSequenceConstant
}

// refusal is what the server says as an error. What it says of an entry that is
// too large is the entry's fault, and a bucket that is not there has to be provisioned;
// everything else passes with time or with an operator's help.
func (b bucket) refusal(e *jetstream.APIError) error {
	const messageTooLarge = 10054
	switch e.ErrorCode {
	case messageTooLarge:
		return fmt.Errorf("%w: an entry of bucket %s: %w", esjs.ErrTooLarge, b.name, e)
	case jetstream.JSErrCodeStreamNotFound:
		return fmt.Errorf("%w: there is no bucket %q: provision it first", esjs.ErrConfig, b.name)
	}
	return fmt.Errorf("%w: bucket %s: %w", esjs.ErrUnavailable, b.name, e)
}
