package payment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/jsm.go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// turnKey has the number of the comparison that is under way, while it is.
const (
	turnKey     = "turn"
	turnSubject = "$KV." + BucketReconciliation + "." + turnKey
)

// turn is the right to make the comparison of a number, which one instance has at a time.
// It is an entry that the server removes when it is not renewed: of an instance that has
// gone another one takes over.
type turn struct {
	*reconciler
	number   uint64
	revision uint64
}

// take begins the turn of a number; ok is false when another instance has one, or when this one was given it and was not
// told so: then nobody has it until it ends by itself.
func (r *reconciler) take(ctx context.Context, number uint64) (t turn, ok bool, err error) {
	var revision uint64
	err = service.Answered(ctx, func(ctx context.Context) error {
		revision, err = r.stored.Create(ctx, turnKey, []byte(strconv.FormatUint(number, 10)), jetstream.KeyTTL(r.lease))
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return turn{}, false, nil
	}
	if err != nil {
		return turn{}, false, fmt.Errorf("bucket %s: %w", BucketReconciliation, err)
	}
	return turn{reconciler: r, number: number, revision: revision}, true, nil
}

// during does what the turn is for, and renews and ends the turn. The context of do ends
// when the turn cannot be renewed, because then another instance may take it.
func (t *turn) during(ctx context.Context, do func(context.Context) error) error {
	work, lost := context.WithCancelCause(ctx)
	renewals := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(renewals)
		every := time.NewTicker(t.lease / 3)
		defer every.Stop()
		for {
			select {
			case <-stop:
				return
			case <-every.C:
				if err := t.renew(work); err != nil {
					lost(fmt.Errorf("the right to compare was not renewed: %w", err))
					return
				}
			}
		}
	}()
	err := do(work)
	if work.Err() != nil && ctx.Err() == nil {
		err = context.Cause(work)
	}
	close(stop)
	<-renewals
	lost(nil)
	t.end(ctx)
	return err
}

// headerRenewal has a renewal's own id, by which it is known when its answer was lost.
const headerRenewal = "Renewal"

// renew keeps the turn for another lease. What nobody answers for a sixth of the lease is asked again, for half of it: until then nobody else can have the turn.
func (t *turn) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.lease/2)
	defer cancel()
	id := nuid.Next()
	return service.Answered(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, t.lease/6)
		defer cancel()
		ack, err := t.js.PublishMsg(ctx, &nats.Msg{
			Subject: turnSubject, Data: []byte(strconv.FormatUint(t.number, 10)), Header: nats.Header{headerRenewal: {id}},
		}, jetstream.WithMsgTTL(t.lease), jetstream.WithExpectLastSequencePerSubject(t.revision))
		if err == nil {
			t.revision = ack.Sequence
			return nil
		}
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return t.renewed(id, err)
		}
		return err
	})
}

// renewed is nil when the turn was renewed by an attempt whose answer was lost, and otherwise refused. It asks
// the leader: another replica may not have the renewal yet.
func (t *turn) renewed(id string, refused error) error {
	leader, err := jsm.New(t.js.Conn(), jsm.WithTimeout(t.lease/6))
	if err != nil {
		return err
	}
	const notFound = 10037
	stored, err := leader.ReadLastMessageForSubject("KV_"+BucketReconciliation, turnSubject)
	if jsm.IsNatsError(err, notFound) {
		return refused
	}
	if err != nil {
		return err
	}
	header, err := nats.DecodeHeadersMsg(stored.Header)
	if err != nil || header.Get(headerRenewal) != id {
		return refused
	}
	t.revision = stored.Sequence
	return nil
}

// end lets others begin, also when ctx has ended. What fails here the server does a little later.
func (t *turn) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.lease/3)
	defer cancel()
	if err := t.stored.Delete(ctx, turnKey, jetstream.LastRevision(t.revision)); err != nil {
		t.env.Log.Warn().Err(err).Msg("the turn to compare with the payment provider ends later by itself")
	}
}

// underWay is the number of the comparison that an instance is making; 0 when none is.
func (r *reconciler) underWay(ctx context.Context) (number uint64, err error) {
	entry, err := r.get(ctx, turnKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil {
		number, err = strconv.ParseUint(string(entry.Value()), 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("bucket %s: %s: %w", BucketReconciliation, turnKey, err)
	}
	return number, nil
}
