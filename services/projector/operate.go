package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// Category is that of the commands, cmd.projection.<key>.<verb>. The key is a
// version's full name ("orders_v2"), and for rebuild the view's ("orders").
const Category = "projection"

// promotion bounds how long a promotion waits for the version to catch up.
const promotion = 5 * time.Second

// verbs are what operators may do.
func (k *keeper) verbs() map[string]service.Answer {
	all := map[string]service.Answer{
		"rebuild": k.rebuild,
		"promote": answering(k, k.promote),
		"drop":    answering(k, k.drop),
		"pause":   answering(k, func(ctx context.Context, v *version, _ struct{}) error { return k.pause(ctx, v, true) }),
		"resume":  answering(k, func(ctx context.Context, v *version, _ struct{}) error { return k.pause(ctx, v, false) }),
		"release": answering(k, k.release),
	}
	for verb, answer := range all {
		all[verb] = k.commands.once(answer)
	}
	return all
}

// answering makes an [service.Answer] of what is done to a version, which the
// reply then shows.
func answering[B any](k *keeper, do func(context.Context, *version, B) error) service.Answer {
	return func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		var body B
		if len(cmd.Body) > 0 {
			if err := cmd.Decode(&body); err != nil {
				return service.Reply{}, err
			}
		}
		if err := k.settled(ctx); err != nil { // another instance may have changed the record
			return service.Reply{}, err
		}
		v := k.version(cmd.Key)
		if v == nil {
			return service.Reply{}, k.unknown(cmd.Key)
		}
		if err := do(ctx, v, body); err != nil {
			return service.Reply{}, err
		}
		k.env.Log.Info().Str("view", cmd.Key).Str("verb", cmd.Verb).Str("actor", cmd.Actor).Msg("an operator changed a projection")
		return k.reply(ctx, cmd.Key)
	}
}

// reply shows a version; of one that is gone, nothing.
func (k *keeper) reply(ctx context.Context, name string) (service.Reply, error) {
	reply := service.Reply{EventIDs: []string{}, State: struct{}{}}
	v := k.version(name)
	if v == nil {
		return reply, nil
	}
	last, err := k.env.Store.Last(ctx)
	if err != nil {
		return reply, err
	}
	status, err := k.status(ctx, v, last)
	reply.Version, reply.State = uint64(v.Version), status
	return reply, err
}

func (k *keeper) unknown(name string) error {
	var names []string
	for _, v := range k.all() {
		names = append(names, v.Name)
	}
	return view.NotFound("projection_not_found", "there is no projection %.100q; there are %s", name, view.Words(names))
}

func refused(code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusConflict}
}

// rebuild begins a new version of a view, from the first event, beside the live
// one. It takes over by itself unless that is to be done by hand.
func (k *keeper) rebuild(ctx context.Context, cmd service.Command) (service.Reply, error) {
	var body struct {
		ByHand bool `json:"by_hand,omitzero"`
	}
	if len(cmd.Body) > 0 {
		if err := cmd.Decode(&body); err != nil {
			return service.Reply{}, err
		}
	}
	i := slices.IndexFunc(k.views, func(v view.View) bool { return v.Name == cmd.Key })
	if i < 0 {
		var names []string
		for _, v := range k.views {
			names = append(names, v.Name)
		}
		return service.Reply{}, view.NotFound("view_not_found", "there is no view %.100q; there are %s", cmd.Key, view.Words(names))
	}
	if err := k.settled(ctx); err != nil {
		return service.Reply{}, err
	}
	live, err := k.sink.Live(ctx, cmd.Key)
	if err != nil {
		return service.Reply{}, err
	}
	var own []entry
	for _, v := range k.all() {
		if v.View != cmd.Key {
			continue
		}
		own = append(own, v.entry)
		if now := k.version(live); v.view != nil && (now == nil || now.Version < v.Version) {
			return service.Reply{}, refused("already_building", "%s is being built already; promote it, or drop it and begin again", v.Name)
		}
	}
	number := next(own)
	if err := k.registry.add(ctx, k.views[i], number, k.views[i].Form, body.ByHand); err != nil {
		return service.Reply{}, err
	}
	if err := k.settled(ctx); err != nil {
		return service.Reply{}, err
	}
	k.env.Log.Info().Str("view", cmd.Key).Int("version", number).Str("actor", cmd.Actor).Msg("a view is rebuilt")
	return k.reply(ctx, fmt.Sprintf("%s_v%d", cmd.Key, number))
}

