//go:build plots

package plots

import (
	"fmt"
	"strconv"
	"strings"
)

// tables are those of docs/benchmarks.md.
func (r recorded) tables() []string {
	tables := []string{r.growth.times(), r.growth.space(), streams(r.partitions)}
	if len(r.bars.Results) > 0 {
		tables = append(tables, r.bars.table())
	}
	for _, o := range r.orders {
		tables = append(tables, o.table())
	}
	for _, o := range r.orders {
		if o.Sync == "default" {
			tables = append(tables, o.waits())
		}
	}
	return tables
}

// table is Markdown.
func table(head string, rows ...string) string {
	columns := strings.Count(head, "|") + 1
	return "| " + head + " |\n|" + strings.Repeat(" --- |", columns) + "\n" + strings.Join(rows, "")
}

func row(format string, cells ...any) string { return "| " + fmt.Sprintf(format, cells...) + " |\n" }

// grouped is a whole number with commas.
func grouped(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// table has a row for each bar, with the default sync and with always beside each other. What is missed is bold.
func (b bars) table() string {
	type key struct {
		number int
		what   string
	}
	type cells struct{ wanted, measured, always string }
	var (
		keys []key
		of   = map[key]*cells{}
	)
	for _, r := range b.Results {
		at := key{r.Number, r.What}
		if of[at] == nil {
			keys, of[at] = append(keys, at), &cells{}
		}
		c, places := of[at], 2
		if r.Unit != "" {
			places = 0
		}
		figure := func(v float64) string { return strconv.FormatFloat(v, 'f', places, 64) }
		wanted, median := "", strings.TrimSpace(figure(r.Median)+" "+r.Unit)
		switch exact := func(v float64) string { return strings.TrimSpace(strconv.FormatFloat(v, 'f', -1, 64) + " " + r.Unit) }; {
		case r.Wanted.Max != nil:
			wanted = "<= " + exact(*r.Wanted.Max)
		case r.Wanted.Min != nil:
			wanted = ">= " + exact(*r.Wanted.Min)
		}
		if r.Verdict == "missed" {
			median = "**" + median + "**"
		}
		measured := fmt.Sprintf("%s (%s to %s)", median, figure(r.Lowest), figure(r.Highest))
		if r.Sync == "always" {
			c.always = measured
		} else {
			c.measured = measured
		}
		if c.wanted == "" {
			c.wanted = wanted
		} else if c.wanted != wanted {
			c.wanted += ", " + wanted
		}
	}
	var rows []string
	for _, at := range keys {
		c := of[at]
		rows = append(rows, row("%d | %s | %s | %s | %s", at.number, at.what, c.wanted, c.measured, c.always))
	}
	return table("bar | what | wanted | `sync` default | `sync: always`", rows...)
}

func (g growth) times() string {
	var rows []string
	for _, s := range g.Sizes {
		hot := fmt.Sprintf("%.2f", s.HotVs)
		if s.HotHighest > 0 {
			hot += fmt.Sprintf(" (%.2f to %.2f)", s.HotLowest, s.HotHighest)
		}
		rows = append(rows, row("%s | %s | %s | %s, %s | %.2f | %s, %s | %s | %.1f, %.1f (%d) | %s | %s",
			grouped(s.Aggregates), grouped(s.Events), grouped(s.Fill), grouped(s.Append.P50), grouped(s.Append.P99), s.AppendVs,
			grouped(s.Hot.P50), grouped(s.Hot.P99), hot, s.Cold.P50/1e3, s.Cold.P99/1e3, s.Cold.Calls, grouped(s.Replay), s.Load))
	}
	return table("aggregates | events | written, events/s | append p50, p99, µs | / small store | hot load p50, p99, µs | / small store | cold load p50, p99, ms (loads) | replayed, events/s | load average", rows...)
}

func (g growth) space() string {
	const mb = 1e6
	var rows []string
	for _, s := range g.Sizes {
		rows = append(rows, row("%s | %.0f | %s, %s | %.0f, %.0f | %.0f, %.1f | %.1f, %.1f | %.1f, %.1f",
			grouped(s.Aggregates), s.Disk, grouped(s.Written.PerAggregate), grouped(s.Restarted.PerAggregate), s.Written.Resident/mb, s.Restarted.Resident/mb,
			s.Client/mb, s.Heap/mb, s.Stop.Ready/1e3, s.Stop.Appended/1e3, s.Kill.Ready/1e3, s.Kill.Appended/1e3))
	}
	return table("aggregates | disk, B/event | server's heap, B/aggregate: written, restarted | server's RSS, MB: written, restarted | client's RSS and heap, MB | restart: ready, first append, s | after kill -9, s", rows...)
}

// streams are the rows of all runs.
func streams(all []partitions) string {
	var rows []string
	for _, p := range all {
		sync := strings.Replace(p.Sync, "always", "`always`", 1)
		for _, s := range p.Stores {
			ratio := fmt.Sprintf("%.2f (%.2f to %.2f)", s.Ratio.Median, s.Ratio.Lowest, s.Ratio.Highest)
			if s.Streams == 1 {
				ratio = "1"
			}
			rows = append(rows, row("%s, %d | %d | %d | %s (%s to %s) | %s | %.1f | %.0f | %.0f | %.0f", sync, p.Writers, s.Streams, s.Leaders,
				grouped(s.Rate.Median), grouped(s.Rate.Lowest), grouped(s.Rate.Highest), ratio, s.P50.Median, s.P99.Median, s.Servers.Median, s.Client.Median))
		}
	}
	return table("sync, writers | streams | servers that lead | appends/s | ratio | p50, ms | p99, ms | servers' µs | client's µs", rows...)
}

func (o orders) table() string {
	var rows []string
	for _, s := range o.Systems {
		for _, l := range s.Levels {
			rows = append(rows, row("R%d | %.0f | %.1f (%.1f to %.1f) | %d, %d | %.0f, %.0f | %.2f, %.2f | %.2f, %.2f | %.0f, %.0f, %.0f | %.2f | %s", s.Replicas, l.Customers, l.Rate, l.Slowest, l.Fastest,
				l.Orders, l.Failed, l.Command.P50, l.Command.P99, l.Whole.P50/1e3, l.Whole.P99/1e3, l.Completed.P50/1e3, l.Completed.P99/1e3, l.Servers, l.Services, l.Customer, l.Busy, strings.Join(l.Load, ", ")))
		}
	}
	return table("sync "+o.Sync+" | customers | orders/s | completed, failed | command p50, p99, ms | order p50, p99, s | submit to Completed, s | processor, ms/order: servers, services, customers | processors busy | load averages", rows...)
}

// waits are the steps of an order of a customer who is alone.
func (o orders) waits() string {
	var rows []string
	for _, s := range o.Systems[0].Levels[0].Steps {
		cells := fmt.Sprintf("%s: %s", s.Category, s.Event)
		for _, system := range o.Systems {
			for _, same := range system.Levels[0].Steps {
				if same.Category == s.Category && same.Event == s.Event {
					cells += fmt.Sprintf(" | %.0f", same.After.P50)
				}
			}
		}
		rows = append(rows, row("%s", cells))
	}
	head := "commit"
	for _, system := range o.Systems {
		head += fmt.Sprintf(" | R%d, ms", system.Replicas)
	}
	return table(head, rows...)
}
