package gateway

import (
	"context"
	"net/http"
	"reflect"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// endpoint is one route of the API. The table of them serves, and describes what
// it serves.
type endpoint struct {
	method, path string
	summary      string
	roles        []signin.Role // that may call it at all; none: everybody, also without a token
	request      reflect.Type  // whose fields are in the path and the query; nil: none
	answer       reflect.Type  // of the JSON of a success
	or           reflect.Type  // the other JSON of a success, where there are two
	// verbs are the commands of a path that ends in {verb}.
	verbs []desk.Verb
	// stream: the answer is a stream of events of the answer's type, and lasts.
	stream bool
	handle func(http.ResponseWriter, *http.Request) error
}

// pattern is the endpoint's in a [http.ServeMux], and its name in metrics.
func (e endpoint) pattern() string { return e.method + " " + e.path }

// versioned tells that the answer is one thing at a version, which is its ETag:
// nothing in it changes while the version does not. A stock shows its product's
// price too, and a saga ages, so they have none.
func (e endpoint) versioned() bool {
	switch e.answer {
	case reflect.TypeFor[queries.Order](), reflect.TypeFor[queries.OrderMoment](), reflect.TypeFor[queries.Payment]():
		return true
	}
	return false
}

// ask is the endpoint of a question.
func ask[Q, A any](s *Service, path string, question queries.Question[Q, A]) endpoint {
	e := endpoint{
		method: http.MethodGet, path: path, summary: question.Summary, roles: desk.Readers[Q](),
		request: reflect.TypeFor[Q](), answer: reflect.TypeFor[A](),
	}
	e.handle = func(w http.ResponseWriter, r *http.Request) error {
		var request Q
		if err := bind(r, &request); err != nil {
			return err
		}
		return askAs(s, w, r, question, request)
	}
	return e
}

// askAs asks a question and answers with what it is answered with.
func askAs[Q, A any](s *Service, w http.ResponseWriter, r *http.Request, question queries.Question[Q, A], request Q) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	body, err := desk.Ask(ctx, s.desk, question, request)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "private, no-cache") // keep it, and ask whether it is still so
	// At the same version another one sees another part of it: what is kept is not for him.
	w.Header().Set("Vary", "Authorization, Cookie")
	return s.send(w, r, body, endpoint{answer: reflect.TypeFor[A]()}.versioned())
}
