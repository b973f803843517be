package esjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// timerStream holds armed and fired timers of all services. It is not the event
// stream, because message schedules turn deny_purge off and rollups on.
const timerStream = "TIMERS"

// firedStays is how long a fired timer can be read. An armed one stays until it
// fires, whenever that is.
const firedStays = 7 * 24 * time.Hour

// timerStreamConfig is what the stream must be. It has no limits, because the
// server drops old messages of a full stream of schedules, and no direct get, because whether a
// timer is armed is asked of the leader.
func timerStreamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              timerStream,
		Description:       "Timers as message schedules: timer.<service>.set.> fires to timer.<service>.fired.>",
		Subjects:          []string{"timer.>"},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		Replicas:          replicas,
		AllowRollup:       true,
		AllowMsgTTL:       true,
		AllowMsgSchedules: true,
	}
}

// ProvisionTimers creates the stream TIMERS (message schedules), or changes the
// number of its replicas; 0 is 1 for a new one, and what it has of one that exists. Everything else that differs is refused with
// [ErrConfig] and the difference, field by field. It needs the right to create
// streams, which services do not need.
func ProvisionTimers(ctx context.Context, dial Dial, replicas int) error {
	return provision(ctx, dial, func(ctx context.Context, p provisioner) error {
		return provisionTimers(ctx, p, replicas)
	})
}

func provisionTimers(ctx context.Context, p provisioner, replicas int) error {
	want := timerStreamConfig(max(replicas, 0))
	stream, err := p.findStream(ctx, timerStream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		// A stream that takes the place of a lost one begins after its last
		// message: positions in the old one are then before the first of the new one.
		want.FirstSeq = uint64(time.Now().UnixMicro())
		want.Replicas = cmp.Or(want.Replicas, 1)
		if _, err := p.js.CreateStream(ctx, want); err != nil {
			return fmt.Errorf("esjs: create stream %s: %w", timerStream, err)
		}
		return nil
	case err != nil:
		return err
	}
	have := stream.Config
	if diff := timerStreamDifference(have); len(diff) > 0 {
		return configError(timerStream, diff)
	}
	if want.Replicas == 0 || have.Replicas == want.Replicas {
		return nil
	}
	have.Replicas = want.Replicas
	if _, err := p.js.UpdateStream(ctx, have); err != nil {
		return fmt.Errorf("esjs: upgrade stream %s: %w", timerStream, err)
	}
	return nil
}

// verifyTimerStream refuses a stream that is missing or would lose timers.
func verifyTimerStream(ctx context.Context, r *requester) error {
	stream, err := r.findStream(ctx, timerStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: stream %s does not exist; provision the timers first", ErrConfig, timerStream)
	}
	if err != nil {
		return err
	}
	if diff := timerStreamDifference(stream.Config); len(diff) > 0 {
		return configError(timerStream, diff)
	}
	return nil
}

// timerStreamDifference lists the fields that would lose timers or make what
// the leader knows unknown.
func timerStreamDifference(has jetstream.StreamConfig) []string {
	want := timerStreamConfig(has.Replicas)
	var diff []string
	differ := func(field string, has, want any) {
		if h, w := fmt.Sprint(has), fmt.Sprint(want); h != w {
			diff = append(diff, fmt.Sprintf("%s is %s, needed %s", field, h, w))
		}
	}
	differ("subjects", has.Subjects, want.Subjects)
	differ("storage", has.Storage, want.Storage)
	differ("retention", has.Retention, want.Retention)
	differ("max_age", has.MaxAge, want.MaxAge)
	differ("max_msgs", has.MaxMsgs, want.MaxMsgs)
	differ("max_msgs_per_subject", has.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	differ("max_bytes", has.MaxBytes, want.MaxBytes)
	differ("allow_direct", has.AllowDirect, want.AllowDirect)
	differ("allow_msg_ttl", has.AllowMsgTTL, want.AllowMsgTTL)
	differ("allow_msg_schedules", has.AllowMsgSchedules, want.AllowMsgSchedules)
	return diff
}
