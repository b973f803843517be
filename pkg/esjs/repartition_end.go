package esjs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// fencedSize is the max_msg_size of a stream that takes no more commits: the headers of one are larger. The server refuses what is
// larger before anything else, and an update takes that back. A sealed stream stays sealed for ever; without its subjects a
// stream would not answer writers at all, who could not know what became of their appends.
const fencedSize = 1

// note changes entries of a stream's metadata; an empty value removes one.
func (p provisioner) note(ctx context.Context, cfg jetstream.StreamConfig, entries map[string]string) error {
	metadata := map[string]string{}
	maps.Copy(metadata, cfg.Metadata)
	maps.Copy(metadata, entries)
	maps.DeleteFunc(metadata, func(_, value string) bool { return value == "" })
	cfg.Metadata = metadata
	if _, err := p.js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("esjs: update stream %s: %w", cfg.Name, err)
	}
	return nil
}

// fence ends the old stream and returns its last sequence. The configuration comes to each server by itself. So each replica leads
// once, and has to refuse: then none is left that would take an append, and what the first leader had taken and not yet
// stored is stored or never will be, because whoever leads has everything that can be.
func (m *move) fence(ctx context.Context) (end uint64, err error) {
	stream := m.from.cfg.Stream
	if m.moved && !slices.ContainsFunc(m.parts, func(p *copied) bool { return !p.open }) { // it was ended, and all was opened
		return m.from.lastSequence(ctx, stream)
	}
	servers, err := m.replicas(ctx)
	if err != nil {
		return 0, err
	}
	err = provision(ctx, m.cfg.Dial, func(ctx context.Context, p provisioner) error {
		found, err := p.findStream(ctx, stream)
		if err != nil || found.Config.MaxMsgSize == fencedSize && found.Config.Metadata[metadataMovedTo] == m.target() {
			return err
		}
		found.Config.MaxMsgSize = fencedSize
		return p.note(ctx, found.Config, map[string]string{metadataMovedTo: m.target()})
	})
	if err != nil {
		return 0, err
	}
	m.moved = true
	for _, server := range append(servers[1:], servers[0]) { // the leader leads again at the end
		if err := m.refuses(ctx, server, len(servers) > 1); err != nil {
			return 0, err
		}
	}
	for wait := newPause(); ; {
		led := m.from.led(ctx, stream, func(*requester) { end, err = m.from.lastSequence(ctx, stream) })
		if led && err == nil || err != nil && permanent(err) {
			return end, err
		}
		if err := wait.sleep(ctx); err != nil {
			return 0, err
		}
	}
}

// replicas are the servers that have the old stream, its leader first. While a leader is elected none is named; and
// not one of them may be left out.
func (m *move) replicas(ctx context.Context) ([]string, error) {
	for wait := newPause(); ; {
		info, err := m.from.general.findStream(ctx, m.from.cfg.Stream)
		if err != nil {
			return nil, err
		}
		if info.Cluster == nil {
			return []string{""}, nil // one server, which leads
		}
		servers := []string{info.Cluster.Leader}
		for _, replica := range info.Cluster.Replicas {
			if replica.Offline {
				return nil, fmt.Errorf("%w: %s, which has a replica of %s, is away: bring it back first, because it would take appends again when it comes back and leads",
					ErrUnavailable, replica.Name, m.from.cfg.Stream)
			}
			servers = append(servers, replica.Name)
		}
		if len(servers) == info.Config.Replicas {
			return servers, nil
		}
		if err := wait.sleep(ctx); err != nil {
			return nil, err
		}
	}
}

