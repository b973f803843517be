package gateway

import (
	"net/http"

	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// Routes adds to mux the API, which is what [Service.endpoints] lists and its
// description, and the console.
func (s *Service) Routes(mux *http.ServeMux) {
	guard := s.CrossOriginGuard()
	for _, e := range append(s.endpoints(), s.description()) {
		h := guard.Handler(s.answer(s.admitted(e)))
		if !e.stream {
			h = s.traced(e.pattern(), h.ServeHTTP)
		}
		mux.Handle(e.pattern(), s.metrics.observe(e.pattern(), e.stream, secured(h)))
	}
	s.console.Routes(func(pattern string, h http.Handler) {
		mux.Handle(pattern, s.metrics.observe(pattern, false, s.traced(pattern, guard.Handler(h).ServeHTTP)))
	})
}

// CrossOriginGuard refuses commands that a page of another site sends with the
// browser of a user who visits it.
func (s *Service) CrossOriginGuard() *http.CrossOriginProtection {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(s.answer(func(http.ResponseWriter, *http.Request) error {
		return problem(http.StatusForbidden, "cross_origin", "a page of another origin may not send commands")
	}))
	return guard
}

// admitted lets an endpoint handle the requests of those who may send them.
func (s *Service) admitted(e endpoint) func(http.ResponseWriter, *http.Request) error {
	if len(e.roles) == 0 {
		return e.handle
	}
	return s.SignedIn(func(w http.ResponseWriter, r *http.Request) error {
		if err := desk.Admit(r.Context(), e.roles...); err != nil {
			return err
		}
		return e.handle(w, r)
	})
}

// SignedIn calls h with the principal in the request's context, see
// [signin.From], unless nobody has signed in or the principal asks too often.
func (s *Service) SignedIn(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := s.gate.Principal(r)
		if err != nil {
			return err
		}
		if err := s.limits.take(p); err != nil {
			return err
		}
		return h(w, r.WithContext(signin.With(r.Context(), p)))
	}
}

// secured sets what every answer of the API tells a browser: it is data, to be
// shown by no other page and run by nobody. Who sets none of the headers that let
// pages of other origins read (CORS) lets none.
func secured(h http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		h.ServeHTTP(w, r)
	}
}
