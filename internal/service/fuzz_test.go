package service_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"
)

// What a body may be made of.
type fuzzedBody struct {
	Name     string `json:"name" required:"of 1 to 200 bytes"`
	Quantity int    `json:"quantity" required:"from 1 to 9999"`
	Small    int8   `json:"small"`
	Amount   *int64 `json:"amount"`
	Lines    []struct {
		LineID string `json:"line_id" required:"with the id of a line"`
		Level  uint16 `json:"level"`
	} `json:"lines"`
	Tags   map[string]bool `json:"tags"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason"`
}

// A body is refused in words, or is read as what it would be written as.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","quantity":3}`, `{"name":"n","quantity":3,"small":-128,"amount":null,"lines":[{"line_id":"l1","level":7}],"tags":{"a":true},"at":"2026-01-02T03:04:05.678Z","reason":"a\nb"}`,
		`{"name":"n","quantity":1e400}`, `{"name":"a\u0007","quantity":1}`, `{"name":"n","name":"n"}`, `{"lines":[{}]}`, `{"name":null,"quantity":3}`, `[]`, ` `, `{"unknown":1}`, "{\"name\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	allowed := []string{"bad_request", "body_too_large", "field_invalid", "field_required"}
	f.Fuzz(func(t *testing.T, body []byte) {
		var read fuzzedBody
		if err := service.Decode(body, &read); err != nil {
			var refused *esjs.Rejection
			if !errors.As(err, &refused) || !slices.Contains(allowed, refused.Code) || refused.Status < 400 || refused.Status > 422 ||
				!utf8.ValidString(refused.Message) || len(refused.Message) > 1000 {
				t.Errorf("%q is refused with %#v", body, err)
			}
			return
		}
		written, err := json.Marshal(read, json.Deterministic(true))
		if err != nil {
			t.Fatalf("%q is read as %+v and not written: %v", body, read, err)
		}
		var again fuzzedBody
		if err := service.Decode(written, &again); err != nil {
			t.Fatalf("%q is written as %s, which is refused: %v", body, written, err)
		}
		if rewritten, err := json.Marshal(again, json.Deterministic(true)); err != nil || !bytes.Equal(rewritten, written) {
			t.Errorf("%q is written as %s and then as %s, %v", body, written, rewritten, err)
		}
	})
}

// A webhook is taken when its header has the signature of its body, and otherwise refused.
func FuzzWebhook(f *testing.F) {
	secret := []byte("shared")
	sign := func(stamp string, body []byte) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(stamp + "."))
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	now := fmt.Sprint(time.Now().Unix())
	body := []byte(`{"id":"e-1"}`)
	for _, header := range []string{
		"t=" + now + ",v1=" + sign(now, body), "v1=00,t=" + now + ",v1=" + strings.ToUpper(sign(now, body)), "t=1,v1=" + sign("1", body),
		"t=" + now + ",v1=" + sign(now, nil), "t=" + now, "t=,v1=" + sign("", body), "", "t=" + now + ",t=1,v1=" + sign("1", body),
	} {
		f.Add(header, body)
	}
	env := &service.Env{Name: "jar", Log: zerolog.Nop(), Metrics: service.NewMetrics(), Health: service.NewHealth()}
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		handled := 0
		hooks := service.Webhooks{Env: env, Secret: secret, Handle: func(_ context.Context, got []byte) error {
			if handled++; !bytes.Equal(got, body) {
				t.Errorf("the body is %q, handled is %q", body, got)
			}
			return nil
		}}
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header["Webhook-Signature"] = []string{header}
		answer := httptest.NewRecorder()
		hooks.ServeHTTP(answer, request)
		signed := false // by any of the times that the header names
		for part := range strings.SplitSeq(header, ",") {
			if stamp, found := strings.CutPrefix(part, "t="); found {
				signed = signed || strings.Contains(strings.ToLower(header), "v1="+sign(stamp, body))
			}
		}
		if took := answer.Code == http.StatusNoContent; took != (handled == 1) || took && !signed || !took && answer.Code != http.StatusUnauthorized {
			t.Errorf("%q for %q is answered %d, handled %d times: %s", header, body, answer.Code, handled, answer.Body)
		}
	})
}
