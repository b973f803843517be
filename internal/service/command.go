package service

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// The request headers of a command; all are optional.
const (
	HeaderCommandID       = "Command-Id"       // makes the command idempotent
	HeaderExpectedVersion = "Expected-Version" // refuse unless the aggregate has exactly so many events
	HeaderCorrelationID   = "Correlation-Id"
	HeaderActor           = "Actor"       // who asked; trusted only from the gateway's and the operator's user
	HeaderTraceParent     = "traceparent" // the W3C trace context that the request belongs to
)

// Command is one request on cmd.<category>.<key>.<verb>.
type Command struct {
	Category string
	Key      string // unescaped
	Verb     string
	Body     []byte

	ID              string // Command-Id header
	ExpectedVersion *uint64
	CorrelationID   string
	Actor           string
}

// Decode reads the body into v, strictly: an unknown field, a duplicate key or
// a value of the wrong type is a *[esjs.Rejection] with code "bad_request",
// status 400 and a sentence that names the field.
func (c Command) Decode(v any) error { return Decode(c.Body, v) }

// Options returns the command's metadata, idempotency and expectation for a
// command handler; correlation is used when the command brought none.
func (c Command) Options(correlation string) []esjs.HandleOption {
	m := esjs.Metadata{
		CorrelationID: c.CorrelationID,
		CommandID:     c.ID,
		Actor:         c.Actor,
	}
	if m.CorrelationID == "" {
		m.CorrelationID = correlation
	}
	if c.ID != "" {
		m.CommandHash = esjs.CommandHash(c.Verb, c.Body)
	}
	opts := []esjs.HandleOption{esjs.WithMetadata(m)}
	if c.ExpectedVersion != nil {
		opts = append(opts, esjs.IfVersion(*c.ExpectedVersion))
	}
	return opts
}

// Decider returns who decides, which a command that is for operators must say. Without it
// the error is a *[esjs.Rejection] with code "actor_required", status 422.
func (c Command) Decider() (actor string, err error) {
	if c.Actor == "" {
		return "", &esjs.Rejection{
			Code: "actor_required", Message: "an operator's command needs the header " + HeaderActor + ", which says who decides",
			Status: http.StatusUnprocessableEntity,
		}
	}
	return c.Actor, nil
}

// Reply is the answer to a command that was handled.
type Reply struct {
	Version  uint64   `json:"version"`
	Revision string   `json:"revision"`
	EventIDs []string `json:"event_ids"`
	State    any      `json:"state"`
}

// ReplyTo makes the reply of a result; view is what the caller may see of the state.
func ReplyTo[S any](r esjs.Result[S], view any) Reply {
	return Reply{Version: r.Version, Revision: r.Revision.String(), EventIDs: r.EventIDs, State: view}
}

// parseCommand reads a request as a command of c's category, or says in a
// sentence why it is none.
func parseCommand[H any](category string, verbs map[string]H, subject string, header nats.Header, body []byte) (Command, error) {
	key, verb, err := parseSubject(category, subject)
	if err != nil {
		return Command{}, err
	}
	if _, known := verbs[verb]; !known {
		return Command{}, unknownVerb(category, verb, slices.Sorted(maps.Keys(verbs)))
	}
	cmd := Command{
		Category: category,
		Key:      key,
		Verb:     verb,
		Body:     body,
	}
	for name, field := range map[string]*string{
		HeaderCommandID:     &cmd.ID,
		HeaderCorrelationID: &cmd.CorrelationID,
		HeaderActor:         &cmd.Actor,
	} {
		if *field, err = headerText(name, header.Get(name)); err != nil {
			return Command{}, err
		}
	}
	if s := header.Get(HeaderExpectedVersion); s != "" {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return Command{}, badRequest(codeBadRequest, "the header %s is %s; it must be the number of events that the aggregate has, 0 or more", HeaderExpectedVersion, clip(strconv.Quote(s)))
		}
		cmd.ExpectedVersion = &n
	}
	return cmd, checkSize(body)
}

// parseSubject takes key and verb from cmd.<category>.<key>.<verb>.
func parseSubject(category, subject string) (key, verb string, err error) {
	tokens := strings.Split(strings.TrimPrefix(subject, "cmd."+category+"."), ".")
	if len(tokens) != 2 || tokens[0] == "*" || slices.Contains(tokens, ">") || tokens[1] == "*" {
		return "", "", badRequest("bad_subject",
			"the subject %s is not a command; a command is sent to cmd.%s.<key>.<verb> without wildcards, and a dot inside a key is written =2E",
			clip(strconv.Quote(subject)), category)
	}
	key, err = esjs.UnescapeKey(tokens[0])
	if err != nil {
		return "", "", badKey(tokens[0])
	}
	if hasControls(key) {
		return "", "", badRequest("bad_key", "the key %s has control characters; only printable text is allowed", clip(strconv.Quote(key)))
	}
	return key, tokens[1], nil
}

// lineOf adds to a line of the log what a command is for: the key of its aggregate, and the correlation of what it
// stores. A subject that is no command's adds nothing.
func lineOf(line *zerolog.Event, category, subject string, header nats.Header) *zerolog.Event {
	key, _, err := parseSubject(category, subject)
	if err != nil {
		return line
	}
	correlation, _ := headerText(HeaderCorrelationID, header.Get(HeaderCorrelationID)) // what is refused is not repeated
	return line.Str("category", category).Str("key", key).Str("correlation_id", cmp.Or(correlation, key))
}

// badKey says what is wrong with a subject's key token, and how it is written
// when it would do as a key.
func badKey(token string) error {
	const rule = "a key has 1 to 255 bytes of UTF-8, and every byte outside A-Z a-z 0-9 _ - is written =XX in upper-case hexadecimal"
	if escaped, err := esjs.EscapeKey(token); err == nil && !strings.Contains(token, "=") {
		return badRequest("bad_key", "the key %s is written %s in a subject: %s", clip(strconv.Quote(token)), clip(escaped), rule)
	}
	return badRequest("bad_key", "%s is not a key: %s", clip(strconv.Quote(token)), rule)
}

func unknownVerb(category, verb string, verbs []string) error {
	return &esjs.Rejection{
		Code:    "unknown_verb",
		Message: fmt.Sprintf("%s has no command %s; it has %s", category, clip(strconv.Quote(verb)), strings.Join(verbs, ", ")),
		Status:  404,
	}
}

// headerText accepts what is stored with events as an attribute of an envelope.
func headerText(name, value string) (string, error) {
	const most = 255
	switch {
	case len(value) > most:
		return "", badRequest(codeBadRequest, "the header %s has %d bytes; at most %d are allowed", name, len(value), most)
	case !utf8.ValidString(value):
		return "", badRequest(codeBadRequest, "the header %s is not valid UTF-8", name)
	case hasControls(value):
		return "", badRequest(codeBadRequest, "the header %s has control characters; only printable text is allowed", name)
	}
	return value, nil
}
