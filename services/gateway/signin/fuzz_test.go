package signin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
	"github.com/golang-jwt/jwt/v5"
)

// Whatever a request says of who sends it, it comes from one for whom the issuer has signed, with the roles that
// the issuer has given, or is refused.
func FuzzPrincipal(f *testing.F) {
	issuer := signintest.New(f)
	file := filepath.Join(f.TempDir(), "keys.json")
	if err := os.WriteFile(file, issuer.JWKS(), 0o600); err != nil {
		f.Fatal(err)
	}
	cfg := issuer.Config()
	cfg.Keys = file
	gate, err := signin.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	for _, id := range []string{"rsa-1", "ec-1", "ed-1"} {
		token := issuer.Sign(id, issuer.Claims("ann", nil, signin.Customer))
		header, rest, _ := strings.Cut(token, ".")
		f.Add("Bearer "+token, "")
		f.Add("", token)
		f.Add("bearer  "+token, token)
		f.Add("Bearer "+header+"."+rest[1:], "")
		f.Add("Bearer "+token[:len(token)-2], "")
	}
	f.Add("Bearer "+signintest.Sign(f, "ed-1", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, issuer.Claims("eve", nil, signin.Operator)), "")
	f.Add("Bearer "+signintest.Sign(f, "ed-1", jwt.SigningMethodHS256, issuer.JWKS(), issuer.Claims("eve", nil, signin.Operator)), "")
	f.Add("Basic YTpi", "x")
	f.Add("Bearer", "")
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		if authorization != "" {
			request.Header["Authorization"] = []string{authorization}
		}
		if cookie != "" {
			request.Header["Cookie"] = []string{signin.Cookie + "=" + cookie}
		}
		p, err := gate.Principal(request)
		if err == nil {
			if p.Subject != "ann" || p.CustomerID != "ann" || !slices.Equal(p.Roles, []signin.Role{signin.Customer}) {
				t.Errorf("%q and %q are taken for %+v", authorization, cookie, p)
			}
			return
		}
		var refused *esjs.Rejection
		if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("%q and %q are refused with %v", authorization, cookie, err)
		}
	})
}
