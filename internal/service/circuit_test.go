package service_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/rs/zerolog"
)

// silentPartner answers with the status that is set, and counts.
type silentPartner struct {
	*httptest.Server
	env    *service.Env
	status atomic.Int64
	calls  atomic.Int64
}

func newSilentPartner(t *testing.T) *silentPartner {
	t.Helper()
	s := &silentPartner{env: &service.Env{Name: "payment", Metrics: service.NewMetrics(), Log: zerolog.Nop()}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.calls.Add(1)
		status(int(s.status.Load()), `{"error":{"code":"no"}}`)(w, nil)
	}))
	t.Cleanup(s.Close)
	return s
}

// call calls p while the partner answers with the status.
func (s *silentPartner) call(p *service.Partner, status int) error {
	s.status.Store(int64(status))
	return p.Call(context.Background(), service.PartnerCall{Method: http.MethodGet, Path: "/"}, &struct{}{})
}

// told are the partner's metrics: the calls by outcome, and whether it is paused.
func (s *silentPartner) told(t *testing.T) map[string]float64 {
	t.Helper()
	told := gathered(t, s.env.Metrics, "partner_calls_total")
	told["now paused"] = gathered(t, s.env.Metrics, "partner_paused")["psp"]
	return told
}

// gathered are a metric's values by its first label.
func gathered(t *testing.T, m *service.Metrics, name string) map[string]float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, one := range f.GetMetric() {
			values[one.GetLabel()[0].GetValue()] = one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return values
}

func TestAPartnerThatDoesNotAnswerIsNotCalled(t *testing.T) {
	s := newSilentPartner(t)
	p := s.env.Partner("psp", service.PartnerConfig{URL: s.URL, Failures: 3, Pause: time.Hour})
	// A refusal is an answer: the failures before it do not count any more.
	for _, status := range []int{500, 429, 404, 503, 408} {
		if err := s.call(p, status); err == nil || errors.Is(err, service.ErrPartnerPaused) {
			t.Fatalf("status %d: %v", status, err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel() // and what we leave ourselves is no failure of the partner
	if err := p.Call(canceled, service.PartnerCall{Method: http.MethodGet, Path: "/"}, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := s.call(p, 500); err == nil || errors.Is(err, service.ErrPartnerPaused) {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.call(p, 200); !errors.Is(err, service.ErrPartnerPaused) || !errors.Is(err, service.ErrPartnerUnknown) {
			t.Fatalf("the fourth call in a row: %v", err)
		}
	}
	if n := s.calls.Load(); n != 6 {
		t.Errorf("the partner was called %d times", n)
	}
	if got, want := s.told(t), (map[string]float64{"answered": 1, "unanswered": 5, "paused": 2, "now paused": 1}); !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

func TestAPartnerThatAnswersAgainIsCalledAgain(t *testing.T) {
	s := newSilentPartner(t)
	p := s.env.Partner("psp", service.PartnerConfig{URL: s.URL, Failures: 1, Pause: time.Nanosecond})
	if err := s.call(p, 500); errors.Is(err, service.ErrPartnerPaused) || err == nil {
		t.Fatal(err)
	}
	// The pause is over at once, and one call finds out that it does not answer yet.
	if err := s.call(p, 500); errors.Is(err, service.ErrPartnerPaused) || err == nil {
		t.Fatal(err)
	}
	if got, want := s.told(t), (map[string]float64{"unanswered": 2, "now paused": 1}); !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	for range 2 {
		if err := s.call(p, 200); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.told(t), (map[string]float64{"answered": 2, "unanswered": 2, "now paused": 0}); !maps.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}
