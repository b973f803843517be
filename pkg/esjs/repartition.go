package esjs

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// RepartitionConfig says what [Repartition] copies, and where to.
type RepartitionConfig struct {
	// From is the store that is copied, of one partition. It stays as it is, but for the note where it has moved.
	From Config
	Dial Dial
	// To is the store that is filled, of any number of partitions. It is provisioned, and has another
	// stream than From, and another prefix where it has one partition on the same servers.
	To     Config
	ToDial Dial // nil: on the same servers
	// CutOver ends the old store: when the copy has caught up, From takes no more appends (they fail with
	// [ErrMoved]), the rest is copied, everything is compared, and only then To can be opened. Without it what is
	// stored at the time of the call is copied, and From is not changed.
	CutOver bool
	// Progress is told now and then how many of the commits that are to be looked at have been; nil is allowed.
	Progress func(done, of uint64)
}

// RepartitionReport is what [Repartition] did.
type RepartitionReport struct {
	From string `json:"from"` // the stream
	To   string `json:"to"`   // the first stream
	// Until is the last commit of From that is in To, and At is the same place there: what
	// reads To from At on misses nothing and repeats nothing of what it has read of From up to Until.
	Until  Position `json:"until"`
	At     Position `json:"at"`
	Found  uint64   `json:"found_commits"`  // that were there already, each compared
	Copied uint64   `json:"copied_commits"` // by this call, or by another one at the same time

	Partitions []PartitionReport `json:"partitions"`

	// CutOver tells that To has everything of From, and From takes nothing more. The fields below are set then.
	CutOver    bool    `json:"cut_over"`
	Aggregates int     `json:"aggregates"` // that were compared, commit by commit
	Events     int     `json:"events"`
	Stopped    float64 `json:"stopped_seconds"` // from when From took no more appends until To could be opened
}

// PartitionReport is how much of a partition was copied.
type PartitionReport struct {
	Stream  string `json:"stream"`
	Commits uint64 `json:"commits"`
}

// Repartition copies a store of one partition into one of several streams, while writers go on
// writing to it, and moves there for good where cfg.CutOver says so. It is begun again after any interruption, by
// whomever, also twice at once: the k-th commit of a partition is published as the k-th message of its stream and in no other
// case, so that nothing is there twice, or missing, or in another order. What was there before is compared with what would be copied.
//
// Every aggregate keeps its commits, versions, event ids, times and metadata. What names places of the old log is
// made to name the same places of the new one: back-pointers, the inputs that processes consumed, and what guards have
// seen. When a commit was stored on the server, which [Store.LastBefore] asks for, is when it was copied. Positions and revisions that programs
// hold are of the old log: [Store.Moved] translates a position.
//
// It keeps 8 bytes of each commit in memory, and where it cuts over about 200 of each aggregate. It needs the rights to create
// and update streams, to publish everything, and, where the old stream has replicas, to have each of them lead it: a replica that has not
// heard of the end could take appends later.
//
// Until the move is complete [Open] refuses the new store, and [Reopen] takes it back. Errors: [ErrConfig] for stores that cannot
// be from and to, and a new one that holds something else; [ErrStoreFull] and [ErrTooLarge] for what does not fit there; [ErrUnavailable] when a replica of the old
// stream cannot be asked; *[CorruptError] for what of the old log cannot be read, and for what differs in the end; ctx's error, and what the connections say.
func Repartition(ctx context.Context, cfg RepartitionConfig) (RepartitionReport, error) {
	m, err := newMove(ctx, cfg)
	if err != nil {
		return RepartitionReport{}, err
	}
	defer m.close()
	if err := m.run(ctx); err != nil {
		err = fmt.Errorf("esjs: move %s to %s: %w", m.report.From, m.report.To, err)
		if m.moved {
			err = fmt.Errorf("%w; %s takes no appends meanwhile: begin again, with CutOver, or Reopen it", err, m.report.From)
		}
		return m.report, err
	}
	return m.report, nil
}

