package signin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
	"github.com/golang-jwt/jwt/v5"
)

// open makes a gate that has read its keys.
func open(t *testing.T, cfg signin.Config) *signin.Gate {
	t.Helper()
	g, err := signin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan error, 100), make(chan error, 1)
	go func() { ended <- g.Run(ctx, func(err error) { ready <- err }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return g
}

func code(err error) string {
	var r *esjs.Rejection
	if !errors.As(err, &r) {
		return ""
	}
	return r.Code
}

func TestATokenSaysWhoItIs(t *testing.T) {
	issuer := signintest.New(t)
	g := open(t, issuer.Config())
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   signin.Principal
	}{
		"a customer":               {issuer.Claims("c-1", nil, signin.Customer), signin.Principal{Subject: "c-1", CustomerID: "c-1", Roles: []signin.Role{signin.Customer}}},
		"with an id of its own":    {issuer.Claims("u-7", jwt.MapClaims{"customer_id": "c-1"}, signin.Customer), signin.Principal{Subject: "u-7", CustomerID: "c-1", Roles: []signin.Role{signin.Customer}}},
		"roles in one string":      {issuer.Claims("o", jwt.MapClaims{"roles": "auditor mail operator"}), signin.Principal{Subject: "o", CustomerID: "o", Roles: []signin.Role{signin.Operator, signin.Auditor}}},
		"no role of ours":          {issuer.Claims("o", jwt.MapClaims{"roles": []string{"root"}}), signin.Principal{Subject: "o", CustomerID: "o"}},
		"no roles":                 {issuer.Claims("o", jwt.MapClaims{"roles": nil}), signin.Principal{Subject: "o", CustomerID: "o"}},
		"one of several audiences": {issuer.Claims("o", jwt.MapClaims{"aud": []string{"mail", signintest.Audience}}), signin.Principal{Subject: "o", CustomerID: "o"}},
		"a clock that is ahead":    {issuer.Claims("o", jwt.MapClaims{"iat": time.Now().Add(20 * time.Second).Unix(), "nbf": time.Now().Add(20 * time.Second).Unix()}), signin.Principal{Subject: "o", CustomerID: "o"}},
	} {
		for _, key := range []string{"rsa-1", "ec-1", "ed-1"} {
			got, err := g.Verify(t.Context(), issuer.Sign(key, c.claims))
			if err != nil {
				t.Errorf("%s, signed with %s: %v", name, key, err)
				continue
			}
			if until := time.Until(got.Expires); until < 50*time.Minute || until > time.Hour {
				t.Errorf("%s: it ends in %s", name, until)
			}
			got.Expires = time.Time{}
			if !reflect.DeepEqual(got, c.want) && !(len(got.Roles) == 0 && len(c.want.Roles) == 0 && got.Subject == c.want.Subject) {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
		}
	}
}

func TestWhatIsNoTokenOfOurs(t *testing.T) {
	issuer := signintest.New(t)
	g := open(t, issuer.Config())
	good := issuer.Claims("c-1", nil, signin.Operator)
	otherRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	otherEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	_, otherEd, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	public, err := x509.MarshalPKIXPublicKey(issuer.Public("rsa-1"))
	check(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	token := issuer.Sign("ed-1", good)
	parts := strings.Split(token, ".")
	other := strings.Split(issuer.Sign("ed-1", issuer.Claims("c-2", nil, signin.Operator)), ".")

	for name, c := range map[string]struct{ token, code string }{
		"empty":                           {"", "token_invalid"},
		"no JWT":                          {"let me in", "token_invalid"},
		"dots":                            {"a.b.c", "token_invalid"},
		"without a signature":             {parts[0] + "." + parts[1] + ".", "token_invalid"},
		"another's claims":                {parts[0] + "." + other[1] + "." + parts[2], "token_invalid"},
		"too long":                        {token + strings.Repeat("A", 20_000), "token_invalid"},
		"no algorithm":                    {signintest.Sign(t, "ed-1", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), "token_invalid"},
		"the public key as a secret":      {signintest.Sign(t, "rsa-1", jwt.SigningMethodHS256, publicPEM, good), "token_invalid"},
		"another algorithm of the key":    {signintest.Sign(t, "rsa-1", jwt.SigningMethodPS256, otherRSA, good), "token_invalid"},
		"a longer hash":                   {signintest.Sign(t, "rsa-1", jwt.SigningMethodRS512, otherRSA, good), "token_invalid"},
		"forged with RSA":                 {signintest.Sign(t, "rsa-1", jwt.SigningMethodRS256, otherRSA, good), "token_invalid"},
		"forged with ECDSA":               {signintest.Sign(t, "ec-1", jwt.SigningMethodES256, otherEC, good), "token_invalid"},
		"forged with Ed25519":             {signintest.Sign(t, "ed-1", jwt.SigningMethodEdDSA, otherEd, good), "token_invalid"},
		"a key of another kind":           {signintest.Sign(t, "rsa-1", jwt.SigningMethodEdDSA, otherEd, good), "token_invalid"},
		"a key that does not exist":       {signintest.Sign(t, "ed-9", jwt.SigningMethodEdDSA, otherEd, good), "token_invalid"},
		"expired":                         {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})), "token_expired"},
		"expired and forged":              {signintest.Sign(t, "ed-1", jwt.SigningMethodEdDSA, otherEd, issuer.Claims("c-1", jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})), "token_invalid"},
		"without an end":                  {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"exp": nil})), "token_invalid"},
		"not yet":                         {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()})), "token_invalid"},
		"another issuer":                  {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"iss": "https://elsewhere.example"})), "token_invalid"},
		"without an issuer":               {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"iss": nil})), "token_invalid"},
		"another audience":                {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"aud": "mail"})), "token_invalid"},
		"without an audience":             {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"aud": nil})), "token_invalid"},
		"without a subject":               {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"sub": nil})), "token_invalid"},
		"a subject of two lines":          {issuer.Sign("ed-1", issuer.Claims("c-1\r\nActor: root", nil)), "token_invalid"},
		"a subject that is too long":      {issuer.Sign("ed-1", issuer.Claims(strings.Repeat("c", 256), nil)), "token_invalid"},
		"roles that are something else":   {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"roles": 7})), "token_invalid"},
		"a customer of two lines":         {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"customer_id": "c\n1"})), "token_invalid"},
		"a customer that is not a string": {issuer.Sign("ed-1", issuer.Claims("c-1", jwt.MapClaims{"customer_id": 1})), "token_invalid"},
	} {
		p, err := g.Verify(t.Context(), c.token)
		if code(err) != c.code || p.Subject != "" || len(p.Roles) != 0 {
			t.Errorf("%s: %+v, %v; want %s", name, p, err, c.code)
		}
	}
}

