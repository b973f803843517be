package esjs

import (
	"context"
	"errors"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"
)

// Instances of a subscription share its partitions: one that handles at least two fewer than
// another asks for one, and that other gives one up as at a clean stop. Nothing but who handles
// what hangs on it: what is lost of it is asked again, and leases alone say who may handle.

// shareRequest is the KV entry in which an instance asks for a partition; the last one
// who asked stands there.
type shareRequest struct {
	Owner string    `json:"owner"`
	Held  int       `json:"held"` // partitions that it handles
	Asked time.Time `json:"asked"`
}

func shareKey(subscription string) string { return "share." + wire.EscapeKey(subscription) }

// errGivenUp ends the session of a partition that another instance is to handle.
var errGivenUp = errors.New("esjs: the partition is given to another instance")

// givePause is how long who gave up a partition leaves it to others; what nobody took it takes back.
const givePause = time.Second

// balance asks for partitions and gives them up until ctx ends.
func (all subscriptions[T]) balance(ctx context.Context) error {
	s, shared := all[0], all[0].shared
	b := bucket{store: s.store, name: s.bucket}
	start, err := s.store.lastSequence(ctx, b.stream())
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.store.follow(ctx, b.source(shareKey(s.name)), start, follower{
			again: func() {}, // one that is heard twice gets no more
			deliver: func(m message) error {
				var asks shareRequest
				if json.Unmarshal(m.data, &asks) == nil && asks.Owner != s.owner {
					shared.give(asks)
				}
				return nil
			},
		})
	})
	group.Go(func() error {
		again := time.NewTicker(s.lease / 4)
		defer again.Stop()
		for {
			if held, ask := shared.asks(s.owner); ask {
				value, err := json.Marshal(shareRequest{s.owner, held, time.Now().UTC()})
				if err != nil {
					return err
				}
				// One that cannot be written is asked again.
				_ = b.set(ctx, shareKey(s.name), value)
			}
			select {
			case <-shared.moved:
			case <-again.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return group.Wait()
}

// asks tells how many partitions this instance handles, and whether another one, as its
// leases show, handles at least two more.
func (s *sharing) asks(owner string) (held int, ask bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	others := map[string]int{}
	for _, p := range s.parts {
		switch {
		case p.active && !p.given:
			held++
		case p.owner != "" && p.owner != owner:
			others[p.owner]++
		}
	}
	for _, n := range others {
		ask = ask || n >= held+2
	}
	return held, ask
}

// give gives up one partition for an instance that handles at least two fewer. What was given
// up and is not taken yet counts as the other's, so that a request that is repeated, or late, gets no more.
func (s *sharing) give(asks shareRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, given, others, last := 0, 0, 0, -1
	for i, p := range s.parts {
		switch {
		case p.given:
			given++
		case p.active:
			own, last = own+1, i
		case p.owner == asks.Owner:
			others++
		}
	}
	if own >= max(asks.Held, others)+given+2 {
		s.parts[last].given = true
		s.parts[last].giveUp(errGivenUp)
	}
}

// ownedBy notes who has the lease of a partition that this instance stands by for.
func (s *sharing) ownedBy(part int, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := &s.parts[part]; p.owner != owner || p.given {
		p.owner, p.given = owner, false
		s.hasMoved()
	}
}

// hasMoved lets this instance look again whether to ask; the caller holds the lock.
func (s *sharing) hasMoved() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}
