package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A command that nobody waits for is published to cmdq.<category>.<key>.<verb>, with
// the body and the headers of a request. It is stored in COMMANDS until it was
// carried out, or parked in COMMANDS_PARKED with the reason why not.
const (
	queueStream  = "COMMANDS"
	parkedBucket = "COMMANDS_PARKED"
	queuePrefix  = "cmdq."

	// QueueLanes is how many commands of a category are carried out at once. All of a
	// key are in one lane, one after the other; see docs/adr/0032.
	QueueLanes = 4
	// queueBytes is room for some 100,000 commands. An operator may raise it; a full
	// queue refuses what is published.
	queueBytes = 64 << 20
	// queueAckWait is when a command whose service has gone is given to another one. It
	// is above requestTimeout and queueEnding, so that two services seldom carry out the
	// same command at the same time. They may all the same, where one was held up for longer
	// than its own clock told: what is promised is at least once, with one effect by the
	// command's id.
	queueAckWait = requestTimeout + 5*time.Second
)

// queueConfig is the stream. Its server puts the lane into the subject.
func queueConfig(replicas int, categories []string) jetstream.StreamConfig {
	if len(categories) == 0 {
		categories = []string{"*"}
	}
	var subjects []string
	for _, category := range categories {
		subjects = append(subjects, queuePrefix+category+".*.*")
	}
	return jetstream.StreamConfig{
		Name:        queueStream,
		Description: "commands that nobody waits for, until they were carried out or parked",
		Subjects:    subjects,
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      queuePrefix + "*.*.*",
			Destination: fmt.Sprintf("%s{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}", queuePrefix, QueueLanes),
		},
		Retention:  jetstream.WorkQueuePolicy,
		Discard:    jetstream.DiscardNew,
		Storage:    jetstream.FileStorage,
		Replicas:   replicas,
		MaxBytes:   queueBytes,
		MaxMsgSize: 2 * MaxBody,
	}
}

// ProvisionQueue creates what [Env.ServeCommands] takes queued commands from, for the
// categories; for none given it is every category. A command to another one is
// refused when it is published. It may be called again, also with more
// categories or replicas; 0 replicas are one of a new queue, and as many as one has that exists. It needs the right to create streams, which services do
// not need.
func ProvisionQueue(ctx context.Context, dial esjs.Dial, replicas int, categories ...string) error {
	nc, err := dial("provision")
	if err != nil {
		return fmt.Errorf("connect to provision: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	want := queueConfig(replicas, categories)
	if err := Answered(ctx, func(ctx context.Context) error { return provisionQueue(ctx, js, want) }); err != nil {
		return fmt.Errorf("stream %s: %w", queueStream, err)
	}
	return esjs.ProvisionBucket(ctx, dial, parkedBucket, replicas)
}

func provisionQueue(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, queueStream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		want.Replicas = cmp.Or(want.Replicas, 1)
		_, err = js.CreateStream(ctx, want)
	case err == nil:
		have := stream.CachedInfo().Config
		want.Replicas = cmp.Or(want.Replicas, have.Replicas)
		if !slices.Equal(have.Subjects, want.Subjects) || have.Replicas != want.Replicas {
			have.Subjects, have.Replicas = want.Subjects, want.Replicas
			_, err = js.UpdateStream(ctx, have)
		}
	}
	return err
}

// queue is the stream and the bucket of what is parked, on a connection of their own.
type queue struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	parked jetstream.KeyValue
}

func openQueue(ctx context.Context, nc *nats.Conn) (q queue, err error) {
	if q.js, err = jetstream.New(nc); err != nil {
		return q, err
	}
	err = Answered(ctx, func(ctx context.Context) (err error) {
		if q.stream, err = q.js.Stream(ctx, queueStream); err == nil {
			q.parked, err = q.js.KeyValue(ctx, parkedBucket)
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
		err = fmt.Errorf("%w: %w", esjs.ErrConfig, err)
	}
	if err != nil {
		return q, fmt.Errorf("queue of commands (stream %s, bucket %s): %w", queueStream, parkedBucket, err)
	}
	return q, nil
}

// lane returns the durable consumer of one lane of a category, and creates it when it
// is missing. It has one command under way: more would be given out in another
// order when a service fails, and after that nothing says which one was first.
func (q queue) lane(ctx context.Context, category string, number int) (lane jetstream.Consumer, err error) {
	err = Answered(ctx, func(ctx context.Context) error {
		lane, err = q.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable:       fmt.Sprintf("%s-%d", category, number),
			FilterSubject: fmt.Sprintf("%s%d.%s.>", queuePrefix, number, category),
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       queueAckWait,
			MaxAckPending: 1,
			MaxDeliver:    -1,
		})
		return err
	})
	return lane, err
}

// published is the subject that a stored command was sent to: without the lane.
func published(stored string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(stored, queuePrefix), ".")
	return queuePrefix + rest
}

// QueueStatus is what waits in the queue of commands, and what is parked.
type QueueStatus struct {
	Waiting map[string]uint64 `json:"waiting"` // by category; those under way are among them
	Parked  []ParkedCommand   `json:"parked"`  // by category and number
	Dropped []DroppedCommand  `json:"dropped"` // the last to be dropped comes last
}

// ReadQueue reads the queue, whether a service takes from it or not.
func ReadQueue(ctx context.Context, nc *nats.Conn) (QueueStatus, error) {
	q, err := openQueue(ctx, nc)
	if err != nil {
		return QueueStatus{}, err
	}
	status := QueueStatus{Waiting: map[string]uint64{}}
	var info *jetstream.StreamInfo
	err = Answered(ctx, func(ctx context.Context) error {
		info, err = q.stream.Info(ctx, jetstream.WithSubjectFilter(queuePrefix+">"))
		return err
	})
	if err != nil {
		return QueueStatus{}, fmt.Errorf("stream %s: %w", queueStream, err)
	}
	for subject, count := range info.State.Subjects {
		category, _, _ := strings.Cut(strings.TrimPrefix(published(subject), queuePrefix), ".")
		status.Waiting[category] += count
	}
	status.Parked, status.Dropped, err = q.allParked(ctx)
	return status, err
}
