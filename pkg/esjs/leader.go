package esjs

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leaderMessage reads one message of a stream from its leader, because a
// replica may be behind or damaged. It asks again until ctx ends while no
// leader answers; errNoMessage is the leader's word.
func (s *Store) leaderMessage(ctx context.Context, stream string, sequence uint64) (message, error) {
	return s.askLeader(ctx, stream, bySequence(sequence))
}

// leaderLast is leaderMessage for the last message of a subject.
func (s *Store) leaderLast(ctx context.Context, stream, subject string) (message, error) {
	return s.askLeader(ctx, stream, lastOf(subject))
}

// leaderNext is leaderMessage for the first message after a sequence.
func (s *Store) leaderNext(ctx context.Context, stream string, after uint64) (message, error) {
	return s.askLeader(ctx, stream, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, after+1))
}

func bySequence(sequence uint64) []byte { return fmt.Appendf(nil, `{"seq":%d}`, sequence) }

func lastOf(subject string) []byte { return fmt.Appendf(nil, `{"last_by_subj":%q}`, subject) }

func (s *Store) askLeader(ctx context.Context, stream string, request []byte) (message, error) {
	return untilAnswered(ctx, stream, func() (message, error) { return s.askLeaderOn(ctx, s.reader(), stream, request) })
}

// askLeaderOn asks STREAM.MSG.GET once, which only who leads the stream answers, or takes itself for the leader.
func (s *Store) askLeaderOn(ctx context.Context, on *requester, stream string, request []byte) (message, error) {
	reply, err := on.do(ctx, leaderRequest(stream, request))
	if err != nil {
		return message{}, fmt.Errorf("esjs: read %s: %w", stream, err)
	}
	return leaderAnswer(stream, reply)
}

func leaderRequest(stream string, request []byte) *nats.Msg {
	return &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + stream, Data: request}
}

// leaderAnswer reads the answer to a leaderRequest; errNoMessage when the leader
// does not have the message.
func leaderAnswer(stream string, reply *nats.Msg) (message, error) {
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
		var err error
		if out.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return message{}, fmt.Errorf("esjs: read %s: %w", stream, err)
		}
	}
	return out, nil
}

// lastSequence asks the stream's leader for its end.
func (s *Store) lastSequence(ctx context.Context, stream string) (uint64, error) {
	state, err := s.streamState(ctx, stream)
	return state.LastSeq, err
}

func (s *Store) streamState(ctx context.Context, stream string) (jetstream.StreamState, error) {
	info, err := s.streamInfo(ctx, stream)
	return info.State, err
}

// streamInfo is what a stream's leader says of it.
type streamInfo struct {
	Error   *jetstream.APIError   `json:"error"`
	Total   int                   `json:"total"` // subjects that are selected
	State   jetstream.StreamState `json:"state"`
	Cluster struct {
		Leader   string `json:"leader"` // also of a single server
		Replicas []struct {
			Name    string `json:"name"`
			Active  int64  `json:"active"` // nanoseconds since the leader heard of it
			Offline bool   `json:"offline"`
		} `json:"replicas"` // the others
	} `json:"cluster"`
}

// notAsked stands for a leader that may not be asked who it is: it is believed.
const notAsked = "a leader that may not be asked"

// leading names who answers as a stream's leader, if it has lately heard of most of
// its replicas: what one says that has not may be old. Otherwise "".
func (s *Store) leading(ctx context.Context, stream string) string {
	info, err := s.streamInfoOnce(ctx, stream, nil, answerTimeout)
	if err != nil {
		if permanent(err) && ctx.Err() == nil || isRefusal(err) {
			return notAsked
		}
		return ""
	}
	heard := 1 // the leader itself
	for _, replica := range info.Cluster.Replicas {
		if !replica.Offline && time.Duration(replica.Active) < heardWithin {
			heard++
		}
	}
	if heard <= (1+len(info.Cluster.Replicas))/2 {
		return ""
	}
	return info.Cluster.Leader
}

// led tells that one leader, which leads indeed, was there before and after ask: then it is who
// answered what was asked on the connection that ask is given. On another one it may have been
// another server, at another side of a network that is cut.
func (s *Store) led(ctx context.Context, stream string, ask func(on *requester)) bool {
	leader := s.leading(ctx, stream)
	ask(s.general)
	return leader != "" && s.leading(ctx, stream) == leader
}

// surely asks the leader for a message that is not expected to be before the sequence from.
// What is before it, or that there is none, is believed of a leader that leads indeed, where nothing
// better has come for as long as patience lasts: the caller compares. It asks until ctx ends.
func (s *Store) surely(ctx context.Context, stream string, request []byte, from uint64, patience time.Duration) (m message, err error) {
	end := time.Now().Add(patience)
	for wait := newPause(); ; {
		m, err = s.askLeader(ctx, stream, request)
		if m.sequence >= from || err != nil && !isGone(m, err) {
			return m, err
		}
		if time.Now().After(end) {
			led := s.led(ctx, stream, func(on *requester) { m, err = s.askLeaderOn(ctx, on, stream, request) })
			if (led || m.sequence >= from) && (err == nil || isGone(m, err)) {
				return m, err
			}
		}
		if err := wait.sleep(ctx); err != nil {
			return message{}, err
		}
	}
}

// noDoubt lets surely believe only a leader that leads indeed, whatever it says.
const noDoubt = math.MaxUint64

// knownMessage is leaderMessage for one that is known to be there: errNoMessage is the
// word of a leader that leads indeed, and that did not have it for so long.
func (s *Store) knownMessage(ctx context.Context, stream string, sequence uint64, patience time.Duration) (message, error) {
	return s.surely(ctx, stream, bySequence(sequence), sequence, patience)
}

// listTimeout bounds one attempt to ask for a stream's state together with a
// list of subjects: the server took 1.4 s for 100,000 of a million.
const listTimeout = 30 * time.Second

// streamInfo asks STREAM.INFO, again until ctx ends while no leader answers.
func (s *Store) streamInfo(ctx context.Context, stream string) (streamInfo, error) {
	return untilAnswered(ctx, stream, func() (streamInfo, error) { return s.streamInfoOnce(ctx, stream, nil, answerTimeout) })
}

// subjectsInfo is streamInfo with a page of the subjects that a filter selects.
func (s *Store) subjectsInfo(ctx context.Context, stream, filter string, offset int) (streamInfo, error) {
	request := fmt.Appendf(nil, `{"subjects_filter":%q,"offset":%d}`, filter, offset)
	timeout := answerTimeout
	if strings.ContainsAny(filter, "*>") {
		timeout = listTimeout
	}
	return untilAnswered(ctx, stream, func() (streamInfo, error) { return s.streamInfoOnce(ctx, stream, request, timeout) })
}

func (s *Store) streamInfoOnce(ctx context.Context, stream string, request []byte, timeout time.Duration) (streamInfo, error) {
	var info streamInfo
	reply, err := s.general.doWithin(ctx, &nats.Msg{Subject: "$JS.API.STREAM.INFO." + stream, Data: request}, timeout)
	if err == nil {
		err = json.Unmarshal(reply.Data, &info)
	}
	if err == nil && info.Error != nil {
		err = info.Error
	}
	if err != nil {
		return streamInfo{}, fmt.Errorf("esjs: look up stream %s: %w", stream, err)
	}
	return info, nil
}
