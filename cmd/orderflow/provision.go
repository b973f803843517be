package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/spf13/cobra"
)

// provisionTime bounds the creation of all streams and buckets, unless --timeout says otherwise; on a cluster
// each of them elects a leader.
const provisionTime = 2 * time.Minute

func newProvision() *cobra.Command {
	s := &settings{}
	var wait, timeout time.Duration
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Create or check the streams and buckets on a NATS server",
		Long: `Create the streams and buckets that the services need on a NATS server, or
check those that are there: what differs and cannot be changed without risk is
refused and named, field by field. It may be run any number of times; replicas
and limits of what is there are changed where their flags say so. Each service's
bucket of snapshots is given a sixteenth of what the event stream may hold, at
least 64 MiB; one that is larger stays as it is.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.checkStore(); err != nil {
				return err
			}
			log, err := s.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			dial := s.dialExternal("provision", log)
			if err := s.reach(cmd.Context(), dial, wait, log); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			defer tellWaiting(cmd.ErrOrStderr(), "waiting for the NATS servers: not everything is created and has a leader yet")()
			cfg := s.store()
			if !cmd.Flags().Changed("replicas") { // of what is there it stays as it is
				cfg.Replicas = 0
			}
			if !cmd.Flags().Changed("events-max-bytes") {
				cfg.MaxBytes = 0
			}
			if err := provision(ctx, dial, cfg); err != nil {
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return fail(service.ExitUnavailable, "the NATS servers have not answered for %v that everything is there: are more than half of the cluster's servers running, and connected? %w", timeout, err)
				}
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "streams and buckets are as they must be")
			return nil
		},
	}
	s.addServer(cmd.Flags())
	s.addStore(cmd.Flags())
	s.addLog(cmd.Flags())
	addWait(cmd.Flags(), &wait)
	cmd.Flags().DurationVar(&timeout, "timeout", provisionTime, "how long to wait for what is not created yet")
	return cmd
}

const (
	// snapshotsShare is a service's snapshots' part of the events, bytes of these for one of those: an order has
	// 26 kB of events when it is completed, and its largest snapshot, of five services, 1.3 kB.
	snapshotsShare = 16
	snapshotsMin   = int64(64) << 20
)

// snapshotsMax is the limit of a service's bucket of snapshots beside so many bytes of events.
func snapshotsMax(eventsMax int64) int64 { return max(snapshotsMin, eventsMax/snapshotsShare) }

// provision creates or checks everything that the services need to exist.
func provision(ctx context.Context, dial esjs.Dial, cfg esjs.Config) error {
	if _, bounded := ctx.Deadline(); !bounded {
		limited, cancel := context.WithTimeout(ctx, provisionTime)
		defer cancel()
		ctx = limited
	}
	if err := esjs.Provision(ctx, dial, cfg); err != nil {
		return err
	}
	if err := esjs.ProvisionTimers(ctx, dial, cfg.Replicas); err != nil {
		return err
	}
	var takes []string
	for _, s := range services() {
		takes = append(takes, s.takes...)
		for _, bucket := range s.buckets {
			var size []esjs.BucketOption
			if isSnapshots("KV_" + bucket) {
				size = append(size, esjs.MaxBytes(snapshotsMax(cfg.MaxBytes)))
			}
			if err := esjs.ProvisionBucket(ctx, dial, bucket, cfg.Replicas, size...); err != nil {
				return err
			}
		}
	}
	if err := esjs.ProvisionBucket(ctx, dial, bucketBackups, cfg.Replicas); err != nil {
		return err
	}
	return service.ProvisionQueue(ctx, dial, cfg.Replicas, takes...)
}
