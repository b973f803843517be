package esjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// SnapshotPolicy says where and when snapshots are stored. A snapshot is also
// stored when an aggregate leaves the cache to which the handler has written, with 4
// commits or more that no snapshot has. A handler that only reads stores none, unless a load
// had to fold as many commits as Every says.
type SnapshotPolicy[S any] struct {
	Bucket       string // KV bucket; see [ProvisionBucket]
	Every        int    // commits since the last snapshot; default 64; below 0 snapshots are read and never written
	StateVersion int    // a snapshot of another version is ignored
	// Terminal tells that an aggregate has ended: it is then stored at once by the handler that wrote that.
	Terminal func(S) bool
}

const (
	defaultSnapshotEvery = 64
	// snapshotQueue bounds the aggregates whose snapshots wait; one more is
	// dropped, which only costs time at a later load.
	snapshotQueue = 4096
	// leaveCommits is for how few commits no snapshot is stored of an aggregate that leaves the cache: it
	// takes a read and a write, as much as an append, and saves a later load one round trip and the reading
	// of as many commits less one, none at all of a single commit (docs/adr/0078).
	leaveCommits = 4
)

// snapshotBody is a stored snapshot. Snapshots can be thrown away, so this form
// may change together with snapshotForm.
type snapshotBody[S any] struct {
	Form         int        `json:"form"`
	StateVersion int        `json:"state_version"`
	Version      uint64     `json:"version"`
	Sequence     uint64     `json:"sequence"`
	Commit       string     `json:"commit,omitzero"` // id of its first event: a snapshot of another log is not used
	Writer       string     `json:"writer,omitzero"` // the store that wrote it
	Log          string     `json:"log,omitzero"`    // the partition that it is of, where there are several: sequences of another one mean nothing there
	Time         time.Time  `json:"time"`
	Commands     commandLog `json:"commands,omitzero"`
	Inputs       inputLog   `json:"inputs,omitzero"`
	State        S          `json:"state"`

	// Of a state that was folded from personal values; State is then empty.
	Persons []string `json:"persons,omitzero"`
	Sealed  []byte   `json:"sealed,omitzero"`
}

const snapshotForm = 1

// snapshotter writes snapshots off the callers' path, the newest of each
// aggregate, and never replaces a newer one.
type snapshotter[S any] struct {
	store  *Store
	policy SnapshotPolicy[S]

	mu      sync.Mutex
	waiting map[StreamID]*folded[S]
	order   []StreamID
	closed  bool
	wake    chan struct{}
	done    chan struct{}
}

