package esjsbench

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/natsproc"
)

// ProcessorTime is what this process has used of all processors since its start; 0 where the system
// does not tell.
func ProcessorTime() time.Duration { return natsproc.ProcessorTime() }

// processors meter what sides take of all processors, in this process and in the server's. That
// says where the time goes, and depends less on what else the machine does.
type processors struct {
	rig         *rig
	own, server map[string][]time.Duration
}

func (r *rig) processors() *processors {
	return &processors{r, map[string][]time.Duration{}, map[string][]time.Duration{}}
}

func (p *processors) read() (own, server time.Duration, err error) {
	server, err = p.rig.server.ProcessorTime()
	return ProcessorTime(), server, err
}

// of is the side, metered.
func (p *processors) of(s side) side {
	return side{s.name, func() error {
		own, server, err := p.read()
		if err != nil {
			return err
		}
		if err := s.run(); err != nil {
			return err
		}
		ownAfter, serverAfter, err := p.read()
		p.own[s.name] = append(p.own[s.name], ownAfter-own)
		p.server[s.name] = append(p.server[s.name], serverAfter-server)
		return err
	}}
}

// figures are medians for an event, of so many in each turn. What was metered is forgotten.
func (p *processors) figures(sides []side, events int) (figures []figure) {
	for _, s := range sides {
		each := func(times []time.Duration) float64 { return float64(median(times).Nanoseconds()) / float64(events) }
		figures = append(figures,
			figure{s.name + "-client-cpu-ns/event", each(p.own[s.name])}, figure{s.name + "-server-cpu-ns/event", each(p.server[s.name])})
	}
	clear(p.own)
	clear(p.server)
	return figures
}
