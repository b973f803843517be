package esjs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
)

// Dial opens one connection for the given purpose ("append", "read-1",
// "subscribe"), which becomes part of the connection's name. A store opens
// several, because a load answered on the connection that appends would delay
// the appends behind it.
type Dial func(purpose string) (*nats.Conn, error)

// DialURL connects to the servers of url (comma separated) with the given
// options. An attempt to connect takes at most 5 s, and each connection reconnects for
// ever; an option given here can change that.
func DialURL(url string, opts ...nats.Option) Dial {
	return func(purpose string) (*nats.Conn, error) {
		all := []nats.Option{
			nats.Name("esjs-" + purpose),
			nats.Timeout(5 * time.Second),
			nats.MaxReconnects(-1),
			nats.ReconnectWait(100 * time.Millisecond),
			nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
			nats.PingInterval(20 * time.Second),
		}
		return nats.Connect(url, append(all, opts...)...)
	}
}

// Config names the store. The zero value is the store "EVENTS" under "ev" on
// one replica.
type Config struct {
	Stream   string // default "EVENTS"
	Prefix   string // default "ev"
	Replicas int    // of the stream: 1, 3 or 5; default 1, and of one that exists what it has
	// Partitions is over how many streams the store is spread, 1 to 64; default 1. Each
	// aggregate is in one of them, which [Partition] tells from its key, so that aggregates
	// with the same key share one. The number is fixed when the store is provisioned: with
	// another one [Open] and [Provision] refuse it, and [Repartition] copies it into another store. With four the streams are
	// called "EVENTS", "EVENTS-1" to "EVENTS-3", and their subjects are "ev-4.0.>" to
	// "ev-4.3.>". See docs/esjs/partitions.md for what is ordered and what is not.
	Partitions int
	// MaxBytes limits the event stream, in bytes, each one of several; the server reserves it when the
	// stream is created. A full stream refuses appends with [ErrStoreFull].
	// Default 1 GiB, and of one that exists what it has.
	MaxBytes int64
	// Compress makes [Provision] have the server compress the event stream on its
	// disk, with S2. A stream that exists is compressed from the next start of its
	// servers on, and block by block as new ones are filled. It is never turned off here.
	Compress bool

	// Observer is told what the store does, and what is built on it unless that
	// has an observer of its own; nil is allowed.
	Observer Observer
	// Tracer makes spans of the same; nil is allowed, and costs nothing.
	Tracer Tracer

	// Keys lets the store seal and open [Personal] values; nil for a store that
	// has none, or whose program may not see them.
	Keys *KeyConfig

	isPart  bool // it is of one partition of several
	copying bool // it may be a copy that is not complete
}

