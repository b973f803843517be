package esjsbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink/pgtest"
)

// Config says what is measured, and how long.
type Config struct {
	// Server is the command that runs [Serve], which is started for each measurement.
	Server []string
	// Dir is where servers store; everything in it is removed again. Empty: the
	// system's directory for temporary files. A store of a million aggregates takes
	// about 2 GB.
	Dir string
	// Only are names of [Names], or numbers of bars; none: all.
	Only []string
	// Rounds is how often each figure is taken; default 3.
	Rounds int
	// Aggregates of the large store; default 1,000,000, which the bars want.
	Aggregates int
	// Quick takes few turns in small stores, which shows that everything works and
	// measures nothing: no bar is judged.
	Quick bool
	// Progress is told what begins, and how much of all is done; nil is allowed.
	Progress func(Step)
}

// Step is a part of a run that begins.
type Step struct {
	Name        string // "append, sync always, round 2"
	Done, Total int    // steps
}

func (c Config) withDefaults() Config {
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Aggregates == 0 {
		c.Aggregates = largeStore
	}
	if c.Quick {
		c.Rounds, c.Aggregates = 1, smallStore
	}
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	return c
}

// fullScale is what the bars are measured with.
func fullScale(aggregates int) scale {
	return scale{aggregates: aggregates, replayed: 50_000, projected: 10_000, appends: 200, idle: aggregates >= 100_000}
}

// quickScale shows that everything works.
var quickScale = scale{aggregates: smallStore, replayed: 1_000, projected: 500, appends: 5}

func (c Config) scale() scale {
	if c.Quick {
		return quickScale
	}
	return fullScale(c.Aggregates)
}

func (c Config) turns(m measurement) int {
	switch {
	case !c.Quick:
		return m.turns
	case m.turns < 10:
		return 1
	}
	return 10
}

// selected are the measurements that Only names. An unknown name is an [esjs.ErrConfig].
func (c Config) selected() ([]measurement, error) {
	all := measurements()
	if len(c.Only) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, name := range c.Only {
		known := slices.Contains(Names(), name)
		if known {
			wanted[name] = true
		}
		for _, b := range Bars() {
			if strconv.Itoa(b.Number) == name {
				wanted[b.measurement], known = true, true
			}
		}
		if !known {
			return nil, fmt.Errorf("%w: there is no measurement %q; there are %s, and the numbers of bars", esjs.ErrConfig, name, strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(all, func(m measurement) bool { return !wanted[m.name] }), nil
}

// Run measures and reports. What needs PostgreSQL is left out, and the report says so, where
// none is installed. Errors: [esjs.ErrConfig] for what cannot be measured, ctx's, and those
// of the measured operations, any of which ends the run.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	if len(cfg.Server) == 0 || cfg.Rounds < 1 || cfg.Aggregates < smallStore {
		return Report{}, fmt.Errorf("%w: a run needs a command for its servers, a round or more, and %d aggregates or more", esjs.ErrConfig, smallStore)
	}
	selected, err := cfg.selected()
	if err != nil {
		return Report{}, err
	}
	report := newReport(cfg)
	began := time.Now()
	run := running{cfg: cfg}
	for _, m := range selected {
		run.total += len(m.syncs()) * cfg.Rounds
	}
	for _, m := range selected {
		if m.postgres {
			if report.Postgres, err = pgtest.Version(ctx); errors.Is(err, pgtest.ErrNotInstalled) {
				report.Skipped = append(report.Skipped, Skipped{Measurement: m.name, Why: err.Error()})
				run.done += cfg.Rounds
				continue
			} else if err != nil {
				return report, err
			}
		}
		for _, sync := range m.syncs() {
			rounds, err := run.measure(ctx, m, sync)
			if err != nil {
				return report, fmt.Errorf("measure %s with sync %s: %w", m.name, sync, err)
			}
			report.add(m, sync, rounds)
		}
	}
	report.Seconds = time.Since(began).Seconds()
	slices.SortStableFunc(report.Results, func(a, b Result) int { return a.Number - b.Number })
	return report, nil
}

// running is a run with how far it is.
type running struct {
	cfg         Config
	done, total int
}

// measure returns what each round measured.
func (r *running) measure(ctx context.Context, m measurement, sync Sync) (rounds [][]figure, err error) {
	step := func(round int) {
		r.cfg.Progress(Step{Name: fmt.Sprintf("%s, sync %s, round %d", m.name, sync, round+1), Done: r.done, Total: r.total})
	}
	each := 1
	if m.once {
		each = r.cfg.Rounds
	}
	for len(rounds) < r.cfg.Rounds {
		step(len(rounds))
		err := withRig(ctx, r.cfg.Server, r.cfg.Dir, m, sync, r.cfg.scale(), func(measure measure) error {
			for i := range each {
				if i > 0 {
					step(i)
				}
				figures, err := measure(times(r.cfg.turns(m)))
				if err != nil {
					return err
				}
				rounds = append(rounds, figures)
				r.done++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rounds, nil
}

// withRig sets a measurement up on a server of its own, and removes everything afterwards.
func withRig(ctx context.Context, server []string, dir string, m measurement, sync Sync, scale scale, use func(measure) error) (err error) {
	if dir, err = os.MkdirTemp(dir, "esjsbench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := newRig(ctx, server, dir, sync, scale)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	measure, err := m.setUp(ctx, r)
	if err != nil {
		return err
	}
	return use(measure)
}
