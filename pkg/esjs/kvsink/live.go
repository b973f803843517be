package kvsink

import (
	"context"
	"fmt"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Live returns the full name of the live version of a projection, for [Sink.Get].
func (s *Sink) Live(ctx context.Context, projection string) (string, error) {
	if err := checkName(projection); err != nil {
		return "", err
	}
	l, _, err := s.bucket.live(ctx, projection)
	if err == nil && l.Name == "" {
		err = fmt.Errorf("%w: no version of the projection %s is live", esjs.ErrNotFound, projection)
	}
	return l.Name, err
}

// Promote makes the version to live instead of from. A Commit of from that is under
// way is not waited for: its effects may come from both versions.
func (s *Sink) Promote(ctx context.Context, from, to string) error {
	if err := s.promote(ctx, from, to); err != nil {
		return fmt.Errorf("promote projection %s instead of %s: %w", to, from, err)
	}
	return nil
}

func (s *Sink) promote(ctx context.Context, from, to string) error {
	projection, _, err := esjs.SplitFullName(from)
	if err == nil {
		err = checkName(from)
	}
	if err != nil {
		return err
	}
	l, revision, err := s.bucket.live(ctx, projection)
	if err != nil {
		return err
	}
	if l.Name != from {
		return fmt.Errorf("%w: it is not the live version", esjs.ErrConflict)
	}
	if _, err := s.Load(ctx, to); err != nil {
		return err
	}
	retired, _, err := s.opened(ctx, from)
	if err != nil {
		return err
	}
	return s.bucket.putLive(ctx, projection, storedLive{Name: to, Since: retired.Position.Later(l.Since)}, revision)
}

// Drop calls drop, if there is one, whose changes are of no use, and removes the
// rows and the checkpoint of the projection at once: it purges what begins with
// its name. Watchers of rows are not told.
func (s *Sink) Drop(ctx context.Context, name string, drop func(context.Context, *Tx) error) error {
	done, err := s.turn(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	now, err := s.Load(ctx, name)
	if err != nil {
		return err
	}
	if now.Live {
		return fmt.Errorf("%w: the projection %s is live", esjs.ErrInvalid, name)
	}
	if drop != nil {
		if err := drop(ctx, s.begin(name)); err != nil {
			return err
		}
	}
	return s.bucket.purge(ctx, name+".>")
}