// refuses waits until a server, as the leader, refuses an append to the old stream because that was ended. What it
// is asked to store could not be stored otherwise either.
func (m *move) refuses(ctx context.Context, server string, replicated bool) error {
	for wait := newPause(); ; {
		if replicated {
			if err := m.from.lead(ctx, server); err != nil {
				return err
			}
		}
		answer, err := m.from.appends.do(ctx, &nats.Msg{
			Subject: m.from.cfg.Prefix + "." + guardCategory + ".moved",
			Header:  nats.Header{nats.ExpectedLastSeqHdr: []string{strconv.FormatUint(math.MaxInt64, 10)}},
		})
		if denied := (*deniedError)(nil); errors.As(err, &denied) {
			return fmt.Errorf("%w: %w", ErrRefused, denied)
		}
		if err == nil {
			ack, err := parseAck(answer.Data)
			if err == nil && ack.code == codeMessageTooLarge {
				leader, err := m.from.leaderNow(ctx)
				if err == nil && (leader == server || !replicated) {
					return nil
				}
			}
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// release opens the new store: it is complete.
func (m *move) release(ctx context.Context) error {
	return provision(ctx, m.cfg.ToDial, func(ctx context.Context, p provisioner) error {
		for _, part := range m.to.parts {
			info, err := p.findStream(ctx, part.cfg.Stream)
			if err != nil {
				return err
			}
			if m.isComplete(info.Config) {
				continue
			}
			if err := p.note(ctx, info.Config, map[string]string{metadataCopied: m.cfg.From.Stream, metadataCopyOf: ""}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reopen takes back the end of a store that [Repartition] was moving, or has moved: it takes appends again. What was written to the
// new store meanwhile is not in it: it is for who goes back before anything was. A store that has not
// moved is left as it is. Errors: those of [Provision].
func Reopen(ctx context.Context, dial Dial, cfg Config) error {
	cfg = cfg.withDefaults()
	return provision(ctx, dial, func(ctx context.Context, p provisioner) error {
		info, err := p.findStream(ctx, cfg.Stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("%w: there is no stream %s", ErrConfig, cfg.Stream)
		}
		if err != nil || info.Config.Metadata[metadataMovedTo] == "" {
			return err
		}
		info.Config.MaxMsgSize = -1
		return p.note(ctx, info.Config, map[string]string{metadataMovedTo: ""})
	})
}

// aggregateDigest is a fingerprint of an aggregate's history: a chain over its commits.
type aggregateDigest struct {
	commits uint32
	sum     [16]byte
}

type digests map[StreamID]aggregateDigest

// add mixes a commit in, without its back-pointers.
func (d digests) add(id StreamID, events []wire.Event) error {
	content, err := wire.AppendCommit(nil, nil, events)
	if err != nil {
		return err
	}
	before := d[id]
	h := sha256.New()
	h.Write(before.sum[:])
	h.Write(content)
	after := aggregateDigest{commits: before.commits + 1}
	copy(after.sum[:], h.Sum(nil))
	d[id] = after
	return nil
}

// compare reads both logs again, from their beginnings, and compares each aggregate's history.
func (m *move) compare(ctx context.Context, end uint64) error {
	old, done := digests{}, uint64(0)
	err := m.from.scan(ctx, source{stream: m.from.cfg.Stream, gapless: true}, 0, end, func(msg message) error {
		c, err := m.take(msg)
		if err != nil {
			return err
		}
		if done++; done%toldEvery == 0 {
			m.tell(done, 2*end)
		}
		m.report.Events += len(c.events)
		return old.add(c.stream, c.events)
	})
	if err != nil {
		return err
	}
	m.report.Aggregates = len(old)
	for _, part := range m.parts {
		s := part.store
		last, err := s.lastSequence(ctx, s.cfg.Stream)
		if err != nil {
			return err
		}
		if last > part.count && !part.open { // another run may have finished just now
			info, err := s.general.findStream(ctx, s.cfg.Stream)
			if err != nil {
				return err
			}
			part.open = m.isComplete(info.Config)
		}
		if last < part.count || last > part.count && !part.open {
			return fmt.Errorf("%w: stream %s has %d commits, and %d were copied: did somebody write to it?", ErrConfig, s.cfg.Stream, last, part.count)
		}
		copies := digests{}
		if err := s.scan(ctx, source{stream: s.cfg.Stream, gapless: true}, 0, part.count, func(msg message) error {
			c, err := s.decodeMessage(msg.subject, msg.sequence, msg.data)
			if err != nil {
				return err
			}
			if done++; done%toldEvery == 0 {
				m.tell(done, 2*end)
			}
			var decoder wire.Decoder
			events, _, err := decoder.Decode(msg.data)
			if err != nil {
				return err
			}
			return copies.add(c.Stream, events)
		}); err != nil {
			return err
		}
		for id, copied := range copies {
			if original := old[id]; original != copied {
				return &CorruptError{Stream: id, Position: s.at(part.count), Reason: fmt.Sprintf(
					"its %d commits differ from the %d that were copied", copied.commits, original.commits)}
			}
			delete(old, id)
		}
	}
	for id := range old {
		return &CorruptError{Stream: id, Reason: "it was not copied"}
	}
	m.tell(2*end, 2*end)
	return nil
}

// Moved translates a place in a store that [Repartition] copied: it is where the commits up to there, and no others of
// them, are in this one. A subscription or projection that was at position in the old store goes on at the result. It makes some
// 20 requests for each partition. The zero Position is translated to itself. Errors: [ErrInvalid] for a position that no store of
// one partition has; [ErrConfig] where this store was not copied; ctx's, and what the connection says.
func (s *Store) Moved(ctx context.Context, position Position) (Position, error) {
	if position.partition != 0 || position.all != "" {
		return Position{}, fmt.Errorf("%w: %s is not a place in a store of one partition, from which this one was copied", ErrInvalid, position)
	}
	moved, err := s.moved(ctx, position)
	if err == nil && moved.IsZero() && !position.IsZero() {
		return Position{}, fmt.Errorf("%w: %s holds no copy of another store", ErrConfig, s.cfg.Stream)
	}
	return moved, err
}

func (s *Store) moved(ctx context.Context, position Position) (Position, error) {
	return s.ends(ctx, func(ctx context.Context, part *Store) (Position, error) {
		high, err := part.lastSequence(ctx, part.cfg.Stream)
		if err != nil {
			return Position{}, err
		}
		low := uint64(0) // was copied from up to position; what is behind high was not
		for low < high {
			middle := low + (high-low+1)/2
			m, err := part.knownMessage(ctx, part.cfg.Stream, middle, leaderPatience)
			if err != nil {
				return Position{}, err
			}
			from, err := strconv.ParseUint(m.header.Get(headerSource), 10, 64)
			if err == nil && from <= position.sequence { // what was not copied was written later
				low = middle
			} else {
				high = middle - 1
			}
		}
		return part.at(low), nil
	})
}
