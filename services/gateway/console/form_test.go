package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/rs/zerolog"
)

// posted is the answer to a form, and how much of the form was read.
func posted(t *testing.T, path, contentType, body string) (*httptest.ResponseRecorder, int64) {
	t.Helper()
	c, err := New(Config{Log: zerolog.Nop(), SignedIn: func(h Handler) Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return h(w, r.WithContext(signin.With(r.Context(), signin.Principal{Subject: "ann", Roles: []signin.Role{signin.Customer}})))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	c.Routes(mux.Handle)
	unread := strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, path, io.NopCloser(unread))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if r.MultipartForm != nil {
		t.Errorf("%s: a form of several parts was read", path)
	}
	return w, unread.Size() - int64(unread.Len())
}

func TestAFormIsBounded(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	file := "--b\r\nContent-Disposition: form-data; name=\"token\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 4*maxForm) + "\r\n--b--\r\n"
	for _, path := range []string{"theme", "sign-in", "sign-out", "orders", "orders/o-1/cancel", "sagas/bulk", "stock"} {
		for _, c := range []struct {
			name, contentType, body string
			status                  int
			code                    string
			read                    int64
		}{
			{"a file", "multipart/form-data; boundary=b", file, http.StatusUnsupportedMediaType, "unsupported_media_type", 0},
			{"JSON", "application/json", "{}", http.StatusUnsupportedMediaType, "unsupported_media_type", 0},
			{"no type", "", "theme=dark", http.StatusUnsupportedMediaType, "unsupported_media_type", 0},
			{"a long one", form, "token=" + strings.Repeat("x", 4*maxForm), http.StatusRequestEntityTooLarge, "body_too_large", maxForm + 1},
			{"a broken one", form, "token=%zz", http.StatusBadRequest, "bad_request", 9},
		} {
			w, read := posted(t, Root+path, c.contentType, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), "Code "+c.code) {
				t.Errorf("%s at %s: the answer is %d, not %d with code %s", c.name, path, w.Code, c.status, c.code)
			}
			if read > c.read {
				t.Errorf("%s at %s: %d bytes of it were read", c.name, path, read)
			}
			if cookies := w.Result().Cookies(); len(cookies) > 0 {
				t.Errorf("%s at %s sets %v", c.name, path, cookies)
			}
		}
	}
}

func TestWhatABrowserKeepsIsChecked(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for _, c := range []struct {
		path   string
		fields url.Values
		status int
		says   string
	}{
		{"theme", url.Values{"theme": {"dark"}, "here": {"/console/stock"}}, http.StatusSeeOther, ""},
		{"theme", url.Values{"theme": {""}}, http.StatusSeeOther, ""},
		{"theme", url.Values{"theme": {"mauve"}}, http.StatusUnprocessableEntity, "it must be light, dark or empty"},
		{"sign-in", url.Values{"token": {strings.Repeat("x", maxToken)}}, http.StatusSeeOther, ""},
		{"sign-in", url.Values{"token": {strings.Repeat("x", maxToken+1)}, "here": {"/console/stock"}}, http.StatusUnprocessableEntity, "browsers keep at most 4081"},
	} {
		w, _ := posted(t, Root+c.path, form, c.fields.Encode())
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s with %.80v: %d %s", c.path, c.fields, w.Code, w.Body)
		}
		if kept := len(w.Result().Cookies()) == 1; kept != (c.status == http.StatusSeeOther) {
			t.Errorf("%s with %.80v: it is kept: %t", c.path, c.fields, kept)
		}
		if c.status != http.StatusSeeOther && c.path == "sign-in" && !strings.Contains(w.Body.String(), `name="here" value="/console/stock"`) {
			t.Error("after a refused token it is forgotten where the visitor wanted to go")
		}
	}
}

// A command that nobody answered may have been done: the form that is shown again
// sends it with the same id, and what was written stays.
func TestARepeatedFormActsOnce(t *testing.T) {
	c, err := New(Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	written := url.Values{"command_id": {"c-1"}, "quantity": {"7"}, "reference": {"PO-7"}}
	for status, kept := range map[int]bool{http.StatusGatewayTimeout: true, http.StatusServiceUnavailable: true, http.StatusConflict: false, http.StatusUnprocessableEntity: false} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/console/stock/cup/receive", strings.NewReader(written.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		v := &visit{Request: r, console: c, w: w, who: signin.Principal{Subject: "otto", Roles: []signin.Role{signin.Operator}}}
		err := v.answer(func(v *visit) error {
			v.problem, v.at = &service.Problem{Status: status, Code: "tried"}, stockPath("cup")
			return v.show("movements", "Stock of cup", "/v1/events/live", movementsData{
				Stock: queries.Stock{SKU: "cup"}, Operates: true, Form: v.PostForm, CommandID: v.commandID(),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		body := w.Body.String()
		if got := strings.Contains(body, `name="command_id" value="c-1"`); got != kept {
			t.Errorf("after %d the id is kept: %t", status, got)
		}
		for _, want := range []string{`value="7"`, `value="PO-7"`, `data-page="/console/stock/cup"`, `name="here" value="/console/stock/cup"`} {
			if !strings.Contains(body, want) {
				t.Errorf("after %d the page lacks %s", status, want)
			}
		}
	}
}
