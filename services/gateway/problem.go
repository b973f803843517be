package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// answer makes a handler of a function whose error is answered as a problem.
func (s *Service) answer(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		p, level := service.ProblemOf(err)
		s.env.Log.WithLevel(level).Err(err).Str("method", r.Method).Str("path", fmt.Sprintf("%.200s", r.URL.EscapedPath())).Str("code", p.Code).Msg("http request refused")
		if after := retryAfter(p); after != "" {
			w.Header().Set("Retry-After", after)
		}
		if p.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", challenge(p.Code))
		}
		shown := *p
		shown.Detail = httpWords().Replace(p.Detail)
		service.SendProblem(w, &shown)
	}
}

// retryAfter is how many seconds a client should wait before it asks again; ""
// where that does not help, or nobody knows.
func retryAfter(p *service.Problem) string {
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable || p.Code == "not_yet" {
		return "1"
	}
	return ""
}

// challenge says how to sign in, as RFC 6750 has it.
func challenge(code string) string {
	if code == "sign_in_required" {
		return `Bearer realm="orderflow"`
	}
	return `Bearer realm="orderflow", error="invalid_token"`
}

// write sends a body. A client that is gone needs no answer.
func (s *Service) write(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		s.env.Log.Debug().Err(err).Msg("http answer not sent")
	}
}

// httpWords replaces the names of the headers in what a service says: it means
// the headers of a command on NATS, and its reader knows those of HTTP.
func httpWords() *strings.Replacer {
	return strings.NewReplacer(
		service.HeaderCommandID, headerIdempotencyKey,
		service.HeaderExpectedVersion, "If-Match",
		service.HeaderCorrelationID, headerCorrelationID,
	)
}

// failedPrecondition gives a conflict the status that HTTP has for it when the
// client had said which version it knows.
func failedPrecondition(err error, expected bool) error {
	var p *service.Problem
	if !expected || !errors.As(err, &p) || p.Code != "conflict" {
		return err
	}
	failed := *p
	failed.Status, failed.Title = http.StatusPreconditionFailed, http.StatusText(http.StatusPreconditionFailed)
	return &failed
}

// readBody reads a command's JSON; no body is an empty object.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength != 0 { // known to be something, or not known
		if err := checkJSON(r); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, service.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem(http.StatusRequestEntityTooLarge, "body_too_large", "the body has more than the %d bytes that are allowed", service.MaxBody)
	case err != nil:
		return nil, problem(http.StatusBadRequest, "bad_request", "the body cannot be read: %v", err)
	case len(body) == 0:
		return []byte("{}"), nil
	}
	return body, nil
}

func problem(status int, code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}
