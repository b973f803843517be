package esjsbench

import (
	"context"
	"fmt"
	"slices"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
)

// One is a single measurement on one kind of server.
type One struct {
	Name string // one of [Names]
	Sync Sync
}

// All lists every single measurement, in the order of a run.
func All() (all []One) {
	for _, m := range measurements() {
		for _, sync := range m.syncs() {
			all = append(all, One{m.name, sync})
		}
	}
	return all
}

// Measure takes one measurement for as many turns as loop says, which is [testing.B.Loop] in a
// benchmark, and returns its figures by name. Of the configuration Server, Dir and Aggregates
// count. Errors: [esjs.ErrConfig] for an unknown measurement, [pgtest.ErrNotInstalled],
// ctx's, and those of what is measured.
func Measure(ctx context.Context, cfg Config, one One, loop func() bool) (map[string]float64, error) {
	all := measurements()
	i := slices.IndexFunc(all, func(m measurement) bool { return m.name == one.Name })
	if i < 0 || !slices.Contains(all[i].syncs(), one.Sync) {
		return nil, fmt.Errorf("%w: there is no measurement %q with sync %q", esjs.ErrConfig, one.Name, one.Sync)
	}
	if all[i].postgres {
		if _, err := pgtest.Version(ctx); err != nil {
			return nil, err
		}
	}
	cfg = cfg.withDefaults()
	figures := map[string]float64{}
	err := withRig(ctx, cfg.Server, cfg.Dir, all[i], one.Sync, cfg.scale(), func(measure measure) error {
		taken, err := measure(loop)
		for _, f := range taken {
			figures[f.name] = f.value
		}
		return err
	})
	return figures, err
}
