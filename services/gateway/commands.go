package gateway

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/google/uuid"
)

// Headers of the API that are not HTTP's own.
const (
	headerIdempotencyKey = "Idempotency-Key"
	headerCorrelationID  = "X-Correlation-Id"
)

// commands is the endpoint of a category's commands.
func (s *Service) commands(path, category string) endpoint {
	e := endpoint{method: http.MethodPost, path: path, summary: "Commands of " + category}
	for _, v := range desk.Verbs() {
		if v.Category == category {
			e.verbs = append(e.verbs, v)
			e.roles = union(e.roles, v.Roles)
		}
	}
	_, rest, _ := strings.Cut(path, "{")
	key, _, _ := strings.Cut(rest, "}")
	e.handle = func(w http.ResponseWriter, r *http.Request) error {
		return s.command(w, r, service.Command{Category: category, Key: r.PathValue(key), Verb: r.PathValue("verb")})
	}
	return e
}

func union(roles, more []signin.Role) []signin.Role {
	for _, role := range more {
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles
}

// command sends a command. A client that goes away does not take it back: it
// comes again with the same key and gets the answer.
func (s *Service) command(w http.ResponseWriter, r *http.Request, cmd service.Command) error {
	verb, err := desk.Find(cmd.Category, cmd.Verb)
	if err != nil {
		return err
	}
	if err := bind(r, &struct{}{}); err != nil {
		return err
	}
	cmd.ID, cmd.CorrelationID = r.Header.Get(headerIdempotencyKey), r.Header.Get(headerCorrelationID)
	if cmd.ExpectedVersion, err = expectation(r.Header, verb); err != nil {
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
	body, err := s.desk.Send(ctx, cmd)
	if err != nil {
		return failedPrecondition(err, cmd.ExpectedVersion != nil)
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.send(w, r, body, true)
}

// checkJSON refuses a body that says it is something else than JSON. One that
// says nothing is taken for JSON.
func checkJSON(r *http.Request) error {
	text := r.Header.Get("Content-Type")
	if text == "" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(text)
	if charset := parameters["charset"]; err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	return problem(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"the body is said to be %.60q; a command's body is application/json in UTF-8 (curl: --json)", text)
}
