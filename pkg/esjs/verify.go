package esjs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// VerifyConfig says what [Verify] looks at. The zero value is the whole log,
// without snapshots.
type VerifyConfig struct {
	// Until is the last commit that is read; zero: the store's last one at the
	// time of the call.
	Until Position
	// Snapshots are compared with a fold from zero; see [CheckSnapshots].
	Snapshots []SnapshotCheck
}

// VerifyReport is what [Verify] has seen.
type VerifyReport struct {
	Leader string `json:"leader"` // the name of the server that was read; of the partitions' servers, where there are several
	// Until is the last commit that was read.
	Until      Position         `json:"until"`
	Aggregates int              `json:"aggregates"`
	Commits    int              `json:"commits"` // that could be read
	Events     int              `json:"events"`
	Categories []CategoryReport `json:"categories"` // by name
	// Stored is what the stream takes on disk, in bytes as the server counts them:
	// with the head of each message, before compression, without the index. It
	// includes what is stored after Until.
	Stored    uint64 `json:"stored_bytes"`
	Snapshots int    `json:"snapshots"` // that agree with a fold from zero
	// Unused are snapshots of another form or state version, and those that were
	// sealed for persons whose keys are gone. Nobody reads them.
	Unused int `json:"unused_snapshots"`
	// Digest is the SHA-256 of the sequences, subjects and bodies of all commits,
	// in hexadecimal: two logs that are the same up to Until have the same one. Of several
	// partitions it is that of their digests.
	Digest string `json:"digest"`
	// Findings are the first 1000 of Found.
	Findings []Finding `json:"findings"`
	Found    int       `json:"found"`
}

// CategoryReport counts what is stored of a category.
type CategoryReport struct {
	Category   string `json:"category"`
	Aggregates int    `json:"aggregates"`
	Commits    int    `json:"commits"`
	Events     int    `json:"events"`
	Bytes      uint64 `json:"bytes"` // of the commits' bodies
}

// Sound tells that nothing is wrong.
func (r VerifyReport) Sound() bool { return r.Found == 0 }

