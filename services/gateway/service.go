package gateway

import (
	"context"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/nats.go"
)

// Config is the gateway's wiring. The zero value works.
type Config struct {
	// Timeout bounds one request to a service. Default 12 s: a service answers
	// within 10 s by itself, and its own answer says more than ours.
	Timeout time.Duration
}

// Service is the gateway. Its HTTP API is added to a process's HTTP server by
// [Service.Routes].
type Service struct {
	env     *service.Env
	client  service.Client
	timeout time.Duration
	metrics metrics
}

const connection = "nats connection"

// New prepares the gateway.
func New(env *service.Env, cfg Config) *Service {
	if cfg.Timeout == 0 {
		cfg.Timeout = 12 * time.Second
	}
	env.Health.Await(connection)
	return &Service{
		env:     env,
		client:  service.Client{Conn: env.Store.Conn()},
		timeout: cfg.Timeout,
		metrics: newMetrics(env.Metrics.Registry),
	}
}

// Run watches the connection, so that a gateway that cannot reach NATS is not
// ready, until ctx ends; then it returns nil.
func (s *Service) Run(ctx context.Context) error {
	conn := s.client.Conn
	changes := conn.StatusChanged(nats.CONNECTED, nats.DISCONNECTED, nats.RECONNECTING)
	defer conn.RemoveStatusListener(changes)
	for {
		var err error
		if !conn.IsConnected() {
			err = nats.ErrDisconnected
		}
		s.env.Health.Set(connection, err)
		select {
		case _, open := <-changes:
			if !open {
				return nats.ErrConnectionClosed
			}
		case <-ctx.Done():
			return nil
		}
	}
}
