package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newBenchSystem() *cobra.Command {
	return &cobra.Command{
		Use:    "system URL REPLICAS DIR",
		Short:  "Be the order system that is measured",
		Hidden: true,
		Args:   exactly("URL", "REPLICAS", "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			replicas, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError("REPLICAS is %q; it must be a number", args[1])
			}
			return runBenchSystem(cmd.Context(), args[0], replicas, args[2], cmd.InOrStdin(), cmd.OutOrStdout(), service.NewLogger(cmd.ErrOrStderr(), zerolog.ErrorLevel))
		},
	}
}

// runBenchSystem is "up" on another server, until in ends. It answers what its process takes of the machine.
func runBenchSystem(ctx context.Context, url string, replicas int, dir string, in io.Reader, out io.Writer, log zerolog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &upFlags{settings: settings{natsURL: url, replicas: replicas, eventsMax: defaultEventsMax, data: dir, http: freeLoopback, logLevel: "error"}}
	announced := announcement{make(chan struct{}), new(sync.Once)}
	ran := make(chan error, 1)
	go func() { ran <- runUp(ctx, f, true, announced, log) }()
	select {
	case err := <-ran:
		return errors.Join(errors.New("the order system does not start"), err)
	case <-announced.made:
	}
	err := esjsbench.AnswerAs("ready", in, out)
	stop()
	return errors.Join(err, unlessStopped(ctx, <-ran))
}

// announcement waits for what "up" prints when everything is ready.
type announcement struct {
	made chan struct{}
	once *sync.Once
}

func (a announcement) Write(text []byte) (int, error) {
	a.once.Do(func() { close(a.made) })
	return len(text), nil
}
