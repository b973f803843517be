package esjs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
	"github.com/go-json-experiment/json"
)

const (
	// parkedSequences bounds the list in an entry; what comes later is found
	// again in the stream.
	parkedSequences = 1000
	// reasonBytes bounds the reason in an entry.
	reasonBytes = 2000
)

// parkedEntry is the KV entry of a key that was set aside: everything of the
// key that waits, and why.
type parkedEntry struct {
	Subscription string    `json:"subscription"`
	Key          string    `json:"key"`
	Reason       string    `json:"reason"`
	Since        time.Time `json:"since"`
	// Sequences are the commits that wait, ascending. When there are more,
	// MoreFrom is the first of the others, and all of the key from there on waits.
	Sequences []uint64 `json:"sequences,omitempty"`
	MoreFrom  uint64   `json:"more_from,omitzero"`
	// Released lets the key go on. The owner then sets MoreTo: what the key
	// has after it waits in the queue and no longer here.
	Released bool   `json:"released,omitzero"`
	MoreTo   uint64 `json:"more_to,omitzero"`
	// Follows tells that the key waits because it is parked in another partition; see
	// [parking.others].
	Follows bool `json:"follows,omitzero"`
}

func parkedPrefix(subscription string) string { return "parked." + wire.EscapeKey(subscription) + "." }

func parkedKVKey(subscription, key string) string {
	return parkedPrefix(subscription) + wire.EscapeKey(key)
}

// covers tells that a delivered commit of the key needs no handling of its own:
// the entry holds it, or it was finished before what the entry holds.
func (e *parkedEntry) covers(sequence uint64) bool {
	switch {
	case e.MoreFrom > 0:
		return e.MoreTo == 0 || sequence <= e.MoreTo
	case len(e.Sequences) > 0:
		return sequence <= e.Sequences[len(e.Sequences)-1]
	}
	return false
}

// add puts later commits of the key into the entry. It works on a copy.
func (e parkedEntry) add(sequences []uint64) parkedEntry {
	e.Sequences = slices.Clone(e.Sequences)
	for _, sequence := range sequences {
		switch {
		case e.covers(sequence):
		case e.MoreFrom > 0: // beyond MoreTo: the key was released and parked again
			e.MoreTo = 0
		case len(e.Sequences) < parkedSequences:
			e.Sequences = append(e.Sequences, sequence)
		default:
			e.MoreFrom = sequence
		}
	}
	return e
}

// holds tells that the key is to wait in other partitions, too.
func (e *parkedEntry) holds() bool { return !e.Released && !e.Follows }

// done tells that the key was released and nothing waits any more.
func (e *parkedEntry) done() bool {
	return e.Released && len(e.Sequences) == 0 && e.MoreFrom == 0
}

// parkedAgain is the entry with a new reason, no longer released.
func (e parkedEntry) parkedAgain(reason error) parkedEntry {
	e.Reason, e.Since, e.Released, e.Follows = clip(reason.Error()), time.Now().UTC(), false, false
	return e
}

func clip(reason string) string {
	if len(reason) > reasonBytes {
		reason = reason[:reasonBytes]
	}
	return strings.ToValidUTF8(reason, "?")
}

// parkedKey is an entry as its owner knows it; gone when it is deleted.
type parkedKey struct {
	entry    parkedEntry
	revision uint64
	gone     bool
	unsaved  int // replayed commits that the stored entry still lists
}

// parking holds the parked keys of one subscription, as stored in its bucket.
// An entry is changed by the worker that has taken the key's lane; others may
// release it, which the watch notices. It is safe for concurrent use.
type parking struct {
	bucket       bucket
	subscription string
	most         int              // keys that are parked
	count        func(n int)      // told when the number of keys changed
	wake         func(key string) // told when a key was changed by another
	// others are the subscription's entries for other partitions, where a key that is parked
	// in one of them waits in all: it is parked here when something of it comes, follows the others,
	// and goes on when none of them holds it any more. Only a process has them.
	others []string

	mu        sync.Mutex
	keys      map[string]parkedKey // by KV key
	elsewhere map[string]parkedKey // those of others
	replayed  map[string]uint64    // by key: up to where it was released in this session
	parked    int                  // those that are not gone, and follow no other
	// counted tells that count was told once.
	counted bool
}

// watch follows the entries; ready is called when all that were stored at
// revision are known.
func (p *parking) watch(ctx context.Context, revision uint64, ready func()) error {
	entries := []string{parkedPrefix(p.subscription) + "*"}
	for _, other := range p.others {
		entries = append(entries, parkedPrefix(other)+"*")
	}
	heard := time.Now()
	// hear ends the session when it was deaf for so long that it may have missed that an entry of
	// another partition is gone: what is purged leaves a mark that does not stay.
	hear := func() error {
		silence := time.Since(heard)
		heard = heard.Add(silence)
		if len(p.others) > 0 && silence > markerStays/2 {
			return errGivenUp
		}
		return nil
	}
	return p.bucket.store.follow(ctx, p.bucket.source(entries...), 0, follower{
		again: func() {}, // what is known is passed over; in another bucket the lease is another one, too
		deliver: func(m message) error {
			if err := hear(); err != nil {
				return err
			}
			name := strings.TrimPrefix(m.subject, p.bucket.subject(""))
			value := m.data
			if isDeleted(m) {
				value = nil
			}
			key, changed, err := p.learn(name, value, m.sequence)
			if changed {
				p.wake(key)
			}
			return err
		},
		reached: func(sequence, _ uint64) error {
			if sequence >= revision {
				ready()
			}
			return hear()
		},
	})
}

