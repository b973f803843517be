package esjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// keysConfig is what a bucket of keys must be. It differs from other KV buckets in
// that single messages can be deleted, which overwrites them in the server's files; and it
// holds two messages of an entry, so that the old one is there to be overwritten.
func keysConfig(name string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + name,
		Description:       "esjs: keys of persons",
		Subjects:          []string{"$KV." + name + ".>"},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew,
		Replicas:          replicas,
		MaxBytes:          bucketBytes,
		MaxMsgs:           -1,
		MaxMsgSize:        -1,
		MaxMsgsPerSubject: 2,
		AllowDirect:       true,
		AllowRollup:       true,
		DenyDelete:        false,
	}
}

// ProvisionKeys creates a KV bucket for the keys of persons: on disk, of 64 MiB,
// which is some 150,000 persons; an operator may raise that. It may be called again:
// it changes the number of replicas, unless that is 0, and refuses a bucket that is another one with
// [ErrConfig]. It needs the right to create streams, which services do not need.
//
// Back up and restore the bucket with care: it is what an erasure is made of.
func ProvisionKeys(ctx context.Context, dial Dial, bucket string, replicas int) error {
	if err := checkBucketName(bucket); err != nil {
		return err
	}
	return provision(ctx, dial, func(ctx context.Context, p provisioner) error {
		want := keysConfig(bucket, max(replicas, 0))
		stream, err := p.findStream(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			want.Replicas = cmp.Or(want.Replicas, 1)
			if _, err := p.js.CreateStream(ctx, want); err != nil {
				return fmt.Errorf("esjs: create bucket %s: %w", bucket, err)
			}
			return nil
		case err != nil:
			return err
		}
		have := stream.Config
		if diff := difference(have, want); len(diff) > 0 {
			return configError(want.Name, diff)
		}
		if want.Replicas == 0 || have.Replicas == want.Replicas {
			return nil
		}
		have.Replicas = want.Replicas
		if _, err := p.js.UpdateStream(ctx, have); err != nil {
			return fmt.Errorf("esjs: change bucket %s to %d replicas: %w", bucket, want.Replicas, err)
		}
		return nil
	})
}

// verifyKeys refuses a bucket that was not made by [ProvisionKeys].
func (b bucket) verifyKeys(ctx context.Context) error {
	stream, err := b.store.general.findBucket(ctx, b.name)
	if err != nil {
		return fmt.Errorf("keys of persons: %w", err)
	}
	if diff := difference(stream.Config, keysConfig(b.name, 1)); len(diff) > 0 {
		return configError(b.stream(), diff)
	}
	return nil
}

// older returns the sequence of the oldest message of an entry that has a newer
// one, 0 when there is none. The entry is known to have been at the revision from: a leader that does not
// know that, as one that is cut off, does not know what is older.
func (b bucket) older(ctx context.Context, key string, from uint64) (uint64, error) {
	last, err := b.store.surely(ctx, b.stream(), lastOf(b.subject(key)), from, 0)
	if err != nil {
		return 0, unlessGone(err)
	}
	first, err := b.store.surely(ctx, b.stream(), fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q}`, b.subject(key)), last.sequence, 0)
	if err != nil || first.sequence >= last.sequence {
		return 0, unlessGone(err)
	}
	return first.sequence, nil
}

// unlessGone is nil where nothing is left.
func unlessGone(err error) error {
	if errors.Is(err, errNoMessage) {
		return nil
	}
	return err
}

// removeOlder deletes what an entry was before it was at revision, and lets the server overwrite it. It
// tries until ctx ends.
func (b bucket) removeOlder(ctx context.Context, key string, revision uint64) error {
	for wait := newPause(); ; {
		sequence, err := b.older(ctx, key, revision)
		if err != nil || sequence == 0 {
			return err
		}
		err = b.overwrite(ctx, sequence)
		if err != nil && (isRefusal(err) || permanent(err)) {
			return fmt.Errorf("esjs: delete an old key in bucket %s: %w", b.name, err)
		}
		if err == nil {
			continue
		}
		if err := wait.sleep(ctx); err != nil {
			return fmt.Errorf("esjs: delete an old key in bucket %s: %w", b.name, err)
		}
	}
}

func (b bucket) overwrite(ctx context.Context, sequence uint64) error {
	reply, err := b.store.general.do(ctx, &nats.Msg{
		Subject: "$JS.API.STREAM.MSG.DELETE." + b.stream(),
		Data:    fmt.Appendf(nil, `{"seq":%d}`, sequence),
	})
	if err != nil {
		return err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil && answer.Error.ErrorCode != jetstream.JSErrCodeMessageNotFound {
		return fmt.Errorf("%w: %w", ErrRefused, answer.Error)
	}
	return nil
}
