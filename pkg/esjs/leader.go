package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leaderMessage reads one message of a stream from its leader, because a
// replica may be behind or damaged. It asks again until ctx ends while no
// leader answers; errNoMessage is the leader's word.
func (s *Store) leaderMessage(ctx context.Context, stream string, sequence uint64) (message, error) {
	return s.askLeader(ctx, stream, fmt.Appendf(nil, `{"seq":%d}`, sequence))
}

// leaderLast is leaderMessage for the last message of a subject.
func (s *Store) leaderLast(ctx context.Context, stream, subject string) (message, error) {
	return s.askLeader(ctx, stream, fmt.Appendf(nil, `{"last_by_subj":%q}`, subject))
}

func (s *Store) askLeader(ctx context.Context, stream string, request []byte) (message, error) {
	for wait := newPause(); ; {
		m, err := s.askLeaderOnce(ctx, stream, request)
		if err == nil || errors.Is(err, errNoMessage) || isRefusal(err) || permanent(err) {
			return m, err
		}
		if err := wait.sleep(ctx); err != nil {
			return message{}, fmt.Errorf("esjs: the leader of %s did not answer: %w", stream, err)
		}
	}
}

// askLeaderOnce asks STREAM.MSG.GET, which only the stream's leader answers.
func (s *Store) askLeaderOnce(ctx context.Context, stream string, request []byte) (message, error) {
	reply, err := s.reader().do(ctx, &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + stream, Data: request})
	if err != nil {
		return message{}, fmt.Errorf("esjs: read %s: %w", stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return message{}, fmt.Errorf("esjs: read %s: %w", stream, err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return message{}, errNoMessage
		}
		return message{}, fmt.Errorf("%w: read %s: %w", ErrRefused, stream, answer.Error)
	}
	m := answer.Message
	out := message{subject: m.Subject, sequence: m.Sequence, stored: m.Time, data: m.Data}
	if len(m.Header) > 0 {
		if out.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return message{}, fmt.Errorf("esjs: read %s: %w", stream, err)
		}
	}
	return out, nil
}

// lastSequence and firstSequence ask the stream's leader for its ends.
func (s *Store) lastSequence(ctx context.Context, stream string) (uint64, error) {
	state, err := s.streamState(ctx, stream)
	return state.LastSeq, err
}

func (s *Store) firstSequence(ctx context.Context, stream string) (uint64, error) {
	state, err := s.streamState(ctx, stream)
	return state.FirstSeq, err
}

func (s *Store) streamState(ctx context.Context, stream string) (jetstream.StreamState, error) {
	js, err := jetstream.New(s.Conn())
	if err != nil {
		return jetstream.StreamState{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, consumerAPIWait)
	defer cancel()
	found, err := js.Stream(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("esjs: look up stream %s: %w", stream, err)
	}
	return found.CachedInfo().State, nil
}
