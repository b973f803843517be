package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

// slow publishes an issuer's keys, each time after what is done before.
func slow(t *testing.T, issuer *signintest.Issuer, before *func()) signin.Config {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*before)()
		issuer.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	cfg := issuer.Config()
	cfg.Keys = web.URL
	return cfg
}

func TestAllWhoWaitForANewKeyAreLetIn(t *testing.T) {
	issuer := signintest.New(t)
	before := func() {}
	g := open(t, slow(t, issuer, &before))
	issuer.Rotate("ed-2")
	token := issuer.Token("c-1")
	const many = 20
	var started, ended sync.WaitGroup
	started.Add(many)
	before = started.Wait // the keys come when all have asked
	signin.Forget(g)
	for range many {
		ended.Go(func() {
			started.Done()
			if _, err := g.Verify(t.Context(), token); err != nil {
				t.Errorf("a token with a key that is being read: %v", err)
			}
		})
	}
	ended.Wait()
}

func TestWhoGoesAwayDoesNotEndTheReadingOfKeys(t *testing.T) {
	issuer := signintest.New(t)
	before := func() {}
	g := open(t, slow(t, issuer, &before))
	issuer.Rotate("ed-2")
	token := issuer.Token("c-1")
	ctx, leave := context.WithCancel(t.Context())
	before = leave
	signin.Forget(g)
	_, _ = g.Verify(ctx, token) // nobody is there to be told
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// Who can change an answer that comes unprotected can sign in as anybody; also when the
// issuer's own server sends us there.
func TestKeysAreReadProtectedAlsoAfterARedirect(t *testing.T) {
	issuer := signintest.New(t)
	token := issuer.Token("c-1")
	open := issuer.Config().Keys // on loopback, by http
	mux := http.NewServeMux()
	secure := httptest.NewTLSServer(mux)
	t.Cleanup(secure.Close)
	mux.Handle("/keys", issuer)
	mux.Handle("/moved", http.RedirectHandler("/keys", http.StatusMovedPermanently))
	mux.Handle("/to-loopback", http.RedirectHandler(open, http.StatusFound))
	mux.Handle("/to-others", http.RedirectHandler("http://issuer.example/keys", http.StatusFound))
	mux.Handle("/by-way", http.RedirectHandler("/to-loopback", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	plain := http.NewServeMux()
	loopback := httptest.NewServer(plain)
	t.Cleanup(loopback.Close)
	plain.Handle("/moved", http.RedirectHandler(open, http.StatusFound))
	plain.Handle("/secured", http.RedirectHandler(secure.URL+"/keys", http.StatusFound))
	plain.Handle("/to-others", http.RedirectHandler("http://issuer.example/keys", http.StatusFound))
	plain.Handle("/secured-and-back", http.RedirectHandler(secure.URL+"/to-loopback", http.StatusFound))

	for _, test := range []struct{ from, refused string }{
		{secure.URL + "/moved", ""},
		{loopback.URL + "/moved", ""},
		{loopback.URL + "/secured", ""},
		{secure.URL + "/to-loopback", "unprotected"},
		{secure.URL + "/to-others", "unprotected"},
		{secure.URL + "/by-way", "unprotected"},
		{loopback.URL + "/to-others", "unprotected"},
		{loopback.URL + "/secured-and-back", "unprotected"},
		{secure.URL + "/round", "too many"},
	} {
		cfg := issuer.Config()
		cfg.Keys = test.from
		g, err := signin.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		signin.Trust(g, secure.Client().Transport)
		ctx, stop := context.WithCancel(t.Context())
		var read error
		if err := g.Run(ctx, func(err error) { read = err; stop() }); err != nil {
			t.Fatal(err)
		}
		_, signedIn := g.Verify(t.Context(), token)
		if test.refused == "" && (read != nil || signedIn != nil) || test.refused != "" && (read == nil || !strings.Contains(read.Error(), test.refused) || signedIn == nil) {
			t.Errorf("keys from %s: %v, and a token %v; want %q", test.from, read, signedIn, test.refused)
		}
	}
}
