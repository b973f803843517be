package esjs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bucketBytes is the limit of a new bucket, unless [MaxBytes] says another.
const bucketBytes = 64 << 20

// markerStays is how long a bucket remembers that an entry was purged, so that
// it does not grow with what is gone.
const markerStays = time.Minute

// BucketOption changes one call of ProvisionBucket.
type BucketOption func(*jetstream.StreamConfig)

// MaxBytes limits what the bucket holds to n bytes, at least 1; the server reserves them,
// in each replica. A bucket of less is enlarged. One of more is left as it is: what is above the
// limit could be in use, and an operator may have raised it.
//
// A full bucket takes no new keys. New values of keys that it has it takes on one server, as long as they are not larger; on a
// cluster it refuses them, too (docs/adr/0078). Of snapshots it must have
// room for one of each aggregate that ever had any, in JSON with its key and some 100 bytes around it: those of aggregates that
// have none are loaded from their commits, and [Observer.SnapshotStored] is told.
func MaxBytes(n int64) BucketOption { return func(c *jetstream.StreamConfig) { c.MaxBytes = n } }

// bucketConfig is what a bucket for snapshots, subscriptions or processes must be.
func bucketConfig(name string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   bucket{name: name}.stream(),
		Subjects:               []string{bucket{name: name}.subject(">")},
		Storage:                jetstream.FileStorage,
		Retention:              jetstream.LimitsPolicy,
		Discard:                jetstream.DiscardNew,
		Replicas:               replicas,
		MaxMsgs:                -1,
		MaxMsgSize:             -1,
		MaxMsgsPerSubject:      1,
		AllowDirect:            true,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: markerStays,
	}
}

// bucketDifference lists why a bucket cannot be one of [bucketConfig]: it would forget what it is given, or
// refuse it. History, and a limit of one entry's size, are the operator's.
func bucketDifference(have jetstream.StreamConfig) []string {
	want := bucketConfig(strings.TrimPrefix(have.Name, bucket{}.stream()), have.Replicas)
	want.MaxMsgsPerSubject, want.MaxMsgSize = have.MaxMsgsPerSubject, have.MaxMsgSize
	return difference(have, want)
}

// ProvisionBucket creates a KV bucket for snapshots, subscriptions or
// processes: on disk, without history, of 64 MiB unless [MaxBytes] says another size, and
// with one replica where replicas is 0. It may be called again: it changes the number of
// replicas unless that is 0, makes the bucket larger where [MaxBytes] says so, allows one that
// somebody else made to forget deletions after a while, and changes nothing else. A bucket that
// would forget what it is given, because its entries expire or are in memory, is refused with
// [ErrConfig], and so is a name that is not made of [A-Za-z0-9_-]. It needs the right to create
// streams, which services do not need.
func ProvisionBucket(ctx context.Context, dial Dial, bucket string, replicas int, opts ...BucketOption) error {
	if err := checkBucketName(bucket); err != nil {
		return err
	}
	want := bucketConfig(bucket, max(replicas, 0))
	for _, opt := range opts {
		if opt(&want); want.MaxBytes < 1 {
			return fmt.Errorf("%w: bucket %s: MaxBytes is %d; it must be at least 1", ErrConfig, bucket, want.MaxBytes)
		}
	}
	return provision(ctx, dial, func(ctx context.Context, p provisioner) error {
		return provisionBucket(ctx, p, bucket, want)
	})
}

// provisionBucket creates a bucket, or changes the one that is there; a MaxBytes, and a number of replicas, of 0 is the
// default of a new one, and as it is otherwise.
func provisionBucket(ctx context.Context, p provisioner, name string, want jetstream.StreamConfig) error {
	stream, err := p.findStream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		want.MaxBytes, want.Replicas = cmp.Or(want.MaxBytes, bucketBytes), cmp.Or(want.Replicas, 1)
		if _, err := p.js.CreateStream(ctx, want); err != nil {
			return fmt.Errorf("esjs: create bucket %s of %d bytes: %w", name, want.MaxBytes, err)
		}
		return nil
	case err != nil:
		return err
	}
	have := stream.Config
	now := have
	if want.Replicas > 0 {
		now.Replicas = want.Replicas
	}
	if !have.AllowMsgTTL {
		now.AllowMsgTTL, now.SubjectDeleteMarkerTTL = true, markerStays
	}
	if have.MaxBytes > 0 && have.MaxBytes < want.MaxBytes { // below 1 there is no limit
		now.MaxBytes = want.MaxBytes
	}
	if diff := bucketDifference(now); len(diff) > 0 {
		return configError(want.Name, diff)
	}
	if now.Replicas == have.Replicas && now.AllowMsgTTL == have.AllowMsgTTL && now.MaxBytes == have.MaxBytes {
		return nil
	}
	if _, err := p.js.UpdateStream(ctx, now); err != nil {
		return fmt.Errorf("esjs: change bucket %s to %d replicas and %d bytes: %w", name, now.Replicas, now.MaxBytes, err)
	}
	return nil
}

