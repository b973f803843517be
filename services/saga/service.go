package saga

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/b144f99b/orderflow/services/saga/refund"
)

// KV buckets of the service.
const (
	BucketSnapshots     = "SNAPSHOTS_saga"
	BucketSubscriptions = "SUBSCRIPTIONS_saga"
	BucketInstances     = "INSTANCES_saga"
)

// Buckets are the KV buckets of the service, which provisioning creates.
func Buckets() []string { return []string{BucketSnapshots, BucketSubscriptions, BucketInstances} }

// Config is the service's wiring. The zero value works.
type Config struct {
	Workers int           // orders that are handled at once; default 16
	Lease   time.Duration // after which a silent instance is replaced; default 20 s
	Sweep   time.Duration // how often missing timers are armed again; default 5 min
	// Policies are those of all fulfilments and refunds under way; the last one is
	// for those that start. Default: [fulfilment.DefaultPolicy] alone.
	Policies []fulfilment.Policy
}

// Service is the saga service.
type Service struct {
	env *service.Env
	cfg Config
}

// New prepares the service. It is not ready before its processes run, their
// subscriptions to events and to fired timers, and operators are answered.
func New(env *service.Env, cfg Config) *Service {
	env.Health.AwaitEndpoints(Category)
	env.Health.AwaitSubscriptions(fulfilment.Name, fulfilment.Name+"-timers", refund.Name, refund.Name+"-timers")
	return &Service{env: env, cfg: cfg}
}

// Run carries every submitted order and every refund to its end, and answers operators, until
// ctx ends (and then returns nil) or it cannot go on. Any number of instances may run; one
// of them works, and all of them answer. It fails with [esjs.ErrConfig] at once when a
// fulfilment or refund is under way whose policy is not among the Policies.
func (s *Service) Run(ctx context.Context) error { return service.Group(ctx, s.run) }

func (s *Service) run(ctx context.Context) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	machine, err := fulfilment.NewMachine(s.cfg.Policies...)
	if err != nil {
		return err
	}
	refunds, err := refund.NewMachine(s.cfg.Policies...)
	if err != nil {
		return err
	}
	cfg := esjs.ProcessConfig{
		Service:   "saga",
		Bucket:    BucketSubscriptions,
		Instances: BucketInstances,
		Owner:     s.env.Owner, ExclusiveOwner: s.env.Owner != "",
		Workers:  s.cfg.Workers,
		Lease:    s.cfg.Lease,
		Sweep:    s.cfg.Sweep,
		Observer: s.env.Observer(),
	}
	orders, closeOrders, err := open(ctx, s.env, fulfilment.Process(machine, codec, BucketSnapshots), cfg)
	if err != nil {
		return err
	}
	defer closeOrders()
	money, closeMoney, err := open(ctx, s.env, refund.Process(refunds, codec, BucketSnapshots), cfg)
	if err != nil {
		return err
	}
	defer closeMoney()
	// A process that does not know a policy would set one instance after the other
	// aside; refusing to start leaves all of them as they are.
	if err := errors.Join(
		orders.EachOpen(ctx, func(_ string, s fulfilment.State) error { return machine.Knows(s) }),
		money.EachOpen(ctx, func(_ string, s refund.State) error { return refunds.Knows(s) }),
	); err != nil {
		return err
	}
	d := desk{fulfilments: orders, refunds: money}
	return service.Group(ctx,
		service.Named(fulfilment.Name, orders.Run),
		service.Named(refund.Name, money.Run),
		service.Named("parked keys", func(ctx context.Context) error {
			return s.env.ServeParkedKeys(ctx, service.ParkedKeys{Bucket: BucketSubscriptions, Refuse: refuseInstance})
		}),
		service.Named("operators' commands", func(ctx context.Context) error {
			return s.env.ServeCommands(ctx, service.Commands{Category: Category, Verbs: d.verbs()})
		}),
	)
}

// refuseInstance refuses to decide about the parked key of a fulfilment or a refund: its own
// events tell of it, and must tell of the decision. What is left are inputs that are parked under
// their own aggregate, because nobody can tell whose they are.
func refuseInstance(_, key string) error {
	for _, category := range []string{
		events.CategoryOrder, events.CategoryReservation, events.CategoryPayment, events.CategoryShipment, events.CategoryFulfilment,
	} {
		if strings.HasPrefix(key, category+"/") {
			return nil
		}
	}
	return refuse("decided_by_saga", "%q is a fulfilment or a refund, which is released by cmd.saga.<order id>.release", key)
}

// open prepares a process, and what writes its snapshots that wait when it has ended.
func open[S any](
	ctx context.Context, env *service.Env, p esjs.Process[S, events.Event, events.Event], cfg esjs.ProcessConfig,
) (runner *esjs.ProcessRunner[S, events.Event, events.Event], closeRunner func(), err error) {
	runner, err = esjs.NewProcess(ctx, env.Store, p, cfg)
	if err != nil {
		return nil, nil, err
	}
	return runner, func() { service.CloseHandler(ctx, env, p.Category, runner.Close) }, nil
}

// SnapshotChecks compare the service's snapshots with its events.
func SnapshotChecks(codec *esjs.Codec[events.Event]) []esjs.SnapshotCheck {
	return []esjs.SnapshotCheck{fulfilment.SnapshotCheck(codec, BucketSnapshots), refund.SnapshotCheck(codec, BucketSnapshots)}
}
