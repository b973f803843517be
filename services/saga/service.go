package saga

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// The KV buckets of the service, which provisioning creates.
const (
	BucketSnapshots     = "SNAPSHOTS_saga"
	BucketSubscriptions = "SUBSCRIPTIONS_saga"
	BucketInstances     = "INSTANCES_saga"
)

// Config is the service's wiring. The zero value works.
type Config struct {
	Owner   string        // names this instance in the leases
	Workers int           // orders that are handled at once; default 16
	Lease   time.Duration // after which a silent instance is replaced; default 20 s
	Sweep   time.Duration // how often missing timers are armed again; default 5 min
	// Policies are those of all fulfilments under way; the last one is for
	// those that start. Default: [fulfilment.DefaultPolicy] alone.
	Policies []fulfilment.Policy
}

// Service is the saga service.
type Service struct {
	env *service.Env
	cfg Config
}

// New prepares the service.
func New(env *service.Env, cfg Config) *Service { return &Service{env: env, cfg: cfg} }

// Run carries every submitted order to its end, until ctx ends (and then
// returns nil) or it cannot go on. Any number of instances may run; one of them works.
func (s *Service) Run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	machine, err := fulfilment.NewMachine(s.cfg.Policies...)
	if err != nil {
		return err
	}
	runner, err := esjs.NewProcess(ctx, s.env.Store, fulfilment.Process(machine, codec, BucketSnapshots), esjs.ProcessConfig{
		Service:   "saga",
		Bucket:    BucketSubscriptions,
		Instances: BucketInstances,
		Owner:     s.cfg.Owner,
		Workers:   s.cfg.Workers,
		Lease:     s.cfg.Lease,
		Sweep:     s.cfg.Sweep,
		Observer:  s.env.Observer(),
	})
	if err != nil {
		return fmt.Errorf("fulfilment: %w", err)
	}
	return runner.Run(ctx)
}
