package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector"
)

// Exit statuses of a start that failed; those below 10 are [service.ExitStatus]'s.
const (
	exitAddressInUse  = 10
	exitBadDirectory  = 11
	exitLocked        = 12
	exitServerTooOld  = 13
	exitNoJetStream   = 14
	exitNoServer      = 15
	exitConfiguration = 16 // the store on the server is not as it must be
	exitDemoFailed    = 20
	exitUnsound       = 21 // "verify" found something
)

const exitHelp = `Exit status: 0 stopped as asked, 2 wrong usage, 6 a server that is needed cannot be
reached or went away, 10 an address is in use, 11 the data directory cannot be used, 12 it, or the projector's
database in it, is in use by another process, 13 the NATS server is too old, 14 it has no JetStream, 15 it
cannot be reached, 16 the store on it is not configured as it must be, or needs
--policies that are not given, 20 a scenario of the demo did not end as it should,
1 anything else.`

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
