package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// errOffChain: a sequence that should be one of the aggregate's commits is not.
// A snapshot that says so is not of this log.
var errOffChain = errors.New("esjs: not one of the aggregate's commits")

// history returns the aggregate's commits after the sequence after up to tail,
// oldest first; after is 0 or the sequence of one of its commits. Where the id of
// that one's first event is given, another commit there is errOffChain. It follows
// the back-pointers: one round trip for each [wire.WindowSize] commits,
// whatever the size of the stream. Versions are checked to be gapless.
func (s *Store) history(ctx context.Context, tail Commit, after uint64, id string) ([]Commit, error) {
	if tail.Position.sequence <= after {
		return nil, nil
	}
	commits := []Commit{tail} // newest first until the end
	for at := tail; ; {
		window := at.window()
		n := len(window)
		if i := slices.IndexFunc(window, func(sequence uint64) bool { return sequence <= after }); i >= 0 {
			if window[i] != after {
				return nil, errOffChain
			}
			n = i
		}
		last := n < len(window) || len(window) < wire.WindowSize
		if last && n == len(window) && after != 0 {
			return nil, errOffChain
		}
		asked := n
		if n < len(window) && id != "" {
			asked++
		}
		older, err := s.commits(ctx, tail.Stream, window[:asked])
		if err != nil {
			return nil, err
		}
		if asked > n && older[n].Records[0].ID != id {
			return nil, errOffChain
		}
		older = older[:n]
		commits = append(commits, older...)
		if last || n == 0 {
			break
		}
		at = older[n-1]
	}
	slices.Reverse(commits)
	return commits, checkGapless(commits)
}

// checkGapless checks that each commit's first version follows the last one of
// the commit before it.
func checkGapless(commits []Commit) error {
	for i := 1; i < len(commits); i++ {
		if want, have := commits[i-1].revision.version+1, commits[i].Records[0].Version; want != have {
			return &CorruptError{
				Stream:   commits[i].Stream,
				Position: commits[i].Position,
				Reason:   fmt.Sprintf("version %d follows %d", have, want-1),
			}
		}
	}
	return nil
}
