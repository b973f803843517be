package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Problem is the body of every answer that is not a success (RFC 9457). Code is
// stable and for programs; Detail is a sentence for people. It is an error, so
// that a client can return what a service answered.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"` // HTTP status
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Exit statuses of the command line. 1 is any other failure.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitRefused     = 3 // the request cannot be granted as it is: 4xx but for 404
	ExitConflict    = 4 // another writer was faster: read and decide again
	ExitNotFound    = 5 // there is no such thing: 404
	ExitUnavailable = 6 // busy, stopping, not running: try again
	ExitUnknown     = 7 // it may or may not have happened: repeat with the same command id
)

const (
	codeInternal = "internal" // of every error that the table does not know
	codeTimeout  = "timeout"
)

// Errors of the endpoints themselves.
var (
	errBusy     = errors.New("the service is at its limit of concurrent requests; try again")
	errInternal = errors.New("an internal error; the service's log has the details")
)

// meaning is what one kind of error means to a caller, to the log and to the shell.
type meaning struct {
	is     func(error) bool
	status int
	code   string
	detail func(error) string
	level  zerolog.Level
	exit   int
}

// meanings is the one table of errors; the first row that matches counts.
func meanings() []meaning {
	return []meaning{
		{is(errBusy), http.StatusServiceUnavailable, "busy", asIs, zerolog.WarnLevel, ExitUnavailable},
		{is(esjs.ErrConflict), http.StatusConflict, "conflict", conflict, zerolog.InfoLevel, ExitConflict},
		{is(esjs.ErrCommandReused), http.StatusUnprocessableEntity, "command_id_reused",
			text("this Command-Id was used before for another command; give every command an id of its own, and repeat the same command unchanged"),
			zerolog.InfoLevel, ExitRefused},
		{is(esjs.ErrNotFound), http.StatusNotFound, "not_found", asIs, zerolog.DebugLevel, ExitNotFound},
		{isType[*esjs.ErasedError], http.StatusGone, "erased", asIs, zerolog.InfoLevel, ExitRefused},
		{is(esjs.ErrInvalid), http.StatusBadRequest, "invalid", asIs, zerolog.InfoLevel, ExitUsage},
		{is(esjs.ErrTooLarge), http.StatusRequestEntityTooLarge, "too_large",
			text("the events of this command are larger than one message of the server may be; nothing was stored"), zerolog.WarnLevel, ExitRefused},
		{is(esjs.ErrStoreFull), http.StatusInsufficientStorage, "store_full",
			text("the event store is full; nothing was stored"), zerolog.ErrorLevel, ExitFailure},
		{is(esjs.ErrUnknownOutcome), http.StatusGatewayTimeout, "unknown_outcome",
			text("the command may or may not be stored; repeat it with the same Command-Id, or read"), zerolog.WarnLevel, ExitUnknown},
		{isType[*esjs.CorruptError], http.StatusInternalServerError, "corrupt", asIs, zerolog.ErrorLevel, ExitFailure},
		{isType[*esjs.DecodeError], http.StatusInternalServerError, "undecodable", asIs, zerolog.ErrorLevel, ExitFailure},
		{is(esjs.ErrConfig), http.StatusInternalServerError, "misconfigured", asIs, zerolog.ErrorLevel, ExitFailure},
		{is(esjs.ErrRefused), http.StatusBadGateway, "refused_by_server", asIs, zerolog.ErrorLevel, ExitFailure},
		{is(esjs.ErrUnavailable), http.StatusServiceUnavailable, "unavailable", asIs, zerolog.WarnLevel, ExitUnavailable},
		{is(jetstream.ErrNoStreamResponse), http.StatusServiceUnavailable, "no_queue",
			text("no stream takes such a command; check the category, and that \"orderflow provision\" has made the queue of commands"), zerolog.WarnLevel, ExitUnavailable},
		{is(nats.ErrNoResponders), http.StatusServiceUnavailable, "not_running",
			text("no running service answers this subject; check the subject, and that the service runs"), zerolog.WarnLevel, ExitUnavailable},
		{is(context.DeadlineExceeded), http.StatusGatewayTimeout, codeTimeout,
			text("the request took too long; it may or may not have had an effect: repeat it with the same Command-Id, or read"), zerolog.WarnLevel, ExitUnknown},
		{is(nats.ErrTimeout), http.StatusGatewayTimeout, codeTimeout,
			text("no answer in time; the request may or may not have had an effect: repeat it with the same Command-Id, or read"), zerolog.WarnLevel, ExitUnknown},
		{is(context.Canceled), http.StatusServiceUnavailable, "stopping", text("the service is stopping; try again"), zerolog.InfoLevel, ExitUnavailable},
		{is(nats.ErrConnectionClosed), http.StatusServiceUnavailable, "stopping", text("the service is stopping; try again"), zerolog.InfoLevel, ExitUnavailable},
	}
}

// ProblemOf says what err means to a caller and how it is logged. An error that
// the table does not know is an internal one, whose text is for the log alone.
func ProblemOf(err error) (*Problem, zerolog.Level) {
	var p *Problem
	if errors.As(err, &p) {
		return p, zerolog.InfoLevel
	}
	var r *esjs.Rejection
	if errors.As(err, &r) {
		status := r.Status
		if status == 0 {
			status = http.StatusConflict
		}
		return problem(status, r.Code, r.Message), zerolog.InfoLevel
	}
	for _, m := range meanings() {
		if m.is(err) {
			return problem(m.status, m.code, m.detail(err)), m.level
		}
	}
	return problem(http.StatusInternalServerError, codeInternal, errInternal.Error()), zerolog.ErrorLevel
}

// ExitStatus is the exit status of a program that ends with err.
func ExitStatus(err error) int {
	if err == nil {
		return ExitOK
	}
	for _, m := range meanings() {
		if m.is(err) {
			return m.exit
		}
	}
	var (
		r *esjs.Rejection
		p *Problem
	)
	switch {
	case errors.As(err, &r):
		return exitOfRefusal(r.Status)
	case errors.As(err, &p):
		for _, m := range meanings() {
			if m.code == p.Code {
				return m.exit
			}
		}
		return exitOfRefusal(p.Status)
	}
	return ExitFailure
}

// exitOfRefusal is the exit status of what was refused with a status of HTTP, by a code
// that is the domain's own.
func exitOfRefusal(status int) int {
	switch {
	case status == http.StatusNotFound:
		return ExitNotFound
	case status == http.StatusServiceUnavailable:
		return ExitUnavailable
	case status < http.StatusInternalServerError:
		return ExitRefused
	}
	return ExitFailure
}

// isPassing tells errors that say nothing about the request: the same one may
// succeed later.
func isPassing(err error) bool {
	var r *esjs.Rejection
	if errors.As(err, &r) {
		return false
	}
	for _, m := range meanings() {
		if m.is(err) {
			return m.exit == ExitUnavailable || m.exit == ExitUnknown || errors.Is(err, esjs.ErrStoreFull)
		}
	}
	return false
}

func problem(status int, code, detail string) *Problem {
	return &Problem{
		Type:   "urn:orderflow:problem:" + code,
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Detail: detail,
	}
}

// badRequest refuses a request that is not one.
func badRequest(code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func isType[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

func asIs(err error) string { return err.Error() }

func text(s string) func(error) string { return func(error) string { return s } }

func conflict(err error) string {
	var c *esjs.ConflictError
	if errors.As(err, &c) {
		return fmt.Sprintf("%s is at version %d, not %d; read it and decide again", c.Stream, c.Actual, c.Expected)
	}
	return "another writer was faster; read and decide again"
}
