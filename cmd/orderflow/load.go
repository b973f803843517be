package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	loadStock  = 10_000_000 // bags, more than anybody orders
	loadAtOnce = 64         // orders that are being placed
	loadTells  = 10 * time.Second
	leastRate  = 0.001
	mostRate   = 1000
)

// load places orders at a rate, whatever becomes of them.
type load struct {
	rate   float64 // orders a second
	orders int     // 0: until it is stopped

	placed, failed, late atomic.Int64
}

func newLoad() *cobra.Command {
	var (
		s    settings
		l    load
		wait time.Duration
	)
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Place orders at a rate, to see how a running system takes them",
		Long: `Place orders at a rate, to see how a running system takes them: each by five commands, as
a customer does. Nine of ten pay with a good card; the tenth is declined.

It runs until --orders are placed or it is told to stop, goes on when commands are not answered, and
prints every 10 s how many orders were placed, how many were not, and for how many it was too late,
because 64 others were not placed yet.

` + exitHelp(service.ExitOK, service.ExitUsage, exitNoServer),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !(l.rate >= leastRate && l.rate <= mostRate) { // NaN is neither
				return usageError("--rate is %v; it must be at least %v and at most %d", l.rate, leastRate, mostRate)
			}
			if l.orders < 0 {
				return usageError("--orders is %d; it must not be negative", l.orders)
			}
			log := service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel)
			dial := s.dialExternal(userOperator, log)
			if err := s.reach(cmd.Context(), dial, wait, log); err != nil {
				return err
			}
			nc, err := dial("load")
			if err != nil {
				return err
			}
			defer nc.Close()
			return unlessStopped(cmd.Context(), l.run(cmd.Context(), client{nc}, cmd.OutOrStdout()))
		},
	}
	f := cmd.Flags()
	s.addServer(f)
	addWait(f, &wait)
	f.Float64Var(&l.rate, "rate", 1, "orders a second, as a `NUMBER` such as 0.5")
	f.IntVar(&l.orders, "orders", 0, "stop after `N` orders; 0 is never")
	return cmd
}

// run opens a shop of its own and places orders in it until ctx ends or all are placed.
func (l *load) run(ctx context.Context, c client, out io.Writer) error {
	run := time.Now().UTC().Format("0102-150405")
	d := demo{client: c, sku: "load-" + run}
	if err := d.open(ctx, loadStock, "load"); err != nil {
		return fmt.Errorf("the shop cannot be opened: %w", err)
	}
	var placing sync.WaitGroup
	slots := make(chan struct{}, loadAtOnce)
	next, tell := time.NewTicker(time.Duration(float64(time.Second)/l.rate)), time.NewTicker(loadTells)
	defer next.Stop()
	defer tell.Stop()
	for n := 1; ctx.Err() == nil && (l.orders == 0 || n <= l.orders); {
		select {
		case <-ctx.Done():
		case <-tell.C:
			l.tell(out)
		case <-next.C:
			select {
			case slots <- struct{}{}:
			default:
				l.late.Add(1)
				continue
			}
			s := scenario{quantity: 1, method: "card-ok"}
			if n%10 == 0 {
				s.method = "card-declined"
			}
			id := fmt.Sprintf("load-%s-%d", run, n)
			placing.Go(func() {
				defer func() { <-slots }()
				if err := d.place(ctx, s, id); err == nil {
					l.placed.Add(1)
				} else if ctx.Err() == nil {
					l.failed.Add(1)
				}
			})
			n++
		}
	}
	placing.Wait()
	l.tell(out)
	return nil
}

func (l *load) tell(out io.Writer) {
	fmt.Fprintf(out, "orders: %d placed, %d not, %d too late\n", l.placed.Load(), l.failed.Load(), l.late.Load())
}
