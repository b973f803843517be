package service_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// v1 is the second part of a signature.
func v1(secret, body string, at int64) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at, body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestOnlySignedWebhooksReachTheirHandler(t *testing.T) {
	now := time.Now().Unix()
	sign := func(secret string, at int64) string { return fmt.Sprintf("t=%d,v1=%s", at, v1(secret, "news", at)) }
	for name, c := range map[string]struct {
		method, signature, body string
		handled                 error
		status                  int
		code                    string
	}{
		"signed":               {"POST", sign("s", now), "news", nil, 204, ""},
		"two signatures":       {"POST", sign("old", now) + ",v1=" + v1("s", "news", now), "news", nil, 204, ""},
		"four minutes old":     {"POST", sign("s", now-240), "news", nil, 204, ""},
		"six minutes old":      {"POST", sign("s", now-360), "news", nil, 401, "bad_signature"},
		"six minutes ahead":    {"POST", sign("s", now+360), "news", nil, 401, "bad_signature"},
		"the end of time":      {"POST", sign("s", 1<<62), "news", nil, 401, "bad_signature"},
		"no signature":         {"POST", "", "news", nil, 401, "bad_signature"},
		"no time":              {"POST", "v1=" + v1("s", "news", now), "news", nil, 401, "bad_signature"},
		"nonsense":             {"POST", "t=x,v1=y,,=", "news", nil, 401, "bad_signature"},
		"another secret":       {"POST", sign("guess", now), "news", nil, 401, "bad_signature"},
		"another body":         {"POST", sign("s", now), "other", nil, 401, "bad_signature"},
		"another time":         {"POST", strings.Replace(sign("s", now), fmt.Sprint(now), fmt.Sprint(now+1), 1), "news", nil, 401, "bad_signature"},
		"a GET":                {"GET", sign("s", now), "", nil, 405, "method_not_allowed"},
		"too large":            {"POST", sign("s", now), strings.Repeat("x", 300<<10), nil, 400, "bad_request"},
		"refused by the house": {"POST", sign("s", now), "news", &esjs.Rejection{Code: "unknown", Status: 404}, 404, "unknown"},
		"not stored":           {"POST", sign("s", now), "news", esjs.ErrUnknownOutcome, 504, "unknown_outcome"},
		"broken":               {"POST", sign("s", now), "news", errors.New("secret detail"), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			var log bytes.Buffer
			metrics := service.NewMetrics()
			h := service.Webhooks{
				Env:    &service.Env{Name: "test", Log: zerolog.New(&log), Metrics: metrics},
				Secret: []byte("s"),
				Handle: func(_ context.Context, body []byte) error {
					reached = true
					if string(body) != "news" {
						t.Errorf("the body is %q", body)
					}
					return c.handled
				},
			}
			r := httptest.NewRequestWithContext(t.Context(), c.method, "/", strings.NewReader(c.body))
			r.Header.Set("Webhook-Signature", c.signature)
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			if answer.Code != c.status || !strings.Contains(answer.Body.String(), c.code) || strings.Contains(answer.Body.String(), "secret detail") {
				t.Errorf("answered %d %s", answer.Code, answer.Body)
			}
			// Where an operator looks.
			outcome := cmp.Or(c.code, "ok")
			if got := gathered(t, metrics, "webhooks_total"); len(got) != 1 || got[outcome] != 1 {
				t.Errorf("counted %v, not one %s", got, outcome)
			}
			if warned := strings.Contains(log.String(), `"level":"warn"`) || strings.Contains(log.String(), `"level":"error"`); warned != (c.code != "") {
				t.Errorf("logged %s", &log)
			}
			if trusted := c.status == 204 || c.handled != nil; reached != trusted {
				t.Errorf("reached its handler: %t", reached)
			}
		})
	}
}

func TestWithoutASecretNothingIsTrusted(t *testing.T) {
	h := service.Webhooks{Env: &service.Env{Log: zerolog.Nop(), Metrics: service.NewMetrics()}, Handle: func(context.Context, []byte) error {
		t.Error("handled")
		return nil
	}}
	now := time.Now().Unix()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("news"))
	r.Header.Set("Webhook-Signature", fmt.Sprintf("t=%d,v1=%s", now, v1("", "news", now)))
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", answer.Code)
	}
}
