package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// PartitionsConfig says how stores of one and of several partitions are compared.
type PartitionsConfig struct {
	// Server is the command that runs [Serve].
	Server []string
	// Dir is where the servers store; everything in it is removed again. Empty: the
	// system's directory for temporary files.
	Dir string
	// Sync of the servers; default [SyncAlways], which a store of events needs.
	Sync Sync
	// Partitions of the stores. The first one is what the others are compared with. Default 1, 2 and 4.
	Partitions []int
	// Writers append at the same time, each to an aggregate of its own; default 64.
	Writers int
	// Time is how long each store is written to in a round; default 3 s.
	Time time.Duration
	// Rounds is how often each store has its turn; default 5.
	Rounds int
	// Progress is told what begins; nil is allowed.
	Progress func(Step)
}

func (c PartitionsConfig) withDefaults() PartitionsConfig {
	if c.Sync == "" {
		c.Sync = SyncAlways
	}
	if len(c.Partitions) == 0 {
		c.Partitions = []int{1, 2, 4}
	}
	if c.Writers == 0 {
		c.Writers = 64
	}
	if c.Time == 0 {
		c.Time = 3 * time.Second
	}
	if c.Rounds == 0 {
		c.Rounds = 5
	}
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	return c
}

// partitionServers are in the cluster, and every stream has a replica on each of them.
const partitionServers = 3

// Partitioned compares stores of several partitions.
type Partitioned struct {
	Machine Machine   `json:"machine"`
	Began   time.Time `json:"began"`
	Sync    Sync      `json:"sync"`
	Servers int       `json:"servers"` // and replicas
	Writers int       `json:"writers"`
	Seconds float64   `json:"seconds_of_a_turn"`
	Rounds  int       `json:"rounds"`
	// Load is the average after the run; that before it is the machine's.
	Load   string             `json:"load_after,omitempty"`
	Stores []PartitionedStore `json:"stores"`
}

// PartitionedStore is what one of the stores took, over all rounds.
type PartitionedStore struct {
	Partitions int `json:"partitions"`
	Leaders    int `json:"leaders"` // servers that lead one of its streams or more, when they were made
	// Rate is of acknowledged appends a second, and Ratio that to the first store's in the same round.
	Rate  Spread `json:"appends_per_second"`
	Ratio Spread `json:"ratio"`
	P50   Spread `json:"p50_ms"`
	P99   Spread `json:"p99_ms"`
	// Servers and Client are processor time of an append, in µs, of all servers together.
	Servers Spread `json:"servers_cpu_us"`
	Client  Spread `json:"client_cpu_us"`
}

// Partition lets writers append to stores of several partitions, one store after the other in each round, on a cluster of
// three servers in processes of their own. Errors: [esjs.ErrConfig], ctx's, and those of the appends.
func Partition(ctx context.Context, cfg PartitionsConfig) (out Partitioned, err error) {
	cfg = cfg.withDefaults()
	if len(cfg.Server) == 0 || cfg.Writers < 1 || cfg.Rounds < 1 || cfg.Time <= 0 {
		return out, fmt.Errorf("%w: partitions are compared with a command for the servers, one writer or more, one round or more and some time", esjs.ErrConfig)
	}
	dir, err := os.MkdirTemp(cfg.Dir, "esjsbench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out = Partitioned{
		Machine: ThisMachine(), Began: time.Now().UTC().Truncate(time.Second), Sync: cfg.Sync, Servers: partitionServers,
		Writers: cfg.Writers, Seconds: cfg.Time.Seconds(), Rounds: cfg.Rounds,
	}
	servers, err := StartServers(ctx, cfg.Server, dir, cfg.Sync, partitionServers)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, servers.Stop()) }()
	var stores []*partitioned
	for _, n := range cfg.Partitions {
		p, err := newPartitioned(ctx, servers, n)
		if err != nil {
			return out, fmt.Errorf("%d partitions: %w", n, err)
		}
		defer p.store.Close()
		stores = append(stores, p)
	}
	for round := range cfg.Rounds {
		for i := range stores {
			p := stores[(i+round)%len(stores)] // nobody always follows the same one
			cfg.Progress(Step{Name: fmt.Sprintf("%d partitions", p.partitions), Done: round*len(stores) + i, Total: cfg.Rounds * len(stores)})
			if err := p.turn(ctx, cfg, round); err != nil {
				return out, fmt.Errorf("%d partitions: %w", p.partitions, err)
			}
		}
	}
	for _, p := range stores {
		out.Stores = append(out.Stores, p.summary(stores[0]))
	}
	out.Load = LoadAverage()
	return out, nil
}

