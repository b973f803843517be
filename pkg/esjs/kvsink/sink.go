package kvsink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// writesAtOnce is how many rows of one commit are written at the same time.
const writesAtOnce = 64

// Sink is an [esjs.Sink] on a KV bucket. Several projections may share one. It
// is safe for concurrent use.
type Sink struct {
	store  *esjs.Store
	bucket bucket
	token  string // this sink's claims are known by it

	releaseStays time.Duration

	mu       sync.Mutex
	writers  map[string]chan struct{} // by projection: holds one token, the right to write
	releases map[string]release       // by projection: those of others that are waited for
}

// release is another sink's claim for a release, by the revision of the checkpoint, and since when it is waited for.
type release struct {
	revision uint64
	since    time.Time
}

const (
	// releasing begins the claim of a sink that releases parked keys, and does not project.
	releasing = "release:"
	// releaseStays is how long such a claim is waited for, which stays until then where the release was cut off.
	releaseStays = 30 * time.Second
)

// New makes the sink of a bucket that [esjs.ProvisionBucket] created; it uses
// the store's connection. The bucket's limit of bytes is the operator's to raise.
func New(store *esjs.Store, bucketName string) *Sink {
	return &Sink{
		store:        store,
		bucket:       bucket{nc: store.Conn(), name: bucketName},
		token:        uuid.NewString(),
		releaseStays: releaseStays,
		writers:      map[string]chan struct{}{},
		releases:     map[string]release{},
	}
}