// Finding is something that is not as it was written, and its place.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Stream   string      `json:"stream,omitzero"` // the aggregate; empty where it is not known
	Version  uint64      `json:"version,omitzero"`
	Position Position    `json:"position,omitzero"`
	Reason   string      `json:"reason"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Stream != "" {
		fmt.Fprintf(&b, " %q", f.Stream)
	}
	if f.Version > 0 {
		fmt.Fprintf(&b, " version %d", f.Version)
	}
	if !f.Position.IsZero() {
		fmt.Fprintf(&b, " at %s", f.Position)
	}
	return b.String() + ": " + f.Reason
}

// FindingKind is what a [Finding] is about.
type FindingKind string

// The kinds of findings.
const (
	FindingMissing    FindingKind = "missing"    // commits that were stored and are not there
	FindingUnreadable FindingKind = "unreadable" // a message that is not a commit
	FindingGap        FindingKind = "gap"        // versions that do not follow each other
	FindingPointers   FindingKind = "pointers"   // back-pointers that are not the aggregate's commits
	FindingTime       FindingKind = "time"       // an event that is older than the one before it
	FindingDuplicate  FindingKind = "duplicate"  // two events with one id
	FindingDecode     FindingKind = "decode"     // an event that the codec does not decode
	FindingSnapshot   FindingKind = "snapshot"   // a snapshot that a fold from zero contradicts
	FindingReplica    FindingKind = "replica"    // a replica that has something else than the others
)

const maxFindings = 1000

func (r *VerifyReport) add(f Finding) {
	r.Found++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// Verify reads the whole store as its leader has it, commit by commit, and reports
// everything that is not as it was written: sequences that are missing, versions with
// gaps, back-pointers, times, ids that are there twice, events that codec does not
// decode, and snapshots that a fold from zero contradicts. Where an aggregate is
// damaged it goes on behind the damage. With a nil codec no event is decoded; the
// store's own events never are, and those with [Personal] values only by a store with keys.
//
// It changes nothing, leaves nothing behind, and may run while others write. It keeps
// about 200 bytes for each aggregate and 60 for each event in memory.
//
// What is wrong is in the report, and is no error. Errors: [ErrConfig] for a bucket of
// snapshots that is not there, [ErrUnavailable] when another server became the leader
// meanwhile, ctx's error, and what the connection says.
func Verify[E Event](ctx context.Context, store *Store, codec *Codec[E], cfg VerifyConfig) (VerifyReport, error) {
	return store.verifyLog(ctx, decoding(codec), cfg)
}

// decoding tells whether an event can be decoded; nil without a codec.
func decoding[E Event](codec *Codec[E]) func(Record) error {
	if codec == nil {
		return nil
	}
	return func(r Record) error {
		_, err := codec.Decode(r)
		return err
	}
}

// verifyLog verifies the log of each partition, and then the snapshots.
func (s *Store) verifyLog(ctx context.Context, decode func(Record) error, cfg VerifyConfig) (VerifyReport, error) {
	if err := s.checkPosition(cfg.Until); err != nil {
		return VerifyReport{}, err
	}
	var reports []VerifyReport
	err := s.each(func(part *Store) error {
		if !cfg.Until.IsZero() && cfg.Until.in(part.partition) == 0 {
			return nil
		}
		report, err := part.verifyPart(ctx, decode, cfg.Until.only(part.partition))
		reports = append(reports, report)
		return err
	})
	report := joinReports(reports)
	for _, check := range cfg.Snapshots {
		if err == nil {
			err = check.run(ctx, s, &report)
		}
	}
	return report, err
}

// joinReports sums up what was seen of the partitions.
func joinReports(reports []VerifyReport) VerifyReport {
	if len(reports) == 1 {
		return reports[0]
	}
	var all VerifyReport
	var leaders []string
	categories := map[string]CategoryReport{}
	digests := sha256.New()
	for _, r := range reports {
		if !slices.Contains(leaders, r.Leader) {
			leaders = append(leaders, r.Leader)
		}
		all.Until = all.Until.Later(r.Until)
		all.Aggregates += r.Aggregates
		all.Commits += r.Commits
		all.Events += r.Events
		all.Stored += r.Stored
		for _, c := range r.Categories {
			sum := categories[c.Category]
			categories[c.Category] = CategoryReport{
				Category: c.Category, Aggregates: sum.Aggregates + c.Aggregates, Commits: sum.Commits + c.Commits,
				Events: sum.Events + c.Events, Bytes: sum.Bytes + c.Bytes,
			}
		}
		fmt.Fprintln(digests, r.Digest)
		all.Found += r.Found
		all.Findings = append(all.Findings, r.Findings[:min(len(r.Findings), maxFindings-len(all.Findings))]...)
	}
	for _, name := range slices.Sorted(maps.Keys(categories)) {
		all.Categories = append(all.Categories, categories[name])
	}
	all.Leader, all.Digest = strings.Join(leaders, ", "), hex.EncodeToString(digests.Sum(nil))
	return all
}

// verifyPart verifies the log of one partition.
func (s *Store) verifyPart(ctx context.Context, decode func(Record) error, last Position) (VerifyReport, error) {
	info, err := s.streamInfo(ctx, s.cfg.Stream)
	if err != nil {
		return VerifyReport{}, err
	}
	until := min(info.State.LastSeq, last.sequence)
	if last.IsZero() {
		until = info.State.LastSeq
	}
	v := newLogVerifier(s, decode, VerifyReport{Leader: info.Cluster.Leader, Until: s.at(until), Stored: info.State.Bytes})
	if err := v.read(ctx, info.State.FirstSeq, until); err != nil {
		return v.report, err
	}
	v.finish(info.State.NumDeleted)
	if info, err = s.streamInfo(ctx, s.cfg.Stream); err != nil {
		return v.report, err
	}
	if leader := info.Cluster.Leader; leader != v.report.Leader {
		return v.report, fmt.Errorf("%w: %s became the leader of %s instead of %s while it was verified; verify again",
			ErrUnavailable, leader, s.cfg.Stream, v.report.Leader)
	}
	return v.report, nil
}

// verifyPage is how many commits are asked for at once.
const verifyPage = maxInFlight

// read verifies the commits up to until. Those before first are not there.
func (v *logVerifier) read(ctx context.Context, first, until uint64) error {
	first = min(max(first, 1), until+1)
	v.missing(1, first)
	pages := make(chan []message, 2)
	ctx, cancel := context.WithCancel(ctx)
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(pages)
		for at := first; at <= until; at += verifyPage {
			page := make([]message, min(verifyPage, until-at+1))
			if failed = v.store.leaderPage(ctx, at, page); failed != nil {
				return
			}
			select {
			case pages <- page:
			case <-ctx.Done():
				failed = ctx.Err()
				return
			}
		}
	}()
	defer func() { cancel(); <-ended }()
	next := first
	for page := range pages {
		for _, m := range page {
			if m.sequence == 0 {
				continue
			}
			v.missing(next, m.sequence)
			if err := v.commit(ctx, m); err != nil {
				return err
			}
			next = m.sequence + 1
		}
	}
	if <-ended; failed != nil {
		return failed
	}
	v.missing(next, until+1)
	return nil
}

// leaderPage reads the messages of the event stream from the sequence first on
// from the leader, with all requests in flight at once. One that the leader does
// not have stays the zero message.
func (s *Store) leaderPage(ctx context.Context, first uint64, page []message) error {
	read := make([]bool, len(page))
	if err := s.leaderAtOnce(ctx, first, page, read); err != nil && (permanent(err) || ctx.Err() != nil) {
		return err
	}
	for i := range page {
		if read[i] {
			continue
		}
		m, err := s.leaderMessage(ctx, s.cfg.Stream, first+uint64(i))
		if err != nil && !errors.Is(err, errNoMessage) {
			return err
		}
		page[i] = m
	}
	return nil
}

// leaderAtOnce fills page with what one round trip brings, and marks it in read.
func (s *Store) leaderAtOnce(ctx context.Context, first uint64, page []message, read []bool) error {
	c, err := s.reader().begin()
	if err != nil {
		return err
	}
	defer c.end()
	for i := range page {
		if err := c.send(ctx, leaderRequest(s.cfg.Stream, fmt.Appendf(nil, `{"seq":%d}`, first+uint64(i))), i); err != nil {
			return err
		}
	}
	c.wait()
	for range page {
		i, answer, err := c.next(ctx)
		if err != nil {
			return err
		}
		if m, err := leaderAnswer(s.cfg.Stream, answer); err == nil {
			page[i], read[i] = m, true
		}
	}
	return nil
}

// logDigest is the fingerprint of a log.
type logDigest struct{ sum [sha256.Size]byte }

// add mixes a message in: the digest is a chain, so that order matters and no
// state but the sum is kept.
func (d *logDigest) add(m message) {
	body := sha256.Sum256(m.data)
	line := fmt.Appendf(slices.Clone(d.sum[:]), "%d %s %d ", m.sequence, m.subject, len(m.data))
	d.sum = sha256.Sum256(append(line, body[:]...))
}

func (d *logDigest) String() string { return hex.EncodeToString(d.sum[:]) }
