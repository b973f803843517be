package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

// Metrics tell of everybody's orders. Where callers have to sign in, nobody reads them at
// the address that callers reach, not even who has signed in.
func TestMetricsAreNotWhereCallersSignIn(t *testing.T) {
	issuer := signintest.New(t)
	cfg := issuer.Config()
	signedIn := []string{"--jwt-issuer", cfg.Issuer, "--jwt-audience", cfg.Audience, "--jwt-keys", cfg.Keys}
	for _, c := range []struct {
		name  string
		args  []string
		alone bool
	}{
		{"nobody signs in", nil, false},
		{"nobody signs in, and they have an address", []string{"--metrics", "127.0.0.1:0"}, true},
		{"callers sign in", signedIn, true},
		{"callers sign in, and they have an address", append([]string{"--metrics", "localhost:0"}, signedIn...), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := begin(t, t.TempDir(), append([]string{"up", "--ephemeral", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}, c.args...)...)
			api := strings.Fields(p.until(t, "HTTP "))[0]
			metrics := p.until(t, "Metrics ")
			at, err := url.Parse(metrics)
			if err != nil || at.Path != "/metrics" || at.Hostname() != "127.0.0.1" || (api != "http://"+at.Host) != c.alone {
				t.Errorf("the API is at %s and the metrics are at %s, %v", api, metrics, err)
			}
			const told = "esjs_connection_losses_total " // which is there from the beginning
			if status, body := get(t, metrics, ""); status != 200 || !strings.Contains(body, told) {
				t.Errorf("the metrics are answered %d %.200s", status, body)
			}
			if c.alone {
				for _, token := range []string{"", issuer.Token("c-1", signin.Customer), issuer.Token("op-1", signin.Operator)} {
					if status, body := get(t, api+"/metrics", token); status != 404 || strings.Contains(body, told) {
						t.Errorf("at the API metrics are answered %d %.200s", status, body)
					}
				}
				for _, path := range []string{"/v1/orders", "/console/", "/readyz"} {
					if status, body := get(t, "http://"+at.Host+path, issuer.Token("op-1", signin.Operator)); status != 404 {
						t.Errorf("beside the metrics %s is answered %d %.200s", path, status, body)
					}
				}
			}
			p.stop(t)
			if _, err := http.Get(metrics); err == nil {
				t.Error("metrics are still answered after the stop")
			}
		})
	}
}

// get asks with a token, if it is one.
func get(t *testing.T, at, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
