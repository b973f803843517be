package esjs

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// logVerifier checks commits in the order in which they are stored.
type logVerifier struct {
	store  *Store
	decode func(Record) error // or nil
	report VerifyReport

	tails  map[StreamID]tailSeen
	ids    map[[2]uint64]uint64 // hashes of an event's id, and the sequence of its commit
	seeds  [2]maphash.Seed
	counts map[string]*CategoryReport
	digest logDigest
	gone   uint64 // sequences that are missing
}

// tailSeen is what the next commit of an aggregate must follow.
type tailSeen struct {
	version  uint64
	sequence uint64
	time     time.Time
	pointers uint64 // hash of the pointers that the next commit carries
}

func newLogVerifier(s *Store, decode func(Record) error, report VerifyReport) *logVerifier {
	return &logVerifier{
		store: s, decode: decode, report: report,
		tails:  map[StreamID]tailSeen{},
		ids:    map[[2]uint64]uint64{},
		seeds:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		counts: map[string]*CategoryReport{},
	}
}

// missing reports the sequences from first to before next.
func (v *logVerifier) missing(first, next uint64) {
	if next <= first {
		return
	}
	v.gone += next - first
	reason := "the leader does not have the commit"
	if n := next - first; n > 1 {
		reason = fmt.Sprintf("the leader does not have the %d commits up to %s", n, v.store.at(next-1))
	}
	v.report.add(Finding{Kind: FindingMissing, Position: v.store.at(first), Reason: reason})
}

// commit checks one stored message. Errors: those of [Store.reveal].
func (v *logVerifier) commit(ctx context.Context, m message) error {
	v.digest.add(m)
	c, err := v.store.decodeMessage(m.subject, m.sequence, m.data)
	if err != nil {
		stream, reason := v.store.unreadable(m).Stream, err.Error()
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			reason = corrupt.Reason
		}
		v.found(Commit{Stream: stream, Position: v.store.at(m.sequence)}, FindingUnreadable, 0, "%s", reason)
		return nil
	}
	if v.decode != nil {
		if err := v.store.reveal(ctx, c.Records, nil); err != nil {
			return err
		}
	}
	last := v.tails[c.Stream]
	v.count(c, last.version == 0, len(m.data))
	v.order(c, last)
	for _, r := range c.Records {
		v.event(c, r)
		if r.Time.Before(last.time) {
			v.found(c, FindingTime, r.Version, "the event is of %s, the one before it of %s",
				r.Time.Format(time.RFC3339Nano), last.time.Format(time.RFC3339Nano))
		}
		last.time = r.Time
	}
	v.tails[c.Stream] = tailSeen{
		version: c.revision.version, sequence: m.sequence, time: last.time,
		pointers: v.hashOf(c.revision.window[:min(len(c.revision.window), wire.WindowSize)]),
	}
	return nil
}

// order checks that c follows the aggregate's last commit and points to it and
// those before it. Behind a gap the pointers are not compared.
func (v *logVerifier) order(c Commit, last tailSeen) {
	first := c.Records[0].Version
	if first != last.version+1 {
		v.found(c, FindingGap, first, "version %d follows %d, whose commit is at %s", first, last.version, v.store.at(last.sequence))
		return
	}
	if window := c.window(); v.hashOf(window) != last.pointers {
		v.found(c, FindingPointers, first, "the pointers %v are not the aggregate's last commits, of which the newest is at %d", window, last.sequence)
	}
}

func (v *logVerifier) event(c Commit, r Record) {
	id := [2]uint64{maphash.String(v.seeds[0], r.ID), maphash.String(v.seeds[1], r.ID)}
	if before, twice := v.ids[id]; twice {
		v.found(c, FindingDuplicate, r.Version, "the id %q is also that of an event at %s", r.ID, v.store.at(before))
	} else {
		v.ids[id] = c.Position.sequence
	}
	if v.decode == nil || isOwn(c.Stream.Category) {
		return
	}
	err := v.decode(r)
	if e := (*DecodeError)(nil); errors.As(err, &e) {
		err = fmt.Errorf("%s: %w", e.Type, e.Err)
	}
	if err != nil {
		v.found(c, FindingDecode, r.Version, "%v", err)
	}
}

// count adds c to its category.
func (v *logVerifier) count(c Commit, isNew bool, bytes int) {
	n := v.counts[c.Stream.Category]
	if n == nil {
		n = &CategoryReport{Category: c.Stream.Category}
		v.counts[c.Stream.Category] = n
	}
	if isNew {
		n.Aggregates++
	}
	n.Commits++
	n.Events += len(c.Records)
	n.Bytes += uint64(bytes)
}

func (v *logVerifier) found(c Commit, kind FindingKind, version uint64, format string, args ...any) {
	v.report.add(Finding{Kind: kind, Stream: c.Stream.String(), Version: version, Position: c.Position, Reason: fmt.Sprintf(format, args...)})
}

// finish fills in the sums. deleted is how many messages the server itself knows to
// be missing.
func (v *logVerifier) finish(deleted int) {
	if deleted > 0 && v.gone == 0 {
		v.report.add(Finding{Kind: FindingMissing, Reason: fmt.Sprintf("the server counts %d deleted messages, and has all of them up to %s", deleted, v.report.Until)})
	}
	v.report.Digest = v.digest.String()
	for _, name := range slices.Sorted(maps.Keys(v.counts)) {
		n := *v.counts[name]
		v.report.Categories = append(v.report.Categories, n)
		v.report.Aggregates += n.Aggregates
		v.report.Commits += n.Commits
		v.report.Events += n.Events
	}
}

// hashOf is a fingerprint of pointers. No pointers have the hash 0.
func (v *logVerifier) hashOf(window []uint64) uint64 {
	if len(window) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(v.seeds[0])
	for _, sequence := range window {
		maphash.WriteComparable(&h, sequence)
	}
	return h.Sum64()
}
