package esjs

import (
	"testing"
	"time"
)

func TestAPaceIsTheMeanOfTheLastSeconds(t *testing.T) {
	start := time.Now()
	var p pace
	if events, positions := p.until(mark{at: start, position: 7, events: 7}); events != 0 || positions != 0 {
		t.Errorf("without a mark the pace is %v, %v", events, positions)
	}
	at := mark{at: start}
	for second := range 30 {
		p.keep(at)
		// Slow for 15 s and then ten times as fast.
		step := uint64(10)
		if second >= 15 {
			step = 100
		}
		at.at, at.events, at.position = at.at.Add(time.Second), at.events+step, at.position+2*step
	}
	if events, positions := p.until(at); events != 100 || positions != 200 {
		t.Errorf("the pace is %v events and %v positions per second, want 100 and 200", events, positions)
	}
	if len(p.marks) != paceMarks {
		t.Errorf("%d marks are kept, want %d", len(p.marks), paceMarks)
	}
	if events, _ := p.until(p.marks[0]); events != 0 {
		t.Errorf("over no time the pace is %v", events)
	}
}

func TestProgressEstimatesWhatRemains(t *testing.T) {
	p := &Projector[struct{}, Event]{moved: make(chan struct{}), last: make([]Position, 1)}
	p.active(true)
	p.knownLast(Position{sequence: 3000})
	p.pace.keep(mark{at: time.Now().Add(-10 * time.Second)})
	p.progress.Position, p.events = Position{sequence: 1000}, 5000
	progress := p.Progress()
	if progress.Lag != 2000 || progress.EventsPerSecond < 400 || progress.EventsPerSecond > 500 {
		t.Errorf("progress is %+v, want a lag of 2000 and less than 500 events a second", progress)
	}
	// 2000 positions are left at 100 a second, or somewhat less.
	if left := progress.Remaining; left < 20*time.Second || left > 25*time.Second {
		t.Errorf("%s remain, want 20 s", left)
	}
	p.progress.Position = p.progress.Last
	if progress := p.Progress(); progress.Remaining != 0 {
		t.Errorf("%s remain where there is no lag", progress.Remaining)
	}
	p.active(false)
	if progress := p.Progress(); progress.EventsPerSecond != 0 {
		t.Errorf("an instance that is not projecting has the pace %v", progress.EventsPerSecond)
	}
}