// learn takes over what the bucket holds at revision, unless something newer
// is known. No value: the entry was deleted.
func (p *parking) learn(name string, value []byte, revision uint64) (key string, changed bool, err error) {
	k, err := p.parse(name, value, revision)
	if err != nil {
		return "", false, err
	}
	own := strings.HasPrefix(name, parkedPrefix(p.subscription))
	keys := p.elsewhere
	if own {
		keys = p.keys
	} else {
		k.entry.Sequences, k.entry.Reason = nil, "" // whether it holds is all that counts
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := keys[name]
	if found && known.revision >= revision || !found && k.gone {
		return "", false, nil
	}
	if k.gone {
		k.entry.Key = known.entry.Key
	}
	switch {
	case own:
		p.put(name, k)
	case k.gone:
		delete(keys, name)
	default:
		keys[name] = k
	}
	return k.entry.Key, true, nil
}

// heldElsewhere tells that a key is parked in another partition, and not because of this one.
func (p *parking) heldElsewhere(key string) bool {
	if len(p.others) == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.elsewhere) == 0 {
		return false
	}
	for _, other := range p.others {
		if k, found := p.elsewhere[parkedKVKey(other, key)]; found && k.entry.holds() {
			return true
		}
	}
	return false
}

func (p *parking) parse(name string, value []byte, revision uint64) (parkedKey, error) {
	k := parkedKey{revision: revision, gone: value == nil}
	if k.gone {
		return k, nil
	}
	if err := json.Unmarshal(value, &k.entry); err != nil {
		return k, fmt.Errorf("%w: the entry %s of bucket %s is not a parked key: %w", ErrConfig, name, p.bucket.name, err)
	}
	return k, nil
}

// put remembers an entry; the caller holds the lock.
func (p *parking) put(name string, k parkedKey) {
	before := p.parked
	if known, found := p.keys[name]; found && known.counts() {
		p.parked--
	}
	if k.counts() {
		p.parked++
	}
	p.keys[name] = k
	if !p.counted || p.parked != before {
		p.counted = true
		p.count(p.parked)
	}
}

// counts tells that it is one of the parked keys.
func (k parkedKey) counts() bool { return !k.gone && !k.entry.Follows }

// gone tells that an entry is not there; the caller holds the lock.
func (p *parking) gone(name string) bool {
	k, found := p.keys[name]
	return !found || k.gone
}

// get returns what is known of a key; gone when it is not parked.
func (p *parking) get(key string) parkedKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.keys) == 0 {
		return parkedKey{gone: true}
	}
	if k, found := p.keys[parkedKVKey(p.subscription, key)]; found {
		return k
	}
	return parkedKey{gone: true}
}

// own returns the entries that are known.
func (p *parking) own() []parkedKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.keys))
}

// replays notes that all that waits of a key, up to a sequence, is replayed, or waits again.
func (p *parking) replays(key string, until uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replayed[key] = max(p.replayed[key], until)
}

// replayedUntil is up to where a key was replayed; 0 when it was not.
func (p *parking) replayedUntil(key string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.replayed) == 0 {
		return 0
	}
	return p.replayed[key]
}

// crowded tells that no more keys are parked.
func (p *parking) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parked >= p.most
}

// remember keeps progress that is not stored yet, unless another changed the entry.
func (p *parking) remember(key string, k parkedKey) {
	name := parkedKVKey(p.subscription, key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[name].revision == k.revision {
		p.keys[name] = k
	}
}

// store writes an entry over the one at revision; one that is done is removed.
// Where another changed it, the change is learned and errChanged returned: the
// caller looks again.
func (p *parking) store(ctx context.Context, key string, e parkedEntry, revision uint64) error {
	name := parkedKVKey(p.subscription, key)
	e.Subscription, e.Key = p.subscription, key
	k := parkedKey{entry: e, gone: e.done()}
	var err error
	if k.gone {
		k.revision, err = p.bucket.delete(ctx, name, revision)
	} else {
		var value []byte
		if value, err = json.Marshal(e); err != nil {
			return err
		}
		k.revision, err = p.bucket.put(ctx, name, value, revision)
	}
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.keys[name].revision < k.revision { // the watch may have learned what came after it
			p.put(name, k)
		}
		return nil
	}
	if !errors.Is(err, errChanged) {
		return err
	}
	value, now, readErr := p.bucket.get(ctx, name)
	if readErr != nil {
		return readErr
	}
	found, readErr := p.parse(name, value, now)
	if readErr != nil {
		return readErr
	}
	found.entry.Key = key
	p.mu.Lock()
	same := p.gone(name) && found.gone // only the mark of a deletion came or went
	if now == 0 || p.keys[name].revision < now {
		p.put(name, found)
	}
	p.mu.Unlock()
	if same {
		return p.store(ctx, key, e, now)
	}
	return err
}
