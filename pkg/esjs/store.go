package esjs

import (
	"context"

	"github.com/nats-io/nats.go"
)

// Dial opens one connection for the given purpose ("append", "read-1",
// "subscribe"), which becomes part of the connection's name. A store opens
// several, because a load answered on the connection that appends would delay
// the appends behind it.
type Dial func(purpose string) (*nats.Conn, error)

// DialURL connects to the servers of url (comma separated) with the given options.
func DialURL(url string, opts ...nats.Option) Dial { panic("stub") }

// Config names the store. The zero value is the store "EVENTS" under "ev" on
// one replica.
type Config struct {
	Stream   string // default "EVENTS"
	Prefix   string // default "ev"
	Replicas int    // default 1
	// MaxBytes limits the event stream; the server reserves it when the stream
	// is created. Default 1 GiB.
	MaxBytes int64
}

// Store is the event store. It is safe for concurrent use.
type Store struct{}

// Provision creates the store's stream, or upgrades it, as cfg says. It needs
// the right to create streams, which services do not need.
func Provision(ctx context.Context, dial Dial, cfg Config) error { panic("stub") }

// Open connects to a provisioned store and verifies it: a stream whose
// configuration differs from what the store needs is refused with [ErrConfig]
// and the difference, field by field.
func Open(ctx context.Context, dial Dial, cfg Config) (*Store, error) { panic("stub") }

// Close closes the store's connections. Appends under way end with
// [ErrUnknownOutcome].
func (s *Store) Close() {}

// Conn returns the store's connection for subscriptions; loads and appends do
// not use it. It serves what belongs to the same program: command endpoints,
// KV buckets.
func (s *Store) Conn() *nats.Conn { panic("stub") }
