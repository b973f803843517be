package esjs

import "time"

// paceMarks is over how many seconds a pace is the mean.
const paceMarks = 10

// mark is where a projector was at a time.
type mark struct {
	at       time.Time
	position uint64
	events   uint64
}

// pace tells how fast a projector is. It keeps a mark for each of the last seconds.
type pace struct{ marks []mark }

func (p *pace) keep(m mark) {
	if len(p.marks) == paceMarks {
		p.marks = append(p.marks[:0], p.marks[1:]...)
	}
	p.marks = append(p.marks, m)
}

// until returns the mean per second from the oldest mark to m.
func (p *pace) until(m mark) (events, positions float64) {
	if len(p.marks) == 0 {
		return 0, 0
	}
	from := p.marks[0]
	seconds := m.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(m.events-from.events) / seconds, float64(m.position-from.position) / seconds
}

// here is where the projector is; the caller holds the lock.
func (p *Projector[T, E]) here(now time.Time) mark {
	return mark{at: now, position: p.progress.Position.Sequence(), events: p.events}
}

// keepPace is called about once a second.
func (p *Projector[T, E]) keepPace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace.keep(p.here(time.Now()))
}

// count counts the events of commits that were applied.
func (p *Projector[T, E]) count(commits []selected[E]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range commits {
		p.events += uint64(len(commits[i].events))
	}
}