func newSnapshotter[S any](ctx context.Context, store *Store, policy SnapshotPolicy[S]) (*snapshotter[S], error) {
	if err := store.general.checkBucket(ctx, policy.Bucket); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if policy.Every == 0 {
		policy.Every = defaultSnapshotEvery
	}
	s := &snapshotter[S]{
		store: store, policy: policy,
		waiting: map[StreamID]*folded[S]{},
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// request asks any replica for an aggregate's snapshot, and for nothing else:
// headers would cost more than the rest of a small one.
func (s *snapshotter[S]) request(id StreamID) *nats.Msg {
	return &nats.Msg{
		Subject: s.subject(),
		Data:    []byte(`{"last_by_subj":"` + snapshotSubject(s.policy.Bucket, id) + `","no_hdr":true}`),
	}
}

func (s *snapshotter[S]) subject() string { return "$JS.API.DIRECT.GET.KV_" + s.policy.Bucket }

// decode reads the answer to a request; nil when it has no snapshot that can be used.
func (s *snapshotter[S]) decode(id StreamID, msg *nats.Msg) *folded[S] {
	var body snapshotBody[S]
	if len(msg.Data) == 0 { // there is none, or it was deleted
		return nil
	}
	if err := json.Unmarshal(msg.Data, &body); err != nil || body.Form != snapshotForm && body.Form != sealedForm || body.StateVersion != s.policy.StateVersion {
		return nil
	}
	log := s.store.of(id)
	if body.Log != log.logName() {
		return nil
	}
	return &folded[S]{
		state:    body.State,
		revision: Revision{version: body.Version, partition: log.partition, sequence: body.Sequence, time: body.Time},
		commit:   body.Commit,
		own:      body.Writer == s.store.name,
		commands: body.Commands,
		inputs:   body.Inputs,
		persons:  persons{ids: body.Persons},
		sealed:   body.Sealed,
	}
}

func (s *snapshotter[S]) encode(ctx context.Context, id StreamID, f *folded[S]) ([]byte, error) {
	body := snapshotBody[S]{
		Form: snapshotForm, StateVersion: s.policy.StateVersion,
		Version: f.revision.version, Sequence: f.revision.sequence, Time: f.revision.time, Commit: f.commit, Writer: s.store.name, Log: s.store.of(id).logName(),
		Commands: f.commands, Inputs: f.inputs, State: f.state,
	}
	if len(f.persons.ids) > 0 {
		if err := s.seal(ctx, id, &body, f.persons.ids); err != nil {
			return nil, err
		}
	}
	return MarshalInClear(body)
}

// due tells that f has enough commits since its snapshot, whoever wrote them, or was ended by the handler.
func (s *snapshotter[S]) due(f *folded[S]) bool {
	if f.unsaved == 0 || s.policy.Every < 0 {
		return false
	}
	return f.unsaved >= s.policy.Every || f.wrote && s.policy.Terminal != nil && s.policy.Terminal(f.state)
}

// leave is told that f leaves the cache.
func (s *snapshotter[S]) leave(id StreamID, f *folded[S]) {
	if f.wrote && f.unsaved >= leaveCommits && s.policy.Every > 0 {
		s.queue(id, f)
	}
}

// queue hands f to the writer, or tells the observer that too many wait.
func (s *snapshotter[S]) queue(id StreamID, f *folded[S]) {
	if !s.enqueue(id, f) {
		s.store.observer.SnapshotStored(SnapshotInfo{Stream: id, Err: errSnapshotDropped})
	}
}

var errSnapshotDropped = fmt.Errorf("%w: %d aggregates wait for their snapshots to be stored, as many as may", ErrUnavailable, snapshotQueue)

func (s *snapshotter[S]) enqueue(id StreamID, f *folded[S]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	if waiting, ok := s.waiting[id]; ok {
		if waiting.revision.sequence < f.revision.sequence {
			s.waiting[id] = f
		}
		return true
	}
	if len(s.order) >= snapshotQueue {
		return false
	}
	s.waiting[id] = f
	s.order = append(s.order, id)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

func (s *snapshotter[S]) next() (StreamID, *folded[S], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return StreamID{}, nil, s.closed
	}
	id := s.order[0]
	s.order = s.order[1:]
	f := s.waiting[id]
	delete(s.waiting, id)
	return id, f, false
}

func (s *snapshotter[S]) run() {
	defer close(s.done)
	for {
		id, f, ended := s.next()
		switch {
		case ended:
			return
		case f == nil:
			<-s.wake
		default:
			began := time.Now()
			err := s.write(id, f)
			s.store.observer.SnapshotStored(SnapshotInfo{Stream: id, Took: time.Since(began), Err: err})
		}
	}
}

// write stores one snapshot in the place of what it has read there, and tries
// again for [answerTimeout] while others write or the bucket has no leader. What can
// never be stored is given up at once, because others wait behind it. Errors: those of
// [snapshotError], and why there is nothing to store.
func (s *snapshotter[S]) write(id StreamID, f *folded[S]) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	body, err := s.encode(ctx, id, f)
	switch {
	case isContextError(err): // of asking for the keys of persons
		return fmt.Errorf("%w: encode the state: %w", ErrUnavailable, err)
	case err != nil:
		return fmt.Errorf("esjs: encode the state: %w", err)
	}
	for wait := newPause(); ; {
		commit, sequence, err := s.stored(ctx, id)
		switch {
		case err != nil:
		case commit >= f.revision.sequence:
			return nil
		default:
			err = s.put(ctx, id, body, sequence)
		}
		if err == nil {
			return nil
		}
		if permanent(err) || isRefused(err) || wait.sleep(ctx) != nil {
			return snapshotError(err, s.policy.Bucket, len(body))
		}
	}
}

// isRefused tells that the server has said no, and would again.
func isRefused(err error) bool {
	return errors.Is(err, ErrStoreFull) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrRefused)
}

// snapshotError says why a snapshot was not stored: [ErrTooLarge], [ErrStoreFull], [ErrRefused],
// or [ErrUnavailable] for what may pass.
func snapshotError(err error, bucket string, size int) error {
	kind := ErrUnavailable
	switch {
	case isRefused(err):
		return fmt.Errorf("bucket %s: %w", bucket, err)
	case errors.Is(err, nats.ErrMaxPayload):
		kind = ErrTooLarge
	case errors.As(err, new(*deniedError)):
		kind = ErrRefused
	}
	return fmt.Errorf("%w: the snapshot has %d bytes, bucket %s: %w", kind, size, bucket, err)
}

// put stores a snapshot unless the bucket's entry is another one than the expected:
// that is errChanged. Other errors are those of [finalError] and of [requester.do].
func (s *snapshotter[S]) put(ctx context.Context, id StreamID, body []byte, expected uint64) error {
	answer, err := s.store.general.do(ctx, &nats.Msg{
		Subject: snapshotSubject(s.policy.Bucket, id),
		Header:  nats.Header{headerExpectedLastSubjectSequence: []string{strconv.FormatUint(expected, 10)}},
		Data:    body,
	})
	if err != nil {
		return err
	}
	ack, err := parseAck(answer.Data)
	if err != nil || ack.code == 0 {
		return err
	}
	return cmp.Or(finalError(ack), errChanged)
}

// stored returns the commit sequence of the stored snapshot and its sequence in
// the bucket; zeros when there is none.
func (s *snapshotter[S]) stored(ctx context.Context, id StreamID) (commit, sequence uint64, err error) {
	msg, err := s.store.reader().do(ctx, &nats.Msg{Subject: s.subject() + "." + snapshotSubject(s.policy.Bucket, id)})
	if err != nil {
		return 0, 0, err
	}
	sequence, err = directSequence(msg)
	if errors.Is(err, errNoMessage) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	f := s.decode(id, msg)
	if f != nil && f.sealed != nil {
		f = s.open(ctx, id, f) // one that cannot be opened any more is replaced
	}
	if f != nil {
		commit = f.revision.sequence
	}
	return commit, sequence, nil
}

// close writes what waits and stops the writer.
func (s *snapshotter[S]) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