// move is one run of [Repartition].
type move struct {
	cfg      RepartitionConfig
	from, to *Store
	moved    bool // from takes no more appends
	report   RepartitionReport
	parts    []*copied
	places   []spot // of the commits of from: the first one is at 0
}

// copied is the destination of a partition.
type copied struct {
	store *Store
	open  bool   // the move into it was complete when this one began: there may be more behind what was moved
	have  uint64 // commits that its leader is known to have
	found uint64 // of them when it began
	count uint64 // commits of from that are in this partition, so far
}

// spot is a place in the new store: the partition in the upper byte, the sequence below.
type spot uint64

func newSpot(partition int, sequence uint64) spot { return spot(uint64(partition)<<56 | sequence) }

func (p spot) sequence() uint64 { return uint64(p) & (1<<56 - 1) }

func (p spot) position() Position {
	return Position{partition: uint32(p >> 56), sequence: p.sequence()}
}

const (
	// metadataCopyOf is on the streams of a store that is being filled, and names the stream that is copied.
	metadataCopyOf = "esjs-copy-of"
	// metadataCopied is on the streams of a store that has been filled, for good, and names the stream that was copied.
	metadataCopied = "esjs-copied"
	// metadataMovedTo is on a stream that takes no more appends, and names where the store is now.
	metadataMovedTo = "esjs-moved-to"
	// headerSource is on every commit that was copied: its sequence in the old stream.
	headerSource = "Esjs-Source"
)