// promotionReason is why a version is promoted although its rows differ from those
// of the one before it.
type promotionReason struct {
	Reason string `json:"reason,omitzero"`
}

// promote makes a version the live one. Higher versions no longer take over by
// themselves, or going back would not last.
func (k *keeper) promote(ctx context.Context, v *version, body promotionReason) error {
	found, err := k.registry.comparison(ctx, v.Name)
	if err != nil {
		return err
	}
	differs := found != nil && found.Differing > 0 && found.Overruled == ""
	switch {
	case differs && body.Reason == "":
		return refused("differs", "of %d rows %d differ from those of %s, the first ones %s; look at them, and give a \"reason\" to promote it nevertheless",
			found.Rows, found.Differing, found.With, view.Words(found.First))
	case v.view == nil:
		return refused("outdated", "only an earlier program has the code for %s", v.Name)
	case v.Paused:
		return refused("paused", "%s is paused; resume it first", v.Name)
	}
	if err := k.registry.hold(ctx, v.View, v.Version); err != nil {
		return err
	}
	if err := k.settled(ctx); err != nil {
		return err
	}
	if k.cfg.bucket() != "" {
		// Another instance that has not seen it yet might take over once more.
		select {
		case <-time.After(2 * settleEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	waiting, cancel := context.WithTimeoutCause(ctx, promotion, errNotYet)
	defer cancel()
	if err := v.projector.Promote(waiting); err != nil {
		if errors.Is(context.Cause(waiting), errNotYet) {
			return refused("not_caught_up", "%s has not caught up with the live version; ask again", v.Name)
		}
		return err
	}
	if !differs {
		return nil
	}
	found.Overruled = body.Reason
	return k.registry.compared(ctx, v.Name, *found)
}

// drop removes a version that is not live, with its tables.
func (k *keeper) drop(ctx context.Context, v *version, _ struct{}) error {
	if err := k.notLive(ctx, v, "is not dropped; promote another version before"); err != nil {
		return err
	}
	switch err := k.remove(ctx, v); {
	case errors.Is(err, esjs.ErrInvalid): // it became live just now
		return refused("live", "%s is live and is not dropped; promote another version before", v.Name)
	case err != nil:
		return err
	}
	return k.settled(ctx)
}

// remove takes a version out of the database, in one transaction. [esjs.ErrInvalid]: it is live.
func (k *keeper) remove(ctx context.Context, v *version) error {
	remove := func(ctx context.Context, tx *sql.Tx) error { return k.registry.remove(ctx, tx, v.entry) }
	err := k.sink.Drop(ctx, v.Name, remove)
	if !errors.Is(err, esjs.ErrNotFound) {
		return err
	}
	tx, err := k.db.BeginTx(ctx, nil) // it is on record, and was never begun
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := remove(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// pause stops a version that is not live, or lets it go on. One that has failed
// is tried again.
func (k *keeper) pause(ctx context.Context, v *version, paused bool) error {
	if paused {
		if err := k.notLive(ctx, v, "is not paused: queries would see it grow old"); err != nil {
			return err
		}
	}
	if !paused && v.failed() != nil && !v.Paused {
		if err := k.pause(ctx, v, true); err != nil {
			return err
		}
	}
	if err := k.registry.pause(ctx, v.Name, paused); err != nil {
		return err
	}
	return k.settled(ctx)
}

func (k *keeper) notLive(ctx context.Context, v *version, says string) error {
	live, err := k.sink.Live(ctx, v.View)
	if err == nil && live == v.Name {
		return refused("live", "%s is live and %s", v.Name, says)
	}
	return err
}

// parkedKey names what is to be released.
type parkedKey struct {
	Key string `json:"key" required:"of an aggregate that is parked, such as \"order/o-1\""`
}

// release applies what waits of a parked key, in order and in one transaction.
func (k *keeper) release(ctx context.Context, v *version, body parkedKey) error {
	if v.view == nil {
		return refused("outdated", "only an earlier program has the code for %s", v.Name)
	}
	err := v.projector.Release(ctx, body.Key)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, esjs.ErrNotFound):
		return view.NotFound("not_parked", "%s has not parked %.100q", v.Name, body.Key)
	case ctx.Err() != nil, errors.Is(err, esjs.ErrUnavailable), errors.Is(err, esjs.ErrInvalid):
		return err
	}
	return refused("still_failing", "%.100q stays parked: %v", body.Key, err)
}
