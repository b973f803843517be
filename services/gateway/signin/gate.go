package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/golang-jwt/jwt/v5"
)

// Cookie carries the token of a browser, which cannot send an Authorization
// header with a page or an event stream. Who sets it sets it HttpOnly and SameSite=Strict.
const Cookie = "orderflow_token"

const (
	leeway   = 30 * time.Second // between the issuer's clock and ours
	maxToken = 16 << 10         // bytes
)

// Config says whose tokens are taken. The zero Config takes none and asks for
// none: everybody who reaches the gateway is the operator "local".
type Config struct {
	Issuer   string // the "iss" that a token must have
	Audience string // one of the "aud" that it must have
	// Keys is where the issuer's JWK set is: an https URL (http on loopback), or a file.
	Keys string
}

// Enabled tells that somebody has to sign in.
func (c Config) Enabled() bool { return c.Issuer != "" }

// Check refuses what is half a configuration.
func (c Config) Check() error {
	if c == (Config{}) || c.Issuer != "" && c.Audience != "" && c.Keys != "" {
		return nil
	}
	return errors.New("sign-in needs an issuer, an audience and the issuer's keys, all three of them")
}

// Gate tells who a request comes from. It is safe for concurrent use.
type Gate struct {
	keys   *keys // nil: everybody is let in
	parser *jwt.Parser
}

// New makes a gate. A key file that cannot be read is an error; a URL may come to
// answer later, and until then [Gate.Principal] refuses with "sign_in_unavailable".
func New(cfg Config) (*Gate, error) {
	if err := cfg.Check(); err != nil || !cfg.Enabled() {
		return &Gate{}, err
	}
	keys, err := newKeys(cfg.Keys)
	if err != nil {
		return nil, err
	}
	return &Gate{keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "ES256", "EdDSA"}),
		jwt.WithIssuer(cfg.Issuer),
		jwt.WithAudience(cfg.Audience),
		jwt.WithLeeway(leeway),
		jwt.WithExpirationRequired(),
	)}, nil
}

// Enabled tells that the gate asks for a token.
func (g *Gate) Enabled() bool { return g.keys != nil }

// Run keeps the issuer's keys current until ctx ends; then it returns nil. ready
// is called with nil whenever they were read, and with why they were not: the
// keys that were read before are used on.
func (g *Gate) Run(ctx context.Context, ready func(error)) error {
	if g.keys == nil {
		ready(nil)
		<-ctx.Done()
		return nil
	}
	return g.keys.run(ctx, ready)
}

// claims are what we read of a token. Roles are a list or words in one string.
type claims struct {
	jwt.RegisteredClaims
	Roles      roleNames `json:"roles"`
	CustomerID string    `json:"customer_id"`
}

// Principal returns who a request comes from, by the token in its Authorization
// header, or else in its [Cookie].
//
// Errors are *[esjs.Rejection]s with status 401 and the codes "sign_in_required"
// (there is no token), "token_expired" and "token_invalid", and with status 503
// "sign_in_unavailable" while there are no keys to verify with.
func (g *Gate) Principal(r *http.Request) (Principal, error) {
	if g.keys == nil {
		return Principal{Subject: "local", Roles: []Role{Operator}}, nil
	}
	text, err := bearer(r)
	if err != nil {
		return Principal{}, err
	}
	return g.Verify(r.Context(), text)
}

// Verify returns whom a token names; errors are those of [Gate.Principal].
func (g *Gate) Verify(ctx context.Context, text string) (Principal, error) {
	if g.keys == nil || text == "" || len(text) > maxToken {
		return Principal{}, refuse("token_invalid", "this is no token that the gateway takes")
	}
	var c claims
	token, err := g.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) { return g.keys.find(ctx, t) })
	switch {
	case errors.Is(err, errNoKeys):
		return Principal{}, &esjs.Rejection{Code: "sign_in_unavailable", Message: "nobody can be signed in: " + errNoKeys.Error() + "; try again", Status: http.StatusServiceUnavailable}
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return Principal{}, refuse("token_expired", "the token has expired; sign in again")
	case err != nil || !token.Valid:
		return Principal{}, refuse("token_invalid", "the token is not valid: "+reason(err))
	}
	p := Principal{Subject: c.Subject, CustomerID: c.CustomerID, Expires: c.ExpiresAt.Time}
	if p.CustomerID == "" {
		p.CustomerID = c.Subject
	}
	if !isName(p.Subject) || !isName(p.CustomerID) {
		return Principal{}, refuse("token_invalid", `the token's "sub", and its "customer_id" if it has one, must be 1 to 255 bytes of printable text`)
	}
	for _, role := range Roles() {
		if slices.Contains(c.Roles, string(role)) {
			p.Roles = append(p.Roles, role)
		}
	}
	return p, nil
}

// isName accepts what can be stored with an event as who caused it.
func isName(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		if cookie, err := r.Cookie(Cookie); err == nil {
			return cookie.Value, nil
		}
		return "", refuse("sign_in_required", "sign in: send a token as \"Authorization: Bearer …\"")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "bearer") {
		return "", refuse("token_invalid", "the header Authorization must be one, and of the form \"Bearer …\"")
	}
	return strings.TrimSpace(token), nil
}

// reason says what is wrong with a token without what the parser wraps around it.
func reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "it is not a JWT"},
		{jwt.ErrTokenInvalidIssuer, "it is of another issuer"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future"},
		{jwt.ErrTokenRequiredClaimMissing, `it has no "exp", "iss" or "aud"`},
		{jwt.ErrTokenUnverifiable, "its key is none of the issuer's"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return "its signature is not the issuer's, or is of another kind than RS256, ES256 and EdDSA"
}

func refuse(code, message string) error {
	return &esjs.Rejection{Code: code, Message: message, Status: http.StatusUnauthorized}
}

// String says whom the gate lets in.
func (g *Gate) String() string {
	if g.keys == nil {
		return "everybody, as operator"
	}
	return fmt.Sprintf("who has a token that the keys of %s verify", g.keys)
}
