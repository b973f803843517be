package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/gateway/console"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/live"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
)

// Config is the gateway's wiring. The zero value works.
type Config struct {
	// Timeout bounds one request to a service. Default 12 s: a service answers
	// within 10 s by itself, and its own answer says more than ours.
	Timeout time.Duration
	SignIn  signin.Config
	Live    live.Config
	// Rate is how many requests per second one subject may send in the long run,
	// and Burst how many at once; defaults 200 and 400.
	Rate  rate.Limit
	Burst int
}

// Service is the gateway. Its HTTP API is added to a process's HTTP server by
// [Service.Routes].
type Service struct {
	env     *service.Env
	gate    *signin.Gate
	desk    *desk.Desk
	console *console.Console
	hub     *live.Hub
	limits  *limits
	timeout time.Duration
	metrics metrics
}

// What the gateway waits for until it is ready.
const (
	connection = "nats connection"
	signInKeys = "sign-in keys"
	liveEvents = "live events"
)

// New prepares the gateway. It is not ready before it has a connection, the keys
// that tokens are verified with, and the end of the event stream.
func New(env *service.Env, cfg Config) (*Service, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 12 * time.Second
	}
	gate, err := signin.New(cfg.SignIn)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{connection, signInKeys, liveEvents} {
		env.Health.Await(part)
	}
	client := service.Client{Conn: env.Store.Conn(), TraceParent: env.Store.TraceParent}
	s := &Service{
		env:     env,
		gate:    gate,
		desk:    desk.New(client),
		limits:  newLimits(cfg.Rate, cfg.Burst),
		timeout: cfg.Timeout,
		metrics: newMetrics(env.Metrics.Registry),
	}
	if s.console, err = console.New(console.Config{
		Desk: s.desk, SignedIn: s.SignedIn, SignsIn: s.SignsIn(), Timeout: cfg.Timeout, Log: env.Log,
	}); err != nil {
		return nil, err
	}
	cfg.Live.Owner, cfg.Live.ForCustomer = s.owner, desk.CustomerEvent
	if s.hub, err = live.New(env.Store, cfg.Live, s.metrics.live); err != nil {
		return nil, err
	}
	return s, nil
}

// owner returns whose an order is for live streams; "" when there is no such order, or none that could be asked about:
// what one order is refused for must not end the streams of those whom it is nothing to.
func (s *Service) owner(ctx context.Context, orderID string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	owner, err := s.desk.Owner(ctx, orderID)
	if err == nil {
		return owner, nil
	}
	if p, _ := service.ProblemOf(err); p.Status/100 == 4 && p.Status != http.StatusTooManyRequests {
		return "", nil
	}
	return "", err
}

// SignsIn tells that the gateway asks who its callers are.
func (s *Service) SignsIn() bool { return s.gate.Enabled() }

// Run watches the connection, so that a gateway that cannot reach NATS is not
// ready, keeps the keys of sign-in current and follows the events that are shown
// live, until ctx ends; then it returns nil.
func (s *Service) Run(ctx context.Context) error {
	s.env.Log.Info().Stringer("lets_in", s.gate).Msg("gateway signs in")
	return service.Group(ctx,
		s.watchConnection,
		service.Named(signInKeys, func(ctx context.Context) error {
			return s.gate.Run(ctx, s.keysRead)
		}),
		service.Named(liveEvents, func(ctx context.Context) error {
			return s.hub.Run(ctx, func(err error) {
				s.env.Health.Set(liveEvents, err)
				if err != nil {
					s.env.Log.Error().Err(err).Msg("live events are not followed; it is tried again")
				}
			})
		}),
	)
}

// keysRead tells what became of reading the issuer's keys. Keys that were read
// once are used on when they cannot be read again.
func (s *Service) keysRead(err error) {
	if err != nil {
		s.env.Log.Warn().Err(err).Msg("the issuer's keys were not read")
		return
	}
	s.env.Health.Set(signInKeys, nil)
}

func (s *Service) watchConnection(ctx context.Context) error {
	conn := s.env.Store.Conn()
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
