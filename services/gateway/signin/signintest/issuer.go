// Package signintest is an issuer of tokens for tests.
package signintest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/golang-jwt/jwt/v5"
)

// Audience is what an [Issuer]'s tokens are for.
const Audience = "orderflow"

// Issuer signs tokens and serves its public keys over HTTP. It is safe for
// concurrent use.
type Issuer struct {
	t   testing.TB
	web *httptest.Server

	mu   sync.Mutex
	keys map[string]key // by id
	last string         // the id of the newest
	down bool           // it does not answer
}

type key struct {
	method  jwt.SigningMethod
	private crypto.Signer
}

// New starts an issuer with one key of each kind that is allowed; the newest one,
// an Ed25519 key, signs.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, keys: map[string]key{}}
	i.web = httptest.NewServer(i)
	t.Cleanup(i.web.Close)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	i.check(err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.check(err)
	i.Add("rsa-1", jwt.SigningMethodRS256, rsaKey)
	i.Add("ec-1", jwt.SigningMethodES256, ecKey)
	i.Rotate("ed-1")
	return i
}

// Config takes the issuer's tokens.
func (i *Issuer) Config() signin.Config {
	return signin.Config{Issuer: i.web.URL, Audience: Audience, Keys: i.web.URL + "/keys"}
}

// Add publishes a key, which signs from now on.
func (i *Issuer) Add(id string, method jwt.SigningMethod, private crypto.Signer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[id], i.last = key{method, private}, id
}

// Rotate publishes a new Ed25519 key, which signs from now on.
func (i *Issuer) Rotate(id string) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	i.check(err)
	i.Add(id, jwt.SigningMethodEdDSA, private)
}

// Claims are those of a token for a subject that is valid for an hour, with more
// put over them; a claim that is nil there is left out.
func (i *Issuer) Claims(subject string, more jwt.MapClaims, roles ...signin.Role) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": i.web.URL, "aud": Audience, "sub": subject, "roles": roles,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(c, more)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// Token is for a subject with roles, valid for an hour.
func (i *Issuer) Token(subject string, roles ...signin.Role) string {
	i.mu.Lock()
	last := i.last
	i.mu.Unlock()
	return i.Sign(last, i.Claims(subject, nil, roles...))
}

// Sign signs claims with one of the keys.
func (i *Issuer) Sign(id string, claims jwt.Claims) string {
	i.t.Helper()
	i.mu.Lock()
	k := i.keys[id]
	i.mu.Unlock()
	return Sign(i.t, id, k.method, k.private, claims)
}

// Public is a key's public part.
func (i *Issuer) Public(id string) crypto.PublicKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[id].private.Public()
}

// Sign signs claims with any key.
func Sign(t testing.TB, id string, method jwt.SigningMethod, private any, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = id
	text, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// JWKS is the set of the public keys.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := jwkset.NewMemoryStorage()
	for id, k := range i.keys {
		jwk, err := jwkset.NewJWKFromKey(k.private.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{
			KID: id, ALG: jwkset.ALG(k.method.Alg()), USE: jwkset.UseSig,
		}})
		i.check(err)
		i.check(set.KeyWrite(context.Background(), jwk))
	}
	text, err := set.JSONPublic(context.Background())
	i.check(err)
	return text
}

func (i *Issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write(i.JWKS())
}

// SetDown makes the issuer answer nothing, or answer again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

func (i *Issuer) check(err error) {
	if err != nil {
		i.t.Fatal(err)
	}
}
