package esjs

import (
	"math"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	now := time.Now()
	m := newMeter(now)
	for range 100 { // 20 a second, told whenever
		m.add(5)
		m.add(5)
		now = now.Add(500 * time.Millisecond)
		m.read(now)
	}
	if got := m.read(now); math.Abs(got-20) > 0.5 {
		t.Errorf("a steady rate of 20 is measured as %.2f", got)
	}
	if got := m.read(now.Add(meterTime)); math.Abs(got-20/math.E) > 0.5 {
		t.Errorf("after a pause as long as the average it is %.2f, want a third", got)
	}
	if got := m.read(now.Add(10 * meterTime)); got > 0.1 {
		t.Errorf("after a long pause it is %.2f", got)
	}
}
