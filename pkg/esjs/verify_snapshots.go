package esjs

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SnapshotCheck compares the snapshots of one category with the log; it is made by
// [CheckSnapshots].
type SnapshotCheck struct {
	run func(context.Context, *Store, *VerifyReport) error
}

// CheckSnapshots makes [Verify] compare each snapshot of the aggregate's category that
// the policy would use with a fold of the events from the first one up to its version:
// the state, the command ids and the consumed inputs. A snapshot that differs was
// written by another Apply under the same StateVersion, by one that is not pure, or was
// damaged; delete it, or raise StateVersion. It costs the load of each aggregate that
// has a snapshot. The aggregate's Decide may be nil.
func CheckSnapshots[S, C any, E Event](agg Aggregate[S, C, E], policy SnapshotPolicy[S]) SnapshotCheck {
	return SnapshotCheck{func(ctx context.Context, s *Store, report *VerifyReport) error {
		agg.Decide = func(S, C) ([]E, error) { return nil, nil } // nothing is decided
		h, err := NewCommandHandler(ctx, s, agg, HandlerConfig[S]{})
		if err != nil {
			return err
		}
		defer func() { _ = h.Close(ctx) }() // it has no snapshots to write
		v := snapshotVerifier[S, C, E]{handler: h, snapshots: snapshotter[S]{store: s, policy: policy}, report: report}
		return v.all(ctx)
	}}
}

type snapshotVerifier[S, C any, E Event] struct {
	handler   *CommandHandler[S, C, E]
	snapshots snapshotter[S]
	report    *VerifyReport
}

// all checks the snapshots that the bucket had when it was called, but for those
// that are replaced meanwhile.
func (v *snapshotVerifier[S, C, E]) all(ctx context.Context) error {
	b := bucket{store: v.handler.store, name: v.snapshots.policy.Bucket}
	last, err := b.store.lastSequence(ctx, b.stream())
	if err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return fmt.Errorf("%w: snapshot bucket %q: %w", ErrConfig, b.name, err)
		}
		return err
	}
	src := b.source(v.handler.agg.Category + ".*")
	return b.store.scan(ctx, src, 0, last, func(m message) error {
		if isDeleted(m) {
			return nil
		}
		category, key, err := wire.ParseSubject("$KV."+b.name, m.subject)
		if err != nil {
			v.found(StreamID{Category: v.handler.agg.Category, Key: m.subject}, nil, err.Error())
			return nil
		}
		return v.one(ctx, StreamID{Category: category, Key: key}, m)
	})
}

// one compares the snapshot in m with a fold.
func (v *snapshotVerifier[S, C, E]) one(ctx context.Context, id StreamID, m message) error {
	stored := v.snapshots.decode(id, &nats.Msg{Data: m.data})
	if stored != nil && stored.sealed != nil {
		stored = v.snapshots.open(ctx, id, stored)
	}
	if stored == nil {
		v.report.Unused++
		return nil
	}
	if stored.revision.version == 0 {
		v.found(id, stored, "it is of version 0")
		return nil
	}
	fold, err := v.handler.loadPast(ctx, id, loadOptions{version: stored.revision.version}, &LoadInfo{})
	var (
		corrupt   *CorruptError
		undecoded *DecodeError
	)
	switch {
	case errors.Is(err, ErrNotFound), errors.As(err, &corrupt), errors.As(err, &undecoded):
		v.found(id, stored, fmt.Sprintf("there is no fold to compare it with: %v", err))
		return nil
	case err != nil:
		return err
	case fold.revision.sequence != stored.revision.sequence:
		v.found(id, stored, fmt.Sprintf("version %d is at %s", stored.revision.version, fold.revision.Position()))
		return nil
	}
	// As it would be read back: what JSON does not keep is no difference. Personal
	// values are compared in clear, and not told.
	personal := len(stored.persons.ids)+len(fold.persons.ids) > 0
	stored.persons, fold.persons = persons{}, persons{}
	if stored.commit == "" { // stored by a release that did not note it
		fold.commit = ""
	}
	stored.own = true // as what is encoded here; who wrote it is no difference
	body, err := v.snapshots.encode(ctx, id, fold)
	if err != nil {
		return err
	}
	fold = v.snapshots.decode(id, &nats.Msg{Data: body})
	if fold == nil || !reflect.DeepEqual(stored, fold) {
		reason := "a fold of the events gives another state"
		if !personal {
			reason = fmt.Sprintf("it is %s, a fold of the events gives %s", m.data, body)
		}
		v.found(id, stored, reason)
		return nil
	}
	v.report.Snapshots++
	return nil
}

func (v *snapshotVerifier[S, C, E]) found(id StreamID, stored *folded[S], reason string) {
	f := Finding{Kind: FindingSnapshot, Stream: id.String(), Reason: "the snapshot in " + v.snapshots.policy.Bucket + ": " + reason}
	if stored != nil {
		f.Version, f.Position = stored.revision.version, stored.revision.Position()
	}
	v.report.add(f)
}