// partitioned is a store of some partitions, and what its turns took.
type partitioned struct {
	partitions, leaders                      int
	servers                                  Servers
	store                                    *esjs.Store
	rates, p50s, p99s, serverTimes, ownTimes []float64
}

func newPartitioned(ctx context.Context, servers Servers, n int) (*partitioned, error) {
	const room = 1 << 30
	cfg := esjs.Config{Stream: fmt.Sprintf("STORE%d", n), Prefix: fmt.Sprintf("store%d", n), Partitions: n, Replicas: partitionServers, MaxBytes: room}
	dial := esjs.DialURL(servers.URL())
	if err := esjs.Provision(ctx, dial, cfg); err != nil {
		return nil, err
	}
	store, err := esjs.Open(ctx, dial, cfg)
	if err != nil {
		return nil, err
	}
	p := &partitioned{partitions: n, servers: servers, store: store}
	report, err := esjs.Verify[esjs.Event](ctx, store, nil, esjs.VerifyConfig{}) // of an empty store: it names the leaders
	if err != nil {
		store.Close()
		return nil, err
	}
	p.leaders = len(slices.Compact(slices.Sorted(slices.Values(strings.Split(report.Leader, ", ")))))
	return p, nil
}

func (p *partitioned) processors() (servers, own time.Duration, err error) {
	for _, s := range p.servers {
		taken, err := s.ProcessorTime()
		if err != nil {
			return 0, 0, err
		}
		servers += taken
	}
	return servers, ProcessorTime(), nil
}

// turn lets all writers append until the time is over. Keys of neighbouring numbers are spread evenly.
func (p *partitioned) turn(ctx context.Context, cfg PartitionsConfig, round int) error {
	servers, own, err := p.processors()
	if err != nil {
		return err
	}
	var (
		writing sync.WaitGroup
		took    = make([][]float64, cfg.Writers)
		errs    = make([]error, cfg.Writers)
		began   = time.Now()
	)
	for i := range cfg.Writers {
		run := appendTo(ctx, p.store, account(fmt.Sprintf("%d-%d", round, i)), aDeposit())
		writing.Go(func() {
			for errs[i] == nil && time.Since(began) < cfg.Time {
				at := time.Now()
				if errs[i] = run(); errs[i] == nil {
					took[i] = append(took[i], float64(time.Since(at).Microseconds())/1e3)
				}
			}
		})
	}
	writing.Wait()
	all, elapsed := slices.Concat(took...), time.Since(began)
	if err := firstError(errs); err != nil {
		return err
	}
	serversAfter, ownAfter, err := p.processors()
	if err != nil {
		return err
	}
	slices.Sort(all)
	n := float64(len(all))
	p.rates = append(p.rates, n/elapsed.Seconds())
	p.p50s, p.p99s = append(p.p50s, all[len(all)/2]), append(p.p99s, all[len(all)*99/100])
	p.serverTimes = append(p.serverTimes, microseconds(serversAfter-servers)/n)
	p.ownTimes = append(p.ownTimes, microseconds(ownAfter-own)/n)
	return nil
}

func (p *partitioned) summary(first *partitioned) PartitionedStore {
	ratios := make([]float64, len(p.rates))
	for i, rate := range p.rates {
		ratios[i] = rate / first.rates[i]
	}
	return PartitionedStore{
		Partitions: p.partitions, Leaders: p.leaders, Rate: spreadOf(p.rates), Ratio: spreadOf(ratios), P50: spreadOf(p.p50s), P99: spreadOf(p.p99s),
		Servers: spreadOf(p.serverTimes), Client: spreadOf(p.ownTimes),
	}
}

func spreadOf(values []float64) Spread {
	values = slices.Clone(values)
	return Spread{Median: median(values), Lowest: slices.Min(values), Highest: slices.Max(values)}
}
