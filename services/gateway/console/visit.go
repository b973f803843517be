package console

import (
	"bytes"
	"cmp"
	"context"
	"net/http"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// handler answers a visit, or returns why it cannot, which is then shown.
type handler func(*visit) error

// visit is one request of a person.
type visit struct {
	*http.Request
	console *Console
	w       http.ResponseWriter
	who     signin.Principal // zero on pages for everybody
	problem *service.Problem // why what was just tried did not succeed; shown with the page
	at      string           // address of the page, when that is not where it was asked for; "" is the request's
	seen    string           // position in the store that every view had reached before the page was read; "" is not known
}

// closed is a page for who has signed in.
func (c *Console) closed(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		err := c.signedIn(func(w http.ResponseWriter, r *http.Request) error {
			who, _ := signin.From(r.Context())
			v := &visit{Request: r, console: c, w: w, who: who}
			if v.Method == http.MethodGet {
				v.seen = v.reached()
			}
			if err := v.answer(h); err != nil {
				return v.fail(err)
			}
			return nil
		})(w, r)
		if err == nil {
			return
		}
		v := &visit{Request: r, console: c, w: w}
		if p, _ := service.ProblemOf(err); p.Status == http.StatusUnauthorized {
			http.Redirect(w, r, Root+"sign-in?"+returnTo(r, p), http.StatusSeeOther)
			return
		}
		c.log.Debug().Err(v.fail(err)).Msg("console page not sent")
	})
}

// open is a page for everybody.
func (c *Console) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		v := &visit{Request: r, console: c, w: w}
		if err := v.answer(h); err != nil {
			c.log.Debug().Err(v.fail(err)).Msg("console page not sent")
		}
	})
}

// answer lets h answer, which has the form when there is one.
func (v *visit) answer(h handler) error {
	if err := v.readForm(); err != nil {
		return err
	}
	return h(v)
}

// secure tells a browser that nothing runs, or is fetched, that is not the console's.
func secure(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// view is what the layout shows around a page.
type view struct {
	Title   string
	Section string // of the navigation
	Theme   string // "light", "dark" or "" for what the system has
	Who     signin.Principal
	SignsIn bool
	Live    string // the stream that tells when the page has changed; "" for none
	Here    string // this page, to come back to
	At      string // this page's address, when a form was sent to another one
	Problem *service.Problem
	Page    any
}

// show answers with a page. live is the stream that it hears of changes by.
func (v *visit) show(name, title, live string, page any) error {
	status := http.StatusOK
	if v.problem != nil {
		status = v.problem.Status
	}
	shown := view{
		Title: title, Section: name, Theme: theme(v.Request), Who: v.who, SignsIn: v.console.signsIn,
		Live: live, Here: v.URL.RequestURI(), At: v.at, Problem: v.problem, Page: page,
	}
	if live != "" && v.seen != "" {
		// What happened after the page was read, and before the stream begins, is not missed.
		shown.Live = live + "?after=" + v.seen
	}
	if v.Method != http.MethodGet {
		shown.Here = cmp.Or(v.at, Root)
	}
	if section, ok := sections[name]; ok {
		shown.Section = section
	}
	var b bytes.Buffer
	if err := v.console.pages[name].ExecuteTemplate(&b, "layout", shown); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, err := v.w.Write(b.Bytes())
	if err != nil { // who is gone needs no page
		v.console.log.Debug().Err(err).Msg("console page not sent")
	}
	return nil
}

// sections says where in the navigation a page is that is not named there.
var sections = map[string]string{
	"order": "orders", "new": "orders", "history": "orders", "causes": "orders",
	"event": "events", "bulk": "sagas", "movements": "stock",
	"payment": "payments", "customer": "customers",
}

// fail shows why there is no page.
func (v *visit) fail(err error) error {
	p, level := service.ProblemOf(err)
	v.console.log.WithLevel(level).Err(err).Str("path", v.URL.EscapedPath()).Str("code", p.Code).Msg("console request refused")
	v.problem = p
	return v.show("problem", p.Title, "", p)
}

// see sends the browser to another page, with what it has to wait for there.
func (v *visit) see(path string) error {
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

// ask asks a question in the name of the visitor.
func ask[Q, A any](v *visit, question queries.Question[Q, A], request Q) (A, error) {
	ctx, cancel := context.WithTimeout(v.Context(), v.console.timeout)
	defer cancel()
	return desk.Answered(ctx, v.console.desk, question, request)
}

// optional is for a part of a page that the page does without: when the visitor may
// not see it, there is none, or who answers does not run or not in time.
func optional[A any](answer A, err error) (A, bool, error) {
	if err == nil {
		return answer, true, nil
	}
	switch p, _ := service.ProblemOf(err); p.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return answer, false, nil
	}
	return answer, false, err
}

// oversees tells that the visitor sees what is everybody's.
func (v *visit) oversees() bool { return v.who.Has(desk.Overseers()...) }

// operates tells that the visitor may decide for others.
func (v *visit) operates() bool { return v.who.Has(signin.Operator) }

// buys tells that the visitor may order.
func (v *visit) buys() bool { return v.who.Has(signin.Operator, signin.Customer) }

// after is the revision that the page has to show.
func (v *visit) after() queries.ReadYourWrites {
	return queries.ReadYourWrites{MinRevision: v.URL.Query().Get("after")}
}

// reached is the position up to which every view that answers has applied the
// events; "" when nobody says, or nobody has signed in to ask.
func (v *visit) reached() string {
	if v.who.Subject == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(v.Context(), v.console.timeout)
	defer cancel()
	position, err := v.console.desk.Reached(ctx)
	if err != nil {
		return ""
	}
	return position
}

// everything is the stream that tells of every event, for who may hear it.
func (v *visit) everything() string {
	if v.oversees() {
		return "/v1/events/live"
	}
	return ""
}
