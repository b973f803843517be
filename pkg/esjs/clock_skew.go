package esjs

import (
	"context"
	"time"
)

// ClockSkew is by how much the process's clock differs from a server's.
type ClockSkew struct {
	Server string        // that answered: the leader of the store's stream
	Ahead  time.Duration // of the server's clock; negative: behind
	Within time.Duration // the difference is Ahead, more or less this: half of what the answer took
}

// ClockSkew asks the leader of the store's stream, of several partitions the first one's, for its time, once, and compares the
// process's clock with it. Its errors are ctx's, the connection's, and what the server says.
func (s *Store) ClockSkew(ctx context.Context) (ClockSkew, error) {
	asked := time.Now()
	info, err := s.general.findStreamOnce(ctx, s.cfg.Stream)
	if err != nil {
		return ClockSkew{}, err
	}
	half := time.Since(asked) / 2 // by passing time, whatever the clock does meanwhile
	skew := ClockSkew{Ahead: asked.Add(half).Round(0).Sub(info.TimeStamp), Within: half}
	if info.Cluster != nil {
		skew.Server = info.Cluster.Leader
	}
	return skew, nil
}
