package service_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
)

func TestAPartnersAnswerIsASuccessARefusalOrUnknown(t *testing.T) {
	const refusal = `{"name":"x","error":{"code":"no"}}`
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string // "ok", "refused" or "unknown"
	}{
		"200":               {status(200, `{"name":"x"}`), "ok"},
		"202":               {status(202, `{"name":"x"}`), "ok"},
		"200 without JSON":  {status(200, `<html>`), "unknown"},
		"302":               {status(302, ``), "unknown"},
		"400":               {status(400, refusal), "refused"},
		"401":               {status(401, `{}`), "unknown"},
		"402":               {status(402, refusal), "refused"},
		"403":               {status(403, `{}`), "unknown"},
		"404":               {status(404, refusal), "refused"},
		"408":               {status(408, `{}`), "unknown"},
		"409":               {status(409, `{}`), "unknown"},
		"422":               {status(422, refusal), "refused"},
		"425":               {status(425, `{}`), "unknown"},
		"429":               {status(429, `{}`), "unknown"},
		"500":               {status(500, `{}`), "unknown"},
		"503":               {status(503, `{}`), "unknown"},
		"400 without JSON":  {status(400, `<html>`), "unknown"},
		"404 without code":  {status(404, `{"error":{}}`), "unknown"},
		"422 key reused":    {status(422, `{"error":{"code":"idempotency_key_reused"}}`), "unknown"},
		"broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unknown"},
		"no answer in time": {silent, "unknown"},
		"half of the answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"na`)
		}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			h := httptest.NewServer(c.handler)
			defer h.Close()
			p := service.NewPartner(service.PartnerConfig{URL: h.URL, Timeout: time.Second})
			var answer struct {
				Name string `json:"name"`
			}
			err := p.Call(t.Context(), service.PartnerCall{Method: http.MethodPost, Path: "/x", Body: map[string]any{}}, &answer)
			var no *service.PartnerRefusal
			got := "ok"
			switch {
			case errors.As(err, &no):
				got = "refused"
			case errors.Is(err, service.ErrPartnerUnknown):
				got = "unknown"
			case err != nil:
				t.Fatal(err)
			}
			if got != "unknown" && answer.Name != "x" || got == "refused" && no.Code != "no" {
				t.Errorf("answered %+v, %+v", answer, no)
			}
			if got != c.want {
				t.Errorf("is %s (%v), not %s", got, err, c.want)
			}
		})
	}
}

// silent answers nothing until the client has given up, which a server notices
// once it has read the request.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestAPartnerThatIsNotThereIsUnknown(t *testing.T) {
	h := httptest.NewServer(http.NotFoundHandler())
	h.Close()
	err := service.NewPartner(service.PartnerConfig{URL: h.URL}).Call(t.Context(), service.PartnerCall{Method: http.MethodGet, Path: "/"}, nil)
	if !errors.Is(err, service.ErrPartnerUnknown) {
		t.Errorf("the error is %v", err)
	}
}

func TestACallEndsWithItsContextAndSaysNoMore(t *testing.T) {
	arrived := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	err := service.NewPartner(service.PartnerConfig{URL: h.URL}).Call(ctx, service.PartnerCall{Method: http.MethodGet, Path: "/"}, nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, service.ErrPartnerUnknown) {
		t.Errorf("the error is %v", err)
	}
}

// Who has a key for a partner shows it with each call, and nowhere else.
func TestAPartnerIsShownItsKey(t *testing.T) {
	shown := make(chan string, 1)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "{}")
	}))
	defer h.Close()
	for key, want := range map[string]string{"": "", "k-1": "Bearer k-1"} {
		var answer struct{}
		p := service.NewPartner(service.PartnerConfig{URL: h.URL, Key: key})
		if err := p.Call(t.Context(), service.PartnerCall{Method: http.MethodGet, Path: "/"}, &answer); err != nil {
			t.Fatal(err)
		}
		if got := <-shown; got != want {
			t.Errorf("with the key %q the partner is shown %q", key, got)
		}
	}
}

func TestAPartnerIsCalledALimitedNumberOfTimesAtOnce(t *testing.T) {
	var running, most atomic.Int32
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		entered <- struct{}{}
		<-release
		running.Add(-1)
		if r.Header.Get("Idempotency-Key") != "k" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer h.Close()
	p := service.NewPartner(service.PartnerConfig{URL: h.URL, Concurrency: 2, Timeout: time.Minute})
	ended := make(chan error)
	for range 6 {
		go func() {
			var answer struct{}
			ended <- p.Call(context.Background(), service.PartnerCall{Method: http.MethodPost, Path: "/", Key: "k"}, &answer)
		}()
	}
	<-entered
	<-entered
	// A third call waits for a slot: its own context ends it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Call(ctx, service.PartnerCall{Method: http.MethodGet, Path: "/"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that waits ended with %v", err)
	}
	close(release)
	for range 6 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != 2 {
		t.Errorf("%d calls at once", most.Load())
	}
}
