package esjs

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errNoLeader is said of a stream by a server that is left of its cluster: it tells what the stream is, and nobody
// can read or write it.
var errNoLeader = errors.New("it has no leader")

// findStream asks what a stream is, until there is an answer of a stream that has a leader, or ctx ends.
// Errors: [ErrNoJetStream]; jetstream.ErrStreamNotFound and what else the server
// refuses; jetstream.ErrInvalidStreamName; what the connection says, and ctx's.
func (r *requester) findStream(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	if name == "" || strings.ContainsAny(name, ">*. /\\\t\r\n") {
		return nil, fmt.Errorf("esjs: look up stream %q: %w", name, jetstream.ErrInvalidStreamName)
	}
	return untilAnswered(ctx, name, func() (*jetstream.StreamInfo, error) {
		found, err := r.findStreamOnce(ctx, name)
		if isNoJetStream(err) {
			return nil, fmt.Errorf("%w: enable it on %s, for the account that connects", ErrNoJetStream, r.nc.ConnectedUrlRedacted())
		}
		if err != nil {
			return nil, fmt.Errorf("esjs: look up stream %s: %w", name, err)
		}
		if found.Cluster != nil && found.Cluster.Leader == "" {
			return nil, errNoLeader
		}
		return found, nil
	})
}

func (r *requester) findStreamOnce(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	reply, err := r.do(ctx, &nats.Msg{Subject: "$JS.API.STREAM.INFO." + name})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.StreamInfo
	}
	if err := stdjson.Unmarshal(reply.Data, &answer); err != nil { // the client's types are made for it
		return nil, &unreadableError{err}
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	return &answer.StreamInfo, nil
}

// unreadableError: the server said something that the client does not know, and would say it again.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string {
	return fmt.Sprintf("esjs: the server's answer cannot be read; is it newer than this program's NATS client? %v", e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

// isNoJetStream tells a server without JetStream, which answers in one of three
// ways, from other failures.
func isNoJetStream(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) ||
		errors.Is(err, nats.ErrNoResponders)
}

// findBucket is findStream for a KV bucket. It is an [ErrConfig] when there is none.
func (r *requester) findBucket(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	if err := checkBucketName(name); err != nil {
		return nil, err
	}
	found, err := r.findStream(ctx, bucket{name: name}.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w: there is no bucket %q: provision it first", ErrConfig, name)
	}
	return found, err
}

// CheckBucket refuses with [ErrConfig] a KV bucket that is not there, or that would forget or refuse what it is given, and
// names each setting that differs from what [ProvisionBucket] makes. Subscriptions, processes, snapshots and kvsink ask it;
// it is for a [Sink] of your own that keeps its rows in a bucket. It waits for an answer until ctx ends.
func (s *Store) CheckBucket(ctx context.Context, bucket string) error {
	return s.general.checkBucket(ctx, bucket)
}

// checkBucket refuses with [ErrConfig] a KV bucket that is not there, or not as [ProvisionBucket] makes it.
func (r *requester) checkBucket(ctx context.Context, name string) error {
	found, err := r.findBucket(ctx, name)
	if err != nil {
		return err
	}
	if diff := bucketDifference(found.Config); len(diff) > 0 {
		return fmt.Errorf("%w; see ProvisionBucket", configError(found.Config.Name, diff))
	}
	return nil
}

var bucketName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func checkBucketName(name string) error {
	if !bucketName.MatchString(name) {
		return fmt.Errorf("%w: the bucket name %q: allowed is [A-Za-z0-9_-]", ErrConfig, name)
	}
	return nil
}

// untilAnswered makes a request of the store's own, and again until ctx ends
// while a stream's leader neither answers nor refuses. [Answered] is the same for
// requests of the NATS client.
func untilAnswered[T any](ctx context.Context, stream string, request func() (T, error)) (T, error) {
	for wait := newPause(); ; {
		answer, err := request()
		if err == nil || errors.Is(err, errNoMessage) || errors.Is(err, ErrNoJetStream) || isRefusal(err) || permanent(err) {
			return answer, err
		}
		if err := wait.sleep(ctx); err != nil {
			return answer, fmt.Errorf("esjs: the leader of %s did not answer: %w", stream, err)
		}
	}
}
