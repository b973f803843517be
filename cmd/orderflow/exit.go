package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector"
)

// Exit statuses of the program's own; those below 10 are [service.ExitStatus]'s.
const (
	exitAddressInUse  = 10
	exitBadDirectory  = 11
	exitLocked        = 12
	exitServerTooOld  = 13
	exitNoJetStream   = 14
	exitNoServer      = 15
	exitConfiguration = 16 // the store on the server is not as it must be
	exitDemoFailed    = 20
	exitUnsound       = 21 // what was checked is not as it must be
)

// exit is an exit status and what it means.
type exit struct {
	status int
	means  string
}

// exits is the one table of exit statuses; help is made of it.
func exits() []exit {
	return []exit{
		{service.ExitOK, "done, or stopped as asked"},
		{service.ExitFailure, "any other failure"},
		{service.ExitUsage, "wrong usage: of the command line, or of a variable or file that it names"},
		{service.ExitRefused, "refused, as things are; the message says why"},
		{service.ExitConflict, "another writer was faster, or the expected version is not the current one: look, and decide again"},
		{service.ExitNotFound, "there is no such thing"},
		{service.ExitUnavailable, "what is needed is not ready, cannot be reached or went away: try again"},
		{service.ExitUnknown, "it may or may not have happened: repeat it with the same --command-id"},
		{exitAddressInUse, "an address is in use"},
		{exitBadDirectory, "a directory, or what is in it, cannot be used"},
		{exitLocked, "the data directory, or the projector's database, is in use by another process"},
		{exitServerTooOld, "the NATS server is too old"},
		{exitNoJetStream, "the NATS server has no JetStream"},
		{exitNoServer, "the NATS server cannot be reached, or does not accept who connects"},
		{exitConfiguration, "the store on the NATS server is not configured as it must be, or needs --policies that are not given"},
		{exitDemoFailed, "a scenario of the demo did not end as it should"},
		{exitUnsound, "what was checked is not as it must be: what is stored, a backup, or payments beside the provider's list"},
	}
}

// exitHelp explains exit statuses, all of them when none is given.
func exitHelp(only ...int) string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, e := range exits() {
		if len(only) == 0 || slices.Contains(only, e.status) {
			fmt.Fprintf(&b, "  %2d  %s\n", e.status, e.means)
		}
	}
	if len(only) > 0 {
		b.WriteString("and those of every command, which \"orderflow --help\" lists.")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// startHelp explains how the start of what runs until it is stopped fails.
func startHelp(more ...int) string {
	return exitHelp(append(more, service.ExitOK, service.ExitUsage, service.ExitUnavailable, exitAddressInUse, exitBadDirectory, exitLocked,
		exitServerTooOld, exitNoJetStream, exitNoServer, exitConfiguration)...)
}

// exitError is an error that knows how the process ends.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// unlessStopped is err, unless that is only that a process was asked to stop
// while it was starting.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func fail(status int, format string, args ...any) error {
	return &exitError{status: status, err: fmt.Errorf(format, args...)}
}

func usageError(format string, args ...any) error {
	return fail(service.ExitUsage, format, args...)
}

func exitStatus(err error) int {
	var e *exitError
	switch {
	case errors.As(err, &e):
		return e.status
	case errors.Is(err, projector.ErrInUse):
		return exitLocked
	case errors.Is(err, esjs.ErrServerTooOld):
		return exitServerTooOld
	case errors.Is(err, esjs.ErrNoJetStream):
		return exitNoJetStream
	case errors.Is(err, esjs.ErrConfig):
		return exitConfiguration
	default:
		return service.ExitStatus(err)
	}
}
