package kvsink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// writesAtOnce is how many rows of one commit are written at the same time.
const writesAtOnce = 64

// Sink is an [esjs.Sink] on a KV bucket. Several projections may share one. It
// is safe for concurrent use.
type Sink struct {
	bucket bucket
	token  string // this sink's claims are known by it

	mu      sync.Mutex
	writers map[string]chan struct{} // by projection: holds one token, the right to write
}

// New makes the sink of a bucket that [esjs.ProvisionBucket] created; it uses
// the store's connection. The bucket's limit of bytes is the operator's to raise.
func New(store *esjs.Store, bucketName string) *Sink {
	return &Sink{
		bucket:  bucket{nc: store.Conn(), name: bucketName},
		token:   uuid.NewString(),
		writers: map[string]chan struct{}{},
	}
}

// Open returns the checkpoint of the projection name, and takes over a claim that
// another sink left on it. When there is no checkpoint it calls init, if there is
// one, and stores what that changed and then the zero checkpoint; a failed init
// stores nothing, and an init that a crash interrupted is called again.
func (s *Sink) Open(ctx context.Context, name string, init func(context.Context, *Tx) error) (esjs.Checkpoint, error) {
	if err := checkName(name); err != nil {
		return esjs.Checkpoint{}, err
	}
	done, err := s.turn(ctx, name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	defer done()
	found, revision, err := s.bucket.checkpoint(ctx, name)
	if err != nil {
		return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
	}
	switch {
	case revision != 0 && (found.Claim == "" || found.Claim == s.token):
		return found.esjs(), nil
	case revision == 0 && init != nil:
		tx := s.begin(name)
		if err := init(ctx, tx); err != nil {
			return esjs.Checkpoint{}, fmt.Errorf("open projection %s: init: %w", name, err)
		}
		if err := tx.store(ctx); err != nil {
			return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
		}
	}
	if _, err := s.bucket.putCheckpoint(ctx, name, found.esjs(), "", revision); err != nil {
		return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
	}
	return found.esjs(), nil
}

// Commit claims the checkpoint, runs apply, stores the rows that it changed, and
// then moves the checkpoint from from to to; see the package's comment for what
// others see meanwhile. A checkpoint that is not from, or that another sink has
// claimed, and a row that another sink has written meanwhile, are refused with
// [esjs.ErrConflict].
//
// When apply fails, or ctx has ended when it returns, no row is stored. Later
// failures may leave some rows stored: the events come again and those rows stay
// as they are. Trouble of the bucket (full, no leader, no answer) is marked with
// [esjs.ErrUnavailable].
func (s *Sink) Commit(ctx context.Context, name string, from, to esjs.Checkpoint, apply func(context.Context, *Tx) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	done, err := s.turn(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	found, revision, err := s.bucket.checkpoint(ctx, name)
	if err != nil {
		return err
	}
	if revision == 0 || found.Position != from.Position || found.Claim != "" && found.Claim != s.token {
		return fmt.Errorf("%w: the checkpoint of %s is at %s, not free at %s: another instance is projecting",
			esjs.ErrConflict, name, found.Position, from.Position)
	}
	tx := s.begin(name)
	if err := apply(ctx, tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(tx.changed()) > 0 {
		if revision, err = s.bucket.putCheckpoint(ctx, name, found.esjs(), s.token, revision); err != nil {
			return err
		}
		if err := tx.store(ctx); err != nil {
			return err
		}
	}
	_, err = s.bucket.putCheckpoint(ctx, name, to, "", revision)
	return err
}

// turn waits until no other call of this sink writes the projection; call done
// after it.
func (s *Sink) turn(ctx context.Context, name string) (done func(), err error) {
	s.mu.Lock()
	writer, ok := s.writers[name]
	if !ok {
		writer = make(chan struct{}, 1)
		s.writers[name] = writer
	}
	s.mu.Unlock()
	select {
	case writer <- struct{}{}:
		return func() { <-writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Sink) begin(name string) *Tx {
	return &Tx{bucket: s.bucket, name: name, rows: map[string]*row{}}
}

// store writes the rows that the transaction changed, each as it was read.
func (tx *Tx) store(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writesAtOnce)
	for _, r := range tx.changed() {
		group.Go(func() error {
			_, err := tx.bucket.putJSON(ctx, r.entry, r.stored, r.revision)
			return err
		})
	}
	return group.Wait()
}

// changed returns the rows to be written, in the order of their keys.
func (tx *Tx) changed() []*row {
	var rows []*row
	for _, r := range tx.rows {
		if r.dirty {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.entry, b.entry) })
	return rows
}

// checkName refuses a projection's name that KV keys cannot carry.
func checkName(name string) error {
	for _, r := range name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-') {
			return fmt.Errorf("%w: the projection's name %q: allowed in a KV bucket is [A-Za-z0-9_-]", esjs.ErrConfig, name)
		}
	}
	if name == "" {
		return fmt.Errorf("%w: the projection has no name", esjs.ErrConfig)
	}
	return nil
}
