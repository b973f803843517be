package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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
