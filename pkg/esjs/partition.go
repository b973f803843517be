package esjs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// A store of several partitions is a store for each of them and one that is opened: that
// one asks of (for one aggregate), together (for several) or parts (for all) who does the work.

// maxPartitions bounds [Config].Partitions: what asks all partitions, asks one after the other.
const maxPartitions = 64

// Partition returns which of a store's n partitions the aggregates with the key are in,
// whatever their category: from 0 to n-1, and 0 for n below 2. It is the 32-bit FNV-1a
// hash of [EscapeKey] modulo n, as NATS computes {{partition(n,i)}} of a subject's token in a
// subject mapping. It never changes.
func Partition(key string, n int) int {
	if n < 2 {
		return 0
	}
	hash := uint32(2166136261) // not by hash/fnv, which allocates for each append and load
	for _, b := range []byte(wire.EscapeKey(key)) {
		hash = (hash ^ uint32(b)) * 16777619
	}
	return int(hash % uint32(n))
}

// of is the store of the partition that an aggregate is in.
func (s *Store) of(id StreamID) *Store { return s.parts[Partition(id.Key, len(s.parts))] }

// at is a place in the store of one partition.
func (s *Store) at(sequence uint64) Position {
	if sequence == 0 {
		return Position{}
	}
	return Position{partition: s.partition, sequence: sequence}
}

// logName names the log in what is kept of it elsewhere; empty for a store of one
// partition, which had no name before there were several.
func (s *Store) logName() string {
	if !s.cfg.isPart {
		return ""
	}
	return s.cfg.Prefix
}

// together is the store of the partition that all the writes are in.
func (s *Store) together(writes []Write) (*Store, error) {
	first := s.of(writes[0].Stream)
	for _, w := range writes {
		if s.of(w.Stream) == first {
			continue
		}
		keys := make(map[int][]string)
		for _, w := range writes {
			p := Partition(w.Stream.Key, len(s.parts))
			keys[p] = append(keys[p], w.Stream.String())
		}
		var where []string
		for p := range s.parts {
			if len(keys[p]) > 0 {
				where = append(where, fmt.Sprintf("%s in partition %d", strings.Join(keys[p][:min(len(keys[p]), 5)], ", "), p))
			}
		}
		return nil, fmt.Errorf("%w: one AppendAll writes to one partition, and these are %s: give what changes together one key, "+
			"in categories of their own, or let a Process write one after the other", ErrInvalid, strings.Join(where, "; "))
	}
	return first, nil
}

// single refuses what one partition of several would do wrongly alone.
func (s *Store) single(what string) error {
	if len(s.parts) > 1 {
		return fmt.Errorf("%w: %s cannot be used yet on a store of %d partitions; it needs Partitions: 1", ErrConfig, what, len(s.parts))
	}
	return nil
}

// each does the same in all partitions, one after the other.
func (s *Store) each(do func(part *Store) error) error {
	for _, part := range s.parts {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// merged iterates what the partitions have, each in its order: of their next ones the first
// by compare, and of equal ones that of the first partition. The first error ends it.
func merged[T any](parts []*Store, all func(*Store) iter.Seq2[T, error], compare func(a, b T) int) iter.Seq2[T, error] {
	if len(parts) == 1 {
		return all(parts[0])
	}
	type head struct {
		next  func() (T, error, bool)
		value T
	}
	return func(yield func(T, error) bool) {
		var heads []*head
		advance := func(h *head) (more bool, err error) {
			h.value, err, more = h.next()
			return more, err
		}
		for _, part := range parts {
			next, stop := iter.Pull2(all(part))
			defer stop()
			h := &head{next: next}
			more, err := advance(h)
			if err != nil {
				yield(h.value, err)
				return
			}
			if more {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := slices.MinFunc(heads, func(a, b *head) int { return compare(a.value, b.value) })
			if !yield(first.value, nil) {
				return
			}
			more, err := advance(first)
			if err != nil {
				yield(first.value, err)
				return
			}
			if !more {
				heads = slices.DeleteFunc(heads, func(h *head) bool { return h == first })
			}
		}
	}
}

// ends joins a place in each partition.
func (s *Store) ends(ctx context.Context, end func(context.Context, *Store) (Position, error)) (Position, error) {
	all := make([]Position, 0, len(s.parts))
	err := s.each(func(part *Store) error {
		p, err := end(ctx, part)
		all = append(all, p)
		return err
	})
	if err != nil {
		return Position{}, err
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return joinPositions(all), nil
}

// checkPosition refuses a place in a partition that the store does not have.
func (s *Store) checkPosition(p Position) error {
	if p.IsZero() || int(p.partition) < len(s.parts) && p.all == "" {
		return nil
	}
	for _, e := range p.elements() {
		if int(e.partition) >= len(s.parts) {
			return fmt.Errorf("%w: the position %s is in partition %d, and the store has %d: it is of another store", ErrInvalid, p, e.partition, len(s.parts))
		}
	}
	return nil
}

// StreamOf returns the stream of one of the store's partitions, and what its subjects begin
// with: a commit is at <prefix>.<category>.<key>, where the key is written as [EscapeKey] does.
// It is for permissions, and for tools that look at the streams themselves.
func (c Config) StreamOf(partition int) (stream, prefix string) {
	c = c.withDefaults().part(partition)
	return c.Stream, c.Prefix
}

// part is the configuration of a partition's own store. The first one has the stream of a store
// of one partition, and the number of partitions is in the subjects: so a store that is opened
// with another number finds a stream that is not its own.
func (c Config) part(p int) Config {
	if c.Partitions > 1 {
		if p > 0 {
			c.Stream += "-" + strconv.Itoa(p)
		}
		c.Prefix += "-" + strconv.Itoa(c.Partitions) + "." + strconv.Itoa(p)
		c.Partitions, c.isPart = 1, true
	}
	return c
}

// streams lists the configurations of all partitions.
func (c Config) streams() []Config {
	all := make([]Config, c.Partitions)
	for p := range all {
		all[p] = c.part(p)
	}
	return all
}

// check refuses a number of partitions that cannot be.
func (c Config) check() error {
	if c.Partitions < 1 || c.Partitions > maxPartitions {
		return fmt.Errorf("%w: the store has %d partitions: 1 to %d are allowed", ErrConfig, c.Partitions, maxPartitions)
	}
	return nil
}

// otherwise is the [ErrConfig] of a first stream that is of a store with another number of
// partitions; nil when its subjects are not those of such a store.
func (c Config) otherwise(stream string, subjects []string) error {
	if stream != c.Stream || len(subjects) != 1 {
		return nil
	}
	n := 1
	if subjects[0] != c.Prefix+".>" {
		count, _ := strings.CutSuffix(subjects[0], ".0.>")
		n, _ = strconv.Atoi(strings.TrimPrefix(count, c.Prefix+"-")) // what is no number is no partition's
		if n < 2 || subjects[0] != (Config{Prefix: c.Prefix, Partitions: n}).part(0).Prefix+".>" {
			return nil
		}
	}
	if n == c.Partitions {
		return nil
	}
	return fmt.Errorf("%w: the store %s has Partitions: %d (its subjects are %s), and not %d: the number is fixed when a store is provisioned",
		ErrConfig, c.Stream, n, subjects[0], c.Partitions)
}