func newMove(ctx context.Context, cfg RepartitionConfig) (*move, error) {
	cfg.From, cfg.To = cfg.From.withDefaults(), cfg.To.withDefaults()
	cfg.From.Keys, cfg.To.Keys = nil, nil // what is sealed stays sealed
	switch {
	case cfg.From.Partitions > 1:
		return nil, fmt.Errorf("%w: the store %s has %d partitions, and only one of 1 can be copied: commits of different partitions have no order that a copy could begin again in",
			ErrConfig, cfg.From.Stream, cfg.From.Partitions)
	case cfg.ToDial == nil && cfg.To.Stream == cfg.From.Stream:
		return nil, fmt.Errorf("%w: the new store needs streams of its own, and not %s, which is copied", ErrConfig, cfg.From.Stream)
	}
	if cfg.ToDial == nil {
		cfg.ToDial = cfg.Dial
	}
	m := &move{cfg: cfg, report: RepartitionReport{From: cfg.From.Stream, To: cfg.To.Stream}}
	if err := m.connect(ctx); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// connect opens both stores, and finds what is there.
func (m *move) connect(ctx context.Context) (err error) {
	if m.from, err = Open(ctx, m.cfg.Dial, m.cfg.From); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	to := m.cfg.To
	to.copying = true
	if m.to, err = Open(ctx, m.cfg.ToDial, to); err != nil {
		return err
	}
	for i, part := range m.to.parts {
		if m.parts[i].have, err = part.lastSequence(ctx, part.cfg.Stream); err != nil {
			return err
		}
		m.parts[i].store, m.parts[i].found = part, m.parts[i].have
	}
	return nil
}

func (m *move) close() {
	for _, s := range []*Store{m.from, m.to} {
		if s != nil {
			s.Close()
		}
	}
}

// look refuses an old store that has moved elsewhere, and a new one that is too small.
func (m *move) look(ctx context.Context) error {
	info, err := m.from.general.findStream(ctx, m.from.cfg.Stream)
	if err != nil {
		return err
	}
	if to := info.Config.Metadata[metadataMovedTo]; to != "" {
		if to != m.target() {
			return fmt.Errorf("%w: the store %s has moved to %s, and not to %s", ErrConfig, info.Config.Name, to, m.target())
		}
		m.moved = true
	}
	if room := m.cfg.To.MaxBytes; room > 0 && uint64(room)*uint64(m.cfg.To.Partitions) < info.State.Bytes {
		return fmt.Errorf("%w: %d bytes are stored, and the new store has MaxBytes of %d for each of its %d streams", ErrConfig, info.State.Bytes, room, m.cfg.To.Partitions)
	}
	return nil
}

// target is how the old stream names the new store.
func (m *move) target() string {
	return fmt.Sprintf("%s, Partitions: %d", m.cfg.To.Stream, m.cfg.To.Partitions)
}

// prepare provisions the new store and notes on its streams that they are a copy that is not complete, unless they say that
// they are complete. A stream that holds something and says neither is none.
func (m *move) prepare(ctx context.Context) error {
	if err := Provision(ctx, m.cfg.ToDial, m.cfg.To); err != nil {
		return err
	}
	return provision(ctx, m.cfg.ToDial, func(ctx context.Context, p provisioner) error {
		m.parts = nil
		for _, part := range m.cfg.To.streams() {
			info, err := p.findStream(ctx, part.Stream)
			if err != nil {
				return err
			}
			of, complete := info.Config.Metadata[metadataCopyOf], m.isComplete(info.Config)
			if complete && !m.moved { // another run may have finished just now
				if err := m.look(ctx); err != nil {
					return err
				}
			}
			open := complete && m.moved
			switch {
			case of != "" && of != m.cfg.From.Stream:
				return fmt.Errorf("%w: stream %s is being filled with the store %s, and not with %s", ErrConfig, part.Stream, of, m.cfg.From.Stream)
			case of == "" && !open && info.State.LastSeq > 0:
				return fmt.Errorf("%w: stream %s holds %d messages and is no copy of %s: name a store that is not there yet", ErrConfig, part.Stream, info.State.LastSeq, m.cfg.From.Stream)
			case of == "" && !open:
				if err := p.note(ctx, info.Config, map[string]string{metadataCopyOf: m.cfg.From.Stream}); err != nil {
					return err
				}
			}
			m.parts = append(m.parts, &copied{open: open})
		}
		return nil
	})
}

// isComplete tells that a stream of the new store says so.
func (m *move) isComplete(cfg jetstream.StreamConfig) bool {
	return cfg.Metadata[metadataCopyOf] == "" && cfg.Metadata[metadataCopied] == m.cfg.From.Stream
}

const (
	// nearlyThere is how few commits are left when the old store is ended, and rounds how often that is waited for.
	nearlyThere = 1000
	rounds      = 10
)

func (m *move) run(ctx context.Context) error {
	last, err := m.from.Last(ctx)
	if err != nil {
		return err
	}
	if err := m.copy(ctx, last.sequence); err != nil {
		return err
	}
	if m.cfg.CutOver {
		if err := m.cutOver(ctx); err != nil {
			return err
		}
	}
	m.summarize()
	return nil
}

// cutOver ends the old store, copies the rest and opens the new one.
func (m *move) cutOver(ctx context.Context) error {
	for range rounds {
		last, err := m.from.Last(ctx)
		if err != nil {
			return err
		}
		if last.sequence <= uint64(len(m.places))+nearlyThere {
			break
		}
		if err := m.copy(ctx, last.sequence); err != nil {
			return err
		}
	}
	began := time.Now()
	end, err := m.fence(ctx)
	if err != nil {
		return err
	}
	if err := m.copy(ctx, end); err != nil {
		return err
	}
	if err := m.compare(ctx, end); err != nil {
		return err
	}
	if last, err := m.from.Last(ctx); err != nil || last.sequence != end {
		return errorOr(err, "%w: the old stream has a commit at %d, and had been ended at %d: was it opened again? Begin again", ErrConfig, last.sequence, end)
	}
	if err := m.release(ctx); err != nil {
		return err
	}
	m.report.CutOver, m.report.Stopped = true, time.Since(began).Seconds()
	return nil
}

// errorOr is err, or what is wrong although there is none.
func errorOr(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

// summarize fills in what was copied.
func (m *move) summarize() {
	m.report.Until = m.from.at(uint64(len(m.places)))
	var at []Position
	for _, part := range m.parts {
		at = append(at, part.store.at(part.count))
		m.report.Found += min(part.found, part.count)
		m.report.Copied += part.count - min(part.found, part.count)
		m.report.Partitions = append(m.report.Partitions, PartitionReport{Stream: part.store.cfg.Stream, Commits: part.count})
	}
	m.report.At = joinPositions(at)
}
