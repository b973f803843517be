//go:build plots

package plots

import (
	"fmt"

	"gonum.org/v1/plot/plotter"
)

// files are all plots, by the names of their files.
func (r recorded) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range append(r.growth.charts(), orderCharts(r.orders)...) {
		text, err := c.draw()
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", c.name, err)
		}
		files[c.name+".svg"] = text
	}
	for _, o := range r.orders {
		if o.Sync != "default" {
			continue
		}
		text, err := drawSteps(o)
		if err != nil {
			return nil, fmt.Errorf("draw the steps of an order: %w", err)
		}
		files["orders-steps.svg"] = text
	}
	return files, nil
}

func (g growth) charts() []chart {
	var at []float64
	for _, s := range g.Sizes {
		at = append(at, s.Aggregates)
	}
	over := func(name string, colour int, dashed bool, y func(i int) float64) line {
		l := line{name: name, colour: colour, dashed: dashed}
		for i, x := range at {
			l.points = append(l.points, plotter.XY{X: x, Y: y(i)})
		}
		return l
	}
	const aggregates, megabyte, ms = "aggregates", 1e6, 1e3
	return []chart{
		{
			name: "growth-latency", title: "What one append and one load take", x: aggregates, y: "ms", at: at,
			lines: []line{
				over("append, p50", 0, false, func(i int) float64 { return g.Sizes[i].Append.P50 / ms }),
				over("append, p99", 0, true, func(i int) float64 { return g.Sizes[i].Append.P99 / ms }),
				over("hot load, p50", 1, false, func(i int) float64 { return g.Sizes[i].Hot.P50 / ms }),
				over("hot load, p99", 1, true, func(i int) float64 { return g.Sizes[i].Hot.P99 / ms }),
				over("cold load, p50", 2, false, func(i int) float64 { return g.Sizes[i].Cold.P50 / ms }),
				over("cold load, p99", 2, true, func(i int) float64 { return g.Sizes[i].Cold.P99 / ms }),
			},
		},
		{
			name: "growth-ratio", title: "The same as in a store of 1,000 aggregates, by turns", x: aggregates, y: "p50 / p50 in the small store", at: at, linear: true,
			wanted: 1.1, wantedY: "wanted: at most 1.1",
			lines: []line{
				over("append", 0, false, func(i int) float64 { return g.Sizes[i].AppendVs }),
				over("hot load", 1, false, func(i int) float64 { return g.Sizes[i].HotVs }),
			},
		},
		{
			name: "growth-rate", title: "Events a second", x: aggregates, y: "events/s", at: at,
			lines: []line{
				over("written by 64 writers", 0, false, func(i int) float64 { return g.Sizes[i].Fill }),
				over("replayed and decoded", 1, false, func(i int) float64 { return g.Sizes[i].Replay }),
			},
		},
		{
			name: "growth-aggregate", title: "The server's heap for one aggregate", x: aggregates, y: "bytes/aggregate", at: at,
			wanted: 450, wantedY: "bar 13 at 1 M: 450 B",
			lines: []line{
				over("after writing", 0, false, func(i int) float64 { return g.Sizes[i].Written.PerAggregate }),
				over("after a restart", 1, false, func(i int) float64 { return g.Sizes[i].Restarted.PerAggregate }),
			},
		},
		{
			name: "growth-memory", title: "Memory of the processes (RSS)", x: aggregates, y: "MB", at: at,
			lines: []line{
				over("server, after writing", 0, false, func(i int) float64 { return g.Sizes[i].Written.Resident / megabyte }),
				over("server, after a restart", 1, false, func(i int) float64 { return g.Sizes[i].Restarted.Resident / megabyte }),
				over("client, after the replay", 2, false, func(i int) float64 { return g.Sizes[i].Client / megabyte }),
			},
		},
		{
			name: "growth-restart", title: "A restart: from the start of the server's process on", x: aggregates, y: "s", at: at,
			lines: []line{
				over("ready, after a stop", 0, false, func(i int) float64 { return g.Sizes[i].Stop.Ready / ms }),
				over("first append, after a stop", 0, true, func(i int) float64 { return g.Sizes[i].Stop.Appended / ms }),
				over("ready, after kill -9", 1, false, func(i int) float64 { return g.Sizes[i].Kill.Ready / ms }),
				over("first append, after kill -9", 1, true, func(i int) float64 { return g.Sizes[i].Kill.Appended / ms }),
			},
		},
	}
}

func orderCharts(all []orders) []chart {
	const customers = "customers"
	rate := chart{name: "orders-rate", title: "Orders completed a second", x: customers, y: "orders/s", linear: true}
	whole := chart{name: "orders-latency", title: "From an order's first command until it is completed", x: customers, y: "s"}
	command := chart{name: "orders-command", title: "One command, from sending it to its answer", x: customers, y: "ms"}
	processor := chart{name: "orders-processor", title: "Processor time of an order, all processes", x: customers, y: "ms"}
	colour := 0
	for _, o := range all {
		for _, s := range o.Systems {
			name := fmt.Sprintf("R%d, %s", s.Replicas, o.Sync)
			over := func(suffix string, dashed bool, y func(level) float64) line {
				l := line{name: name + suffix, colour: colour, dashed: dashed}
				for _, at := range s.Levels {
					l.points = append(l.points, plotter.XY{X: at.Customers, Y: y(at)})
				}
				return l
			}
			for _, c := range []*chart{&rate, &whole, &command, &processor} {
				c.at = c.at[:0]
				for _, l := range s.Levels {
					c.at = append(c.at, l.Customers)
				}
			}
			rate.lines = append(rate.lines, over("", false, func(l level) float64 { return l.Rate }))
			whole.lines = append(whole.lines,
				over(", p50", false, func(l level) float64 { return l.Whole.P50 / 1e3 }), over(", p99", true, func(l level) float64 { return l.Whole.P99 / 1e3 }))
			command.lines = append(command.lines,
				over(", p50", false, func(l level) float64 { return l.Command.P50 }), over(", p99", true, func(l level) float64 { return l.Command.P99 }))
			processor.lines = append(processor.lines, over("", false, func(l level) float64 { return l.Servers + l.Services + l.Customer }))
			colour++
		}
	}
	return []chart{rate, whole, command, processor}
}