func TestWhereATokenIs(t *testing.T) {
	issuer := signintest.New(t)
	g := open(t, issuer.Config())
	token := issuer.Token("c-1", signin.Customer)
	for name, c := range map[string]struct {
		header http.Header
		code   string
	}{
		"in the header":                   {http.Header{"Authorization": {"Bearer " + token}}, ""},
		"in any case":                     {http.Header{"Authorization": {"bearer  " + token}}, ""},
		"in a cookie":                     {http.Header{"Cookie": {signin.Cookie + "=" + token}}, ""},
		"nowhere":                         {http.Header{}, "sign_in_required"},
		"of another scheme":               {http.Header{"Authorization": {"Basic " + token}}, "token_invalid"},
		"twice":                           {http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, "token_invalid"},
		"without a scheme":                {http.Header{"Authorization": {token}}, "token_invalid"},
		"a bad header, not a good cookie": {http.Header{"Authorization": {"Bearer x"}, "Cookie": {signin.Cookie + "=" + token}}, "token_invalid"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = c.header
		p, err := g.Principal(r)
		if code(err) != c.code || (c.code == "") != (p.Subject == "c-1") {
			t.Errorf("%s: %+v, %v; want %q", name, p, err, c.code)
		}
	}
	if p, err := g.Principal(httptest.NewRequest("GET", "/?access_token="+token, nil)); err == nil {
		t.Errorf("a token in a query, which is logged everywhere, lets in %+v", p)
	}
}

func TestWithoutAnIssuerEverybodyIsTheOperator(t *testing.T) {
	g := open(t, signin.Config{})
	p, err := g.Principal(httptest.NewRequest("GET", "/", nil))
	if err != nil || g.Enabled() || p.Subject != "local" || !p.Has(signin.Operator) || p.OnlyCustomer() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAKeyThatTheIssuerHasJustBegunToUse(t *testing.T) {
	issuer := signintest.New(t)
	g := open(t, issuer.Config())
	issuer.Rotate("ed-2")
	token := issuer.Token("c-1")
	// The keys were read a moment ago: they are not read again for everybody who asks for it.
	if _, err := g.Verify(t.Context(), token); code(err) != "token_invalid" {
		t.Errorf("a key that is not known yet: %v", err)
	}
	signin.Forget(g)
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Errorf("after a while a new key is read when it is needed: %v", err)
	}
	issuer.SetDown(true)
	signin.Forget(g)
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Errorf("an issuer that is down locks out: %v", err)
	}
	if _, err := g.Verify(t.Context(), signintest.Sign(t, "ed-3", jwt.SigningMethodHS256, []byte("x"), issuer.Claims("c-1", nil))); code(err) != "token_invalid" {
		t.Errorf("an unknown key, while the issuer is down: %v", err)
	}
}

