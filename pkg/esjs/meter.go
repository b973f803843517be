package esjs

import (
	"math"
	"sync"
	"time"
)

// meterTime is over how long a rate is averaged: what is older counts little.
const meterTime = 10 * time.Second

// meter measures how many a second. It is safe for concurrent use.
type meter struct {
	mu   sync.Mutex
	n    int // since at
	at   time.Time
	rate float64
}

func newMeter(now time.Time) *meter { return &meter{at: now} }

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n += n
}

// read returns the rate at now, which is not before the last read.
func (m *meter) read(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if passed := now.Sub(m.at); passed > 0 {
		old := math.Exp(-passed.Seconds() / meterTime.Seconds())
		m.rate = m.rate*old + float64(m.n)/passed.Seconds()*(1-old)
		m.n, m.at = 0, now
	}
	return m.rate
}
