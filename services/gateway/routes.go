package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Headers of the API that are not HTTP's own.
const (
	headerIdempotencyKey = "Idempotency-Key"
	headerCorrelationID  = "X-Correlation-Id"
)

// endpoint is one route of the API.
type endpoint struct {
	method, path string
	handle       func(http.ResponseWriter, *http.Request) error
}

func (s *Service) endpoints() []endpoint {
	return []endpoint{
		{http.MethodGet, "/v1/orders/{id}", s.getOrder},
		{http.MethodPost, "/v1/orders/{id}/{verb}", s.commandOrder},
	}
}

// Routes adds the API to mux, everything below /v1/.
func (s *Service) Routes(mux *http.ServeMux) {
	// A page of another site that a user visits must not send commands with the
	// user's browser.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(s.answer(func(http.ResponseWriter, *http.Request) error {
		return problem(http.StatusForbidden, "cross_origin", "a page of another origin may not send commands")
	}))
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, s.metrics.observe(pattern, guard.Handler(s.answer(h)).ServeHTTP))
	}
	for _, e := range s.endpoints() {
		handle(e.method+" "+e.path, e.handle)
		handle(e.path, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", e.method)
			return problem(http.StatusMethodNotAllowed, "method_not_allowed", "%s takes %s, not %s", e.path, e.method, r.Method)
		})
	}
	handle("/v1/", func(http.ResponseWriter, *http.Request) error {
		var known []string
		for _, e := range s.endpoints() {
			known = append(known, e.method+" "+e.path)
		}
		return problem(http.StatusNotFound, "no_such_path", "there is no such path; there are %s", strings.Join(known, ", "))
	})
}

func (s *Service) getOrder(w http.ResponseWriter, r *http.Request) error {
	query, err := json.Marshal(map[string]string{
		"order_id":     r.PathValue("id"),
		"min_revision": r.URL.Query().Get("min_revision"),
	}, json.Deterministic(true))
	if err != nil { // an id that is not UTF-8
		return problem(http.StatusBadRequest, "bad_key", "an id is 1 to 255 bytes of UTF-8; this one is not UTF-8")
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	body, err := s.client.Ask(ctx, "query.orders.get", query)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache") // keep it, and ask whether it is still so
	return s.send(w, r, body)
}

// commandOrder sends a command. A client that goes away does not take it back:
// it comes again with the same key and gets the answer.
func (s *Service) commandOrder(w http.ResponseWriter, r *http.Request) error {
	cmd := service.Command{
		Category:      events.CategoryOrder,
		Key:           r.PathValue("id"),
		Verb:          r.PathValue("verb"),
		ID:            r.Header.Get(headerIdempotencyKey),
		CorrelationID: r.Header.Get(headerCorrelationID),
	}
	var err error
	if cmd.ExpectedVersion, err = ifMatch(r.Header.Values("If-Match")); err != nil {
		return err
	}
	if cmd.Body, err = readBody(w, r); err != nil {
		return err
	}
	if cmd.ID == "" {
		cmd.ID = uuid.NewString()
	}
	w.Header().Set(headerIdempotencyKey, cmd.ID)
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	body, err := s.client.Send(ctx, cmd)
	if err != nil {
		return failedPrecondition(err, cmd.ExpectedVersion != nil)
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.send(w, r, body)
}

// ifMatch reads the version of an If-Match header; nil when there is none.
func ifMatch(values []string) (*uint64, error) {
	if len(values) == 0 {
		return nil, nil
	}
	text := strings.TrimSpace(strings.Join(values, ","))
	bare := text
	if unquoted, err := strconv.Unquote(text); err == nil {
		bare = unquoted
	}
	version, err := strconv.ParseUint(bare, 10, 63)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "bad_request", `the header If-Match is %.60q; it must be one version as an ETag gives it, such as "3"`, text)
	}
	return &version, nil
}

// etag is the version that an answer shows, as HTTP writes it.
func etag(body []byte) (string, error) {
	var shown struct {
		Version uint64 `json:"version"`
	}
	if err := json.Unmarshal(body, &shown); err != nil {
		return "", fmt.Errorf("an answer without a version: %w", err)
	}
	return strconv.Quote(strconv.FormatUint(shown.Version, 10)), nil
}

// knows tells that tag is in an If-None-Match header.
func knows(values []string, tag string) bool {
	all := strings.Split(strings.Join(values, ","), ",")
	return slices.ContainsFunc(all, func(known string) bool {
		return strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag
	})
}

// send answers 200 with the version as ETag, or 304 when the client has it.
func (s *Service) send(w http.ResponseWriter, r *http.Request, body []byte) error {
	tag, err := etag(body)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", tag)
	if r.Method == http.MethodGet && knows(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, body)
	return nil
}
