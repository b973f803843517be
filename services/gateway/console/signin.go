package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/gateway/signin"
)

// signInData is the page on which a person gives the token that the issuer gave him.
type signInData struct {
	Here string
	Code string // why he has to
}

// returnTo says where a visitor wanted to go, and why he cannot yet.
func returnTo(r *http.Request, p *service.Problem) string {
	here := Root
	if r.Method == http.MethodGet {
		here = r.URL.RequestURI()
	}
	return url.Values{"here": {here}, "code": {p.Code}}.Encode()
}

func signInPage(v *visit) error {
	data := signInData{Here: local(v.URL.Query().Get("here")), Code: v.URL.Query().Get("code")}
	if v.Method == http.MethodPost { // the token was refused
		data.Here = local(v.PostFormValue("here"))
	}
	return v.show("sign-in", "Sign in", "", data)
}

// maxToken bounds a token in bytes: browsers drop a cookie whose name and value have
// more than 4,096 together (RFC 6265bis, section 5.7).
const maxToken = 4096 - len(signin.Cookie)

// signIn keeps the token in a cookie that no script reads and no other site sends.
// Whether it is any good is said by the page that comes next.
func signIn(v *visit) error {
	token := strings.TrimSpace(v.PostFormValue("token"))
	if len(token) > maxToken {
		return v.again(refuse(http.StatusUnprocessableEntity, "token_too_long",
			"the token has %d bytes; browsers keep at most %d of one: ask its issuer for a shorter one", len(token), maxToken), Root+"sign-in", signInPage)
	}
	v.keepToken(token, 0)
	return v.see(local(v.PostFormValue("here")))
}

func signOut(v *visit) error {
	v.keepToken("", -1)
	return v.see(Root + "sign-in")
}

func (v *visit) keepToken(token string, maxAge int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: signin.Cookie, Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: v.TLS != nil || v.Header.Get("X-Forwarded-Proto") == "https", SameSite: http.SameSiteStrictMode,
	})
}

func refuse(status int, code, format string, args ...any) error {
	return &esjs.Rejection{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}
