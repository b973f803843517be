package esjs_test

import (
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// signals is an observer for tests.
type signals struct {
	esjs.NopObserver
	mu         sync.Mutex
	handled    map[string]int // by subscription, without error
	failed     map[string]int // by subscription
	lastError  map[string]string
	parked     map[string]int
	lag        map[string]uint64
	unexpected []string
	active     map[string]bool
	turns      map[string]int // of being active
	late       time.Duration
	changed    chan struct{}
	onHandled  func(subscription string)
}

func newSignals() *signals {
	return &signals{handled: map[string]int{}, failed: map[string]int{}, lastError: map[string]string{}, turns: map[string]int{}, parked: map[string]int{}, lag: map[string]uint64{}, active: map[string]bool{}, changed: make(chan struct{})}
}

func (s *signals) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// count reads one of the maps.
func (s *signals) count(m map[string]int, subscription string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m[subscription]
}

func (s *signals) Handled(subscription string, _ time.Duration, err error) {
	s.change(func() {
		if err == nil {
			s.handled[subscription]++
		} else {
			s.failed[subscription]++
			s.lastError[subscription] = err.Error()
		}
	})
	if s.onHandled != nil {
		s.onHandled(subscription)
	}
}
func (s *signals) Lag(name string, n uint64, _ time.Duration) {
	s.change(func() { s.lag[name] = n })
}
func (s *signals) ParkedKeys(name string, n int) { s.change(func() { s.parked[name] = n }) }
func (s *signals) Active(name string, active bool) {
	s.change(func() {
		s.active[name] = active
		if active {
			s.turns[name]++
		}
	})
}
func (s *signals) TimerLate(_ string, late time.Duration) {
	s.change(func() { s.late = max(s.late, late) })
}
func (s *signals) Unexpected(process, state, input string) {
	s.change(func() { s.unexpected = append(s.unexpected, process+": "+input+" when "+state) })
}

// await waits until condition holds; it is called with the lock held.
func (s *signals) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, changed := condition(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
