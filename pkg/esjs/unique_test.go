package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// Many who want one address at once, through lost answers and false refusals:
// one of them gets it, and of the others nothing is stored.
func TestOfRacingClaimsExactlyOneWins(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		const racers, rounds = 8, 10
		ctx := testContext(t)
		email := func(round int) string { return fmt.Sprintf("ada+%d@example.org", round) }
		everybody := make([]*users, racers)
		faults := make([]*esjstest.Faults, racers)
		for i := range everybody {
			faults[i] = d.Faults()
			var err error
			if everybody[i], err = newUsers(ctx, open(t, faults[i].Dial(), d)); err != nil {
				t.Fatal(err)
			}
		}
		for round := range rounds {
			errs := make([]error, racers)
			// Each has found the address free before any of them claims it.
			var ready, wg sync.WaitGroup
			ready.Add(racers)
			for i, u := range everybody {
				f := faults[i]
				switch (round + i) % 4 {
				case 1:
					f.LoseAcks(1)
				case 2:
					f.RefuseAppends(1)
				case 3:
					f.LoseAppends(1)
				}
				f.BeforeAppend(func() { ready.Done(); ready.Wait() })
				wg.Go(func() { errs[i] = u.register(ctx, fmt.Sprintf("u-%d-%d", round, i), email(round)) })
			}
			wg.Wait()
			winner := -1
			for i, err := range errs {
				var conflict *esjs.ConflictError
				switch {
				case err == nil && winner < 0:
					winner = i
				case err == nil:
					t.Fatalf("round %d: both %d and %d have the address", round, winner, i)
				case !errors.As(err, &conflict) || conflict.Stream.Category != "email":
					t.Fatalf("round %d: %d lost with %v, want a *ConflictError of the address", round, i, err)
				}
			}
			if winner < 0 {
				t.Fatalf("round %d: nobody has the address", round)
			}
			for i := range racers {
				version, err := lastVersion(ctx, everybody[0].store, memberStream(fmt.Sprintf("u-%d-%d", round, i)))
				if err != nil || (version == 1) != (i == winner) {
					t.Fatalf("round %d: user %d has %d events, %v; the winner is %d", round, i, version, err, winner)
				}
			}
			// Released, the address is free for another one.
			if err := everybody[winner].leave(ctx, fmt.Sprintf("u-%d-%d", round, winner), email(round)); err != nil {
				t.Fatal(err)
			}
			if err := everybody[0].register(ctx, fmt.Sprintf("u-%d-next", round), email(round)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func lastVersion(ctx context.Context, s *esjs.Store, id esjs.StreamID) (uint64, error) {
	for r, err := range s.Read(ctx, id, math.MaxUint64, 1) {
		if errors.Is(err, esjs.ErrNotFound) {
			return 0, nil
		}
		return r.Version, err
	}
	return 0, nil
}