// bucket reads and writes the entries of one KV bucket where it matters who
// was first: from the leader, and always guarded by a revision.
type bucket struct {
	store *Store
	name  string
}

func (b bucket) stream() string            { return "KV_" + b.name }
func (b bucket) subject(key string) string { return "$KV." + b.name + "." + key }
func (b bucket) source(keys ...string) source {
	src := source{stream: b.stream()}
	for _, key := range keys {
		src.subjects = append(src.subjects, b.subject(key))
	}
	return src
}

// errChanged: the entry is not at the revision that a write expected.
var errChanged = errors.New("esjs: the entry was changed by another")

// isDeleted tells that an entry's message is the mark of its deletion.
func isDeleted(m message) bool {
	return m.header.Get("KV-Operation") != "" || m.header.Get("Nats-Marker-Reason") != ""
}

// isGone tells that there is no message, of an entry not even the mark of its deletion.
func isGone(_ message, err error) bool { return errors.Is(err, errNoMessage) }

// get returns an entry's value and revision as the leader has them; no value
// and the revision to write at when there is none.
func (b bucket) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	return b.getFrom(ctx, key, 0)
}

// getFrom is get of an entry that is known to have been at the revision from: what is before it is the word of a leader
// that leads indeed.
func (b bucket) getFrom(ctx context.Context, key string, from uint64) (value []byte, revision uint64, err error) {
	m, err := b.store.surely(ctx, b.stream(), lastOf(b.subject(key)), from, 0)
	switch {
	case errors.Is(err, errNoMessage):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case isDeleted(m):
		return nil, m.sequence, nil
	}
	return m.data, m.sequence, nil
}

// put writes an entry that must be at revision, 0 for none, and returns its
// new revision. A lost answer is settled by reading the entry back: values must
// differ from write to write. It tries until ctx ends.
// Errors: errChanged, which is final; [ErrStoreFull], [ErrTooLarge], [ErrRefused], also where the
// right to write the entry is missing; ctx's error, and then nothing is known.
func (b bucket) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.write(ctx, &nats.Msg{Subject: b.subject(key), Data: value, Header: nats.Header{}}, revision)
}

// delete removes an entry that must be at revision; see put.
func (b bucket) delete(ctx context.Context, key string, revision uint64) (uint64, error) {
	return b.write(ctx, b.purgeMsg(key), revision)
}

func (b bucket) purgeMsg(key string) *nats.Msg {
	return &nats.Msg{Subject: b.subject(key), Header: nats.Header{
		"KV-Operation":         {"PURGE"},
		jetstream.MsgRollup:    {jetstream.MsgRollupSubject},
		jetstream.MsgTTLHeader: {markerStays.String()},
	}}
}

// set writes an entry whatever it is at, or removes it where there is no value. It
// tries until ctx ends. Errors: those of put but errChanged.
func (b bucket) set(ctx context.Context, key string, value []byte) error {
	msg := b.purgeMsg(key)
	if len(value) > 0 {
		msg = &nats.Msg{Subject: b.subject(key), Data: value}
	}
	for wait := followRetryFirst; ; wait = min(2*wait, followRetryMax) {
		ack, err := b.publish(ctx, msg)
		if err == nil && ack.code == 0 {
			return nil
		}
		if err := b.final(ack, err); err != nil {
			return err
		}
		stored, _, err := b.get(ctx, key)
		if err != nil || bytes.Equal(stored, value) {
			return err
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

func (b bucket) write(ctx context.Context, msg *nats.Msg, revision uint64) (uint64, error) {
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	for wait := followRetryFirst; ; wait = min(2*wait, followRetryMax) {
		ack, err := b.publish(ctx, msg)
		if err == nil && ack.code == 0 {
			return ack.sequence, nil
		}
		if err := b.final(ack, err); err != nil {
			return 0, err
		}
		// Behind the revision it is not, unless it was deleted and that is forgotten, or the bucket was made anew or restored.
		m, readErr := b.store.surely(ctx, b.stream(), lastOf(msg.Subject), revision, 0)
		switch {
		case readErr != nil && !isGone(m, readErr):
			return 0, readErr
		case m.sequence > revision && bytes.Equal(m.data, msg.Data) && isDeleted(m) == (len(msg.Data) == 0):
			return m.sequence, nil
		case m.sequence != revision:
			return 0, errChanged
		}
		// Not decided yet.
		if !sleep(ctx, wait) {
			return 0, ctx.Err()
		}
	}
}

// final is why a write that got no ack, or got err instead, need not be tried again; nil where it may be.
func (b bucket) final(ack pubAck, err error) error {
	switch {
	case err == nil:
		err = finalError(ack)
	case errors.Is(err, nats.ErrMaxPayload):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case isContextError(err) || !permanent(err):
		return nil
	}
	if err == nil {
		return nil
	}
	return refused(fmt.Errorf("esjs: write to bucket %s: %w", b.name, err))
}

func (b bucket) publish(ctx context.Context, msg *nats.Msg) (pubAck, error) {
	answer, err := b.store.general.do(ctx, msg)
	if err != nil {
		return pubAck{}, err
	}
	return parseAck(answer.Data)
}