// Open returns the checkpoint of the projection name, and takes over a claim that
// another sink left on it. When there is no checkpoint it calls init, if there is
// one, and stores what that changed and then the zero checkpoint; a failed init
// stores nothing, and an init that a crash interrupted is called again. A bucket that
// would lose rows, because its entries expire or are in memory, is refused with [esjs.ErrConfig].
func (s *Sink) Open(ctx context.Context, name string, init func(context.Context, *Tx) error) (esjs.Checkpoint, error) {
	done, err := s.turn(ctx, name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	defer done()
	c, err := esjs.Checkpoint{}, s.check(ctx)
	if err == nil {
		c, err = s.open(ctx, name, init)
	}
	if err != nil {
		return esjs.Checkpoint{}, fmt.Errorf("open projection %s: %w", name, err)
	}
	return c, nil
}

// check refuses a bucket that does not keep what it is given. Who may not ask it is not told: what is read next says what is missing.
func (s *Sink) check(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	err := s.store.CheckBucket(limited, s.bucket.name)
	switch {
	case errors.Is(err, esjs.ErrConfig):
		return err
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", esjs.ErrUnavailable, err)
	}
	return ctx.Err()
}

func (s *Sink) open(ctx context.Context, name string, init func(context.Context, *Tx) error) (esjs.Checkpoint, error) {
	found, revision, none, err := s.bucket.checkpoint(ctx, name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	if none && init != nil {
		tx := s.begin(name)
		if err := init(ctx, tx); err != nil {
			return esjs.Checkpoint{}, fmt.Errorf("init: %w", err)
		}
		if err := tx.store(ctx); err != nil {
			return esjs.Checkpoint{}, err
		}
	}
	if none || found.Claim != "" && found.Claim != s.token {
		if _, err := s.bucket.putCheckpoint(ctx, name, found.esjs(), "", revision); err != nil {
			return esjs.Checkpoint{}, err
		}
	}
	if err := s.enter(ctx, name, none); err != nil {
		return esjs.Checkpoint{}, err
	}
	return s.bucket.withLive(ctx, name, found)
}

// enter makes a version that is opened the live one when none is. When it is new
// and an older one was opened before live versions were noted, it is that one.
func (s *Sink) enter(ctx context.Context, name string, isNew bool) error {
	projection, version, err := esjs.SplitFullName(name)
	if err != nil {
		return err
	}
	l, revision, err := s.bucket.live(ctx, projection)
	if err != nil || l.Name != "" {
		return err
	}
	first := name
	for v := version - 1; isNew && v > 0; v-- {
		older := fmt.Sprintf("%s_v%d", projection, v)
		_, _, none, err := s.bucket.checkpoint(ctx, older)
		if err != nil {
			return err
		}
		if !none {
			first = older
			break
		}
	}
	err = s.bucket.putLive(ctx, projection, storedLive{Name: first}, revision)
	if errors.Is(err, esjs.ErrConflict) { // another version was faster
		return nil
	}
	return err
}

// Commit calls step, claims the checkpoint, stores the rows that step changed, and
// then the checkpoint that it returned; see the package's comment for what
// others see meanwhile. A checkpoint that another sink has claimed or written
// meanwhile, and a row that another sink has written, are refused with
// [esjs.ErrConflict]. So is, with [esjs.ErrInvalid], a release whose events a row would pass over. While another
// sink releases a key it is [esjs.ErrUnavailable], for at most half a minute where that was cut off.
//
// When step fails, or ctx has ended when it returns, no row is stored. Later
// failures may leave some rows stored: the events come again and those rows stay
// as they are. Trouble of the bucket (full, no leader, no answer) is marked with
// [esjs.ErrUnavailable]; that there is none, or no right to it, is [esjs.ErrConfig] or
// [esjs.ErrRefused].
func (s *Sink) Commit(ctx context.Context, name string, step func(context.Context, *Tx, esjs.Checkpoint) (esjs.Checkpoint, error)) error {
	done, err := s.turn(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	found, revision, err := s.opened(ctx, name)
	if err != nil {
		return err
	}
	if err := s.free(name, found, revision); err != nil {
		return err
	}
	now, err := s.bucket.withLive(ctx, name, found)
	if err != nil {
		return err
	}
	tx := s.begin(name)
	to, err := step(ctx, tx, now)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	claim := s.token
	if len(to.Parked) < len(now.Parked) { // keys are released, and no event that waited is left out
		if err := tx.passedOver(); err != nil {
			return err
		}
		claim = releasing + claim
	}
	if len(tx.changed()) == 0 {
		_, err = s.bucket.putCheckpoint(ctx, name, to, "", revision)
		return s.unlessReleased(ctx, name, found, err)
	}
	if revision, err = s.bucket.putCheckpoint(ctx, name, found.esjs(), claim, revision); err != nil {
		return s.unlessReleased(ctx, name, found, err)
	}
	if err := tx.store(ctx); err != nil {
		return err
	}
	_, err = s.bucket.putCheckpoint(ctx, name, to, "", revision)
	return err
}

// free tells that no other sink has claimed the checkpoint: one that projects is a conflict, and one that
// releases a key is waited for, unless it was cut off.
func (s *Sink) free(name string, found storedCheckpoint, revision uint64) error {
	by, releases := strings.CutPrefix(found.Claim, releasing)
	switch {
	case by == "" || by == s.token:
		return nil
	case !releases:
		return fmt.Errorf("%w: the checkpoint of %s is claimed: another instance is projecting", esjs.ErrConflict, name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.releases[name].revision != revision {
		s.releases[name] = release{revision: revision, since: time.Now()}
	}
	if time.Since(s.releases[name].since) < s.releaseStays {
		return fmt.Errorf("%w: the checkpoint of %s is claimed: another instance releases a key", esjs.ErrUnavailable, name)
	}
	return nil
}

// unlessReleased is err, why the checkpoint could not be written over the one that was found. Where another sink has only released a
// key meanwhile it can be tried again.
func (s *Sink) unlessReleased(ctx context.Context, name string, found storedCheckpoint, err error) error {
	if !errors.Is(err, esjs.ErrConflict) {
		return err
	}
	now, _, none, readErr := s.bucket.checkpoint(ctx, name)
	if readErr != nil || none || now.Position != found.Position || now.Claim != "" && !strings.HasPrefix(now.Claim, releasing) {
		return err
	}
	return fmt.Errorf("%w: another instance has released a key of %s meanwhile", esjs.ErrUnavailable, name)
}

// Load returns a checkpoint as the bucket's leader has it.
func (s *Sink) Load(ctx context.Context, name string) (esjs.Checkpoint, error) {
	if err := checkName(name); err != nil {
		return esjs.Checkpoint{}, err
	}
	found, _, err := s.opened(ctx, name)
	if err != nil {
		return esjs.Checkpoint{}, err
	}
	return s.bucket.withLive(ctx, name, found)
}

// opened reads the checkpoint of a projection that was opened.
func (s *Sink) opened(ctx context.Context, name string) (storedCheckpoint, uint64, error) {
	found, revision, none, err := s.bucket.checkpoint(ctx, name)
	if err == nil && none {
		err = fmt.Errorf("%w: the projection %s was not opened", esjs.ErrNotFound, name)
	}
	return found, revision, err
}

// turn waits until no other call of this sink writes the projection; call done
// after it.
func (s *Sink) turn(ctx context.Context, name string) (done func(), err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
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