func (c Config) withDefaults() Config {
	if c.Stream == "" {
		c.Stream = "EVENTS"
	}
	if c.Prefix == "" {
		c.Prefix = "ev"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.Observer == nil {
		c.Observer = NopObserver{}
	}
	return c
}

const (
	// readConnections keeps one cold read, 4 ms a block, from standing in front
	// of hot ones (measured: ten cold reads take half the time on four).
	readConnections = 4
	// seenSize bounds how many aggregates' newest sequences are remembered.
	seenSize = 1 << 16
	// answerTimeout bounds one attempt of a request; ctx bounds all of them.
	answerTimeout = 5 * time.Second
	// answerMost bounds it when attempts of that time had no answer.
	answerMost = 30 * time.Second
	// batchesInFlight stays below the server's limit of 50 per stream.
	batchesInFlight = 40
)

// Store is the event store. It is safe for concurrent use. A call goes on when
// connections break, at whatever step, and when its context ends it ends: what
// it then has written is written, or not, as its error says. Keys of every shape
// are kept apart.
type Store struct {
	cfg  Config
	name string // of this one alone: by it it knows the snapshots that it wrote

	// parts are the stores of the partitions, which share the connections; a store of one
	// partition is its own part. partition is which one this store is of.
	parts      []*Store
	partition  uint32
	partitions int // of the whole store

	observer Observer
	tracer   Tracer // or nil

	appends *requester
	reads   []*requester
	general *requester // subscriptions, snapshots, buckets
	turn    atomic.Uint64
	batches chan struct{}
	keys    *keyStore // nil: personal values are neither sealed nor opened

	// seen remembers the newest sequence that this process knows of each
	// aggregate, so that an answer of a lagging replica is recognised.
	seen   *lru.Cache[StreamID, uint64]
	seeing sync.Mutex // held while it is raised
}

// Open connects to a provisioned store and verifies it: a stream whose
// configuration differs from what the store needs is refused with [ErrConfig]
// and the difference, field by field, and so are a server that is too old or has no
// JetStream, and keys of persons that the configured master keys do not open.
// Other errors are dial's and the connection's. Close the store.
func Open(ctx context.Context, dial Dial, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Store{
		name:     rand.Text()[:13],
		cfg:      cfg,
		observer: cfg.Observer,
		tracer:   cfg.Tracer,
	}
	err := s.connect(dial)
	if err == nil {
		_, err = verify(ctx, s.general, cfg)
	}
	if err == nil && cfg.Keys != nil {
		s.keys, err = openKeys(ctx, s, *cfg.Keys)
	}
	if err == nil {
		err = s.divide()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// divide makes the stores of the partitions.
func (s *Store) divide() error {
	for p, cfg := range s.cfg.streams() {
		part := s
		if cfg.isPart {
			part = &Store{
				cfg: cfg, name: s.name, observer: s.observer, tracer: s.tracer,
				appends: s.appends, reads: s.reads, general: s.general, keys: s.keys,
			}
			part.parts, part.partition = []*Store{part}, uint32(p)
		}
		part.partitions = s.cfg.Partitions
		var err error
		if part.seen, err = lru.New[StreamID, uint64](seenSize); err != nil {
			return err
		}
		part.batches = make(chan struct{}, batchesInFlight)
		s.parts = append(s.parts, part)
	}
	return nil
}

func (s *Store) connect(dial Dial) error {
	open := func(purpose string) (*requester, error) {
		nc, err := dial(purpose)
		if err != nil {
			return nil, fmt.Errorf("esjs: connect for %s: %w", purpose, err)
		}
		return newRequester(nc, func(connected bool) { s.observer.Connected(purpose, connected) }), nil
	}
	var err error
	if s.appends, err = open("append"); err != nil {
		return err
	}
	if s.general, err = open("subscribe"); err != nil {
		return err
	}
	for i := range readConnections {
		r, err := open(fmt.Sprintf("read-%d", i+1))
		if err != nil {
			return err
		}
		s.reads = append(s.reads, r)
	}
	return nil
}

// Close closes the store's connections. Appends under way end with
// [ErrUnknownOutcome].
func (s *Store) Close() {
	if s.keys != nil {
		s.keys.close()
	}
	for _, r := range append([]*requester{s.appends, s.general}, s.reads...) {
		if r != nil {
			r.nc.Close()
		}
	}
	if s.keys != nil {
		s.keys.wait()
	}
}

// Conn returns the store's connection for subscriptions; loads and appends do
// not use it. It serves what belongs to the same program: command endpoints,
// KV buckets. [Store.Close] closes it.
func (s *Store) Conn() *nats.Conn { return s.general.nc }

// reader returns the next read connection in turn.
func (s *Store) reader() *requester {
	return s.reads[s.turn.Add(1)%uint64(len(s.reads))]
}

// sawSequence remembers the newest sequence known of an aggregate.
func (s *Store) sawSequence(id StreamID, sequence uint64) {
	s.seeing.Lock()
	defer s.seeing.Unlock()
	if last, ok := s.seen.Get(id); !ok || last < sequence {
		s.seen.Add(id, sequence)
	}
}

func (s *Store) lastSeen(id StreamID) uint64 {
	sequence, _ := s.seen.Get(id)
	return sequence
}

// isContextError tells that the caller gave up, and not the server.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
