package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/spf13/cobra"
)

func newHealthcheck() *cobra.Command {
	var (
		addr    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running process whether it is ready",
		Long:  "Ask a running process whether it is ready, for containers without a shell.\n\n" + exitHelp(service.ExitOK, service.ExitUnavailable),
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return checkHealth(ctx, addr, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&addr, "http", defaultHTTP, "`HOST:PORT` of the process's HTTP server")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

func checkHealth(ctx context.Context, addr string, out io.Writer) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usageError("--http is %q; it must be HOST:PORT, for example %s", addr, defaultHTTP)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // what listens everywhere is asked here
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return usageError("--http is %q: %w", addr, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(service.ExitUnavailable, "no answer from %s: %w", addr, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fail(service.ExitUnavailable, "no answer from %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fail(service.ExitUnavailable, "not ready: %s", strings.TrimSpace(string(body)))
	}
	fmt.Fprintln(out, "ready")
	return nil
}
