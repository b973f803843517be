//go:build linux

// Command chaos puts the store, subscriptions, projections and the whole order system
// on a cluster of three nats-servers, does to the servers what happens to machines, as
// a seed says, and judges what everybody was told by what is stored in the end. It
// needs root; "make chaos SEED=1 MINUTES=5" builds and runs it. docs/reliability.md has
// what it found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/chaos/rig"
)

// allFaults names every fault.
const allFaults = "all"

// The exit statuses.
const (
	exitPassed   = 0
	exitObjected = 1 // a checker objects: the history is kept
	exitFailed   = 2 // the run itself failed, or was asked for in a wrong way
	exitMissing  = 4 // this machine does not have what a run needs
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	status, err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	os.Exit(status)
}

// config says what a run is.
type config struct {
	seed       uint64
	time       time.Duration // of the nemesis
	faults     []string      // names, of which each is to happen; empty: those for which there is time
	sync       string
	partitions int // of the registers' store
	orders     bool
	soak       bool
	leak       bool
	believe    bool   // conflicts of appends that are sent again
	keep       string // directory in which a run has its own
	program    struct{ server, older, orderflow string }
}

// store is where registers are: beside the order system's store, which has one partition.
func (c config) store() esjs.Config {
	n := max(c.partitions, 1)
	return esjs.Config{Stream: "CHAOS", Prefix: "chaos", Partitions: n, Replicas: rig.Size, MaxBytes: 512 << 20 / int64(n)}
}

// streams are those of the registers, one for each partition.
func (c config) streams() (names []string) {
	for p := range c.store().Partitions {
		name, _ := c.store().StreamOf(p)
		names = append(names, name)
	}
	return names
}

func command(ctx context.Context, args []string, out io.Writer) (status int, err error) {
	var (
		cfg     config
		faults  string
		minutes float64
		again   string
	)
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.Uint64Var(&cfg.seed, "seed", 0, "`SEED` of faults and clients; 0: one that is printed")
	f.Float64Var(&minutes, "minutes", 1, "how many `MINUTES` faults happen, and longer where not each of -faults has happened once; after it everything is given time to end")
	f.StringVar(&faults, "faults", "", "`NAMES` of the faults that happen, each once at least, separated by commas; all: every one of them; empty: those for which there is time. There are "+strings.Join(faultNames(), ", "))
	f.StringVar(&cfg.sync, "sync", "always", "the servers' sync_`INTERVAL`; with another one than always a loss of power loses events, and the checkers must say so")
	f.IntVar(&cfg.partitions, "partitions", 1, "of how many partitions the registers' store is, each with a leader of its own: of which one the leader is put through a fault, the seed says")
	f.BoolVar(&cfg.orders, "orders", true, "run the order system, too")
	f.BoolVar(&cfg.soak, "soak", false, "no faults but restarts: work and rest in turns, and judge by what is there at rest whether anything grows")
	f.BoolVar(&cfg.leak, "leak", false, "leave something behind in each cycle of a soak, which the judges must see")
	f.BoolVar(&cfg.believe, "believe-conflicts", false, "writers that do not learn what became of an append send it again, and believe the conflict that answers; the checkers must object")
	f.StringVar(&cfg.keep, "keep", os.TempDir(), "`DIR` in which a run has a directory of its own; it stays, with the history, unless the run passes")
	f.StringVar(&cfg.program.server, "nats-server", "", "`FILE` of the nats-server; empty: it is built")
	f.StringVar(&cfg.program.older, "older-nats-server", "", "`FILE` of an older nats-server, for rolling-upgrade; empty: the one of test/chaos/older.mod is built where that fault is one of the run's")
	f.StringVar(&cfg.program.orderflow, "orderflow", "", "`FILE` of the program; empty: it is built")
	f.StringVar(&again, "check", "", "judge the history in `FILE` again, and run nothing")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "chaos puts a cluster, and the order system on it, through faults, and judges what everybody was told.\nIt exits with %d: passed; %d: a checker objects; %d: the run itself failed, or was asked for in a wrong way;\n%d: this machine lacks what a run needs, and nothing was run (make says so with \"Error %d\", and exits with 2).\n\n",
			exitPassed, exitObjected, exitFailed, exitMissing, exitMissing)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return exitFailed, nil //nolint:nilerr // the flags have said it
	}
	if cfg.leak && !cfg.soak || cfg.soak && (faults != "" || !cfg.orders) {
		return exitFailed, errors.New("-leak is of a -soak, which has no -faults and needs the -orders")
	}
	if again != "" && cfg.soak {
		rests, err := readRests(again)
		if err != nil {
			return exitFailed, err
		}
		for _, wrong := range judgeRests(out, rests) {
			fmt.Fprintln(out, wrong)
			status = exitObjected
		}
		return status, nil
	}
	if again != "" {
		h, err := history.ReadFile(again)
		if err != nil {
			return exitFailed, err
		}
		return report(out, h, h.Check())
	}
	switch faults {
	case "":
	case allFaults:
		cfg.faults = faultNames()
	default:
		cfg.faults = strings.Split(faults, ",")
	}
	cfg.time = time.Duration(minutes * float64(time.Minute))
	if cfg.seed == 0 {
		cfg.seed = uint64(time.Now().UnixNano())
	}
	if err := cfg.check(minutes); err != nil {
		return exitFailed, err
	}
	if missing := rig.Missing(ctx); missing != "" {
		return exitMissing, errors.New("nothing was run: " + missing)
	}
	return newRun(cfg, out).do(ctx)
}

// check refuses what no run can be.
func (c config) check(minutes float64) error {
	if _, err := newNemesis(c, nil, nil); err != nil {
		return err
	}
	if minutes < 0 || minutes == 0 && len(c.faults) == 0 {
		return fmt.Errorf("no fault happens in -minutes %v; those that are named with -faults happen once at least", minutes)
	}
	if interval, err := time.ParseDuration(c.sync); c.sync != "always" && (err != nil || interval <= 0) {
		return fmt.Errorf("-sync is always or a duration, not %q", c.sync)
	}
	if c.partitions < 1 || c.partitions > 64 {
		return fmt.Errorf("-partitions is from 1 to 64, not %d", c.partitions)
	}
	if dir, err := os.Stat(c.keep); err != nil || !dir.IsDir() {
		return fmt.Errorf("-keep %s is no directory", c.keep)
	}
	return nil
}
