package service

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures are metrics that are read together now and then, and of which nobody knows before which
// there will be. What was set last is exported, all of it or none. It is safe for concurrent use.
type Figures struct {
	last atomic.Pointer[[]prometheus.Metric]
}

var _ prometheus.Collector = (*Figures)(nil)

// Set replaces all figures; without any, none are exported, as it should be when they could not be read.
func (f *Figures) Set(all ...prometheus.Metric) { f.last.Store(&all) }

// Describe tells nothing in advance.
func (*Figures) Describe(chan<- *prometheus.Desc) {}

// Collect exports what was set last.
func (f *Figures) Collect(to chan<- prometheus.Metric) {
	if all := f.last.Load(); all != nil {
		for _, m := range *all {
			to <- m
		}
	}
}

// Gauge describes a figure, and returns what makes one of a value and of its labels' values, in their order.
func Gauge(name, help string, labels ...string) func(value float64, labelValues ...string) prometheus.Metric {
	desc := prometheus.NewDesc(name, help, labels, nil)
	return func(value float64, labelValues ...string) prometheus.Metric {
		return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labelValues...)
	}
}