func TestNobodyIsLetInWithoutKeys(t *testing.T) {
	issuer := signintest.New(t)
	issuer.SetDown(true)
	g, err := signin.New(issuer.Config())
	check(t, err)
	ctx, stop := context.WithCancel(t.Context())
	told, ended := make(chan error, 100), make(chan error, 1)
	go func() { ended <- g.Run(ctx, func(err error) { told <- err }) }()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("the keys were read: %v", err)
	}
	token := issuer.Token("c-1", signin.Operator)
	if _, err := g.Verify(t.Context(), token); code(err) != "sign_in_unavailable" {
		t.Errorf("without keys: %v", err)
	}
	issuer.SetDown(false)
	if err := <-told; err != nil {
		t.Errorf("the keys are not read when the issuer is back: %v", err)
	}
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Errorf("with keys: %v", err)
	}
	stop()
	check(t, <-ended)
}

func TestKeysInAFile(t *testing.T) {
	issuer := signintest.New(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	check(t, os.WriteFile(path, issuer.JWKS(), 0o600))
	cfg := issuer.Config()
	cfg.Keys = path
	g := open(t, cfg)
	if _, err := g.Verify(t.Context(), issuer.Token("c-1")); err != nil {
		t.Error(err)
	}
	issuer.Rotate("ed-2")
	check(t, os.WriteFile(path, issuer.JWKS(), 0o600))
	signin.Forget(g)
	if _, err := g.Verify(t.Context(), issuer.Token("c-1")); err != nil {
		t.Errorf("keys that were put into the file: %v", err)
	}
}

func TestHalfASignInIsRefused(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	check(t, os.WriteFile(broken, []byte("{"), 0o600))
	for name, c := range map[string]struct {
		cfg  signin.Config
		says string
	}{
		"no keys":        {signin.Config{Issuer: "i", Audience: "a"}, "all three"},
		"no audience":    {signin.Config{Issuer: "i", Keys: "https://i.example/keys"}, "all three"},
		"only keys":      {signin.Config{Keys: "https://i.example/keys"}, "all three"},
		"no such file":   {signin.Config{Issuer: "i", Audience: "a", Keys: "/nowhere/keys.json"}, "no such file"},
		"a broken file":  {signin.Config{Issuer: "i", Audience: "a", Keys: broken}, "not a JWK set"},
		"not protected":  {signin.Config{Issuer: "i", Audience: "a", Keys: "http://i.example/keys"}, "give an https URL"},
		"another scheme": {signin.Config{Issuer: "i", Audience: "a", Keys: "ftp://i.example/keys"}, "no such file"},
	} {
		if _, err := signin.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestAGateSaysWhomItLetsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	check(t, os.WriteFile(file, []byte(`{"keys":[]}`), 0o600))
	for says, cfg := range map[string]signin.Config{
		"everybody, as operator": {},
		"who has a token that the keys of https://login.example/keys verify": {Issuer: "i", Audience: "a", Keys: "https://login.example/keys"},
		"who has a token that the keys of the file " + file + " verify":      {Issuer: "i", Audience: "a", Keys: file},
	} {
		g, err := signin.New(cfg)
		check(t, err)
		if g.String() != says {
			t.Errorf("the gate lets in %q, want %q", g, says)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
