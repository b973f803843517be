package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/go-json-experiment/json"
)

// expectation reads what a command's headers expect: the version of an If-Match,
// 0 (nothing is there) for If-None-Match: *, or nil for nothing in particular.
//
// If-Match: * asks for any version, which every command but one that creates needs
// anyway. A verb that replaces what another writer may just have set is refused
// without an If-Match: "precondition_required", 428.
func expectation(h http.Header, verb desk.Verb) (*uint64, error) {
	match, none := h.Values("If-Match"), h.Values("If-None-Match")
	switch {
	case len(match) > 0 && len(none) > 0:
		return nil, badPrecondition("a command takes If-Match or If-None-Match, not both")
	case len(none) > 0:
		if strings.Join(none, ",") != "*" {
			return nil, badPrecondition("the header If-None-Match of a command must be *: nothing may be there yet")
		}
		return new(uint64), nil
	case len(match) > 0:
		return ifMatch(strings.TrimSpace(strings.Join(match, ",")), verb)
	case verb.Replaces:
		return nil, problem(http.StatusPreconditionRequired, "precondition_required",
			"%s replaces what another writer may have set: send If-Match with the ETag of what you have seen, or If-Match: * to replace whatever is there", verb.Name)
	}
	return nil, nil
}

func ifMatch(text string, verb desk.Verb) (*uint64, error) {
	switch {
	case text == "*" && verb.Creates:
		return nil, badPrecondition("If-Match: * asks for something that is there, and %s creates it; send If-None-Match: *, or neither", verb.Name)
	case text == "*":
		return nil, nil
	case strings.HasPrefix(text, "W/"):
		return nil, problem(http.StatusPreconditionFailed, "weak_etag",
			`the header If-Match is %.60q: a weak ETag never matches; send a strong one, such as "3"`, text)
	}
	bare := text
	if len(text) >= 2 && strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
		bare = text[1 : len(text)-1]
	}
	version, err := strconv.ParseUint(bare, 10, 63)
	if err != nil {
		return nil, badPrecondition(`the header If-Match is %.60q; it must be one version as an ETag gives it, such as "3", or *`, text)
	}
	return &version, nil
}

func badPrecondition(format string, args ...any) error {
	return problem(http.StatusBadRequest, "bad_request", format, args...)
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

// knows tells that tag, or whatever there is, is in an If-None-Match header.
func knows(values []string, tag string) bool {
	all := strings.Split(strings.Join(values, ","), ",")
	return slices.ContainsFunc(all, func(known string) bool {
		known = strings.TrimPrefix(strings.TrimSpace(known), "W/")
		return known == tag || known == "*"
	})
}

// send answers 200 with JSON; with the version as ETag, and 304 when the client
// has that, where the answer is one thing at a version.
func (s *Service) send(w http.ResponseWriter, r *http.Request, body []byte, versioned bool) error {
	if versioned {
		tag, err := etag(body)
		if err != nil {
			return err
		}
		w.Header().Set("ETag", tag)
		if r.Method != http.MethodPost && knows(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, body)
	return nil
}
