package live

import (
	"context"
	"errors"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count streams.
type Metrics struct {
	streams prometheus.Gauge
	ended   *prometheus.CounterVec
}

// NewMetrics registers the metrics of a hub.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		streams: f.NewGauge(prometheus.GaugeOpts{
			Name: "http_live_streams", Help: "Live streams that are open.",
		}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "http_live_ended_total", Help: "Live streams that have ended: the client left, was too slow, or his token expired; the gateway stopped; or an error.",
		}, []string{"why"}),
	}
}

func (m *Metrics) end(err error) {
	why := "error"
	switch {
	case isSlow(err):
		why = "slow"
	case errors.Is(err, errExpired):
		why = "expired"
	case errors.Is(err, errStopping):
		why = "stopping"
	case err == nil, errors.Is(err, context.Canceled):
		why = "left"
	}
	m.ended.WithLabelValues(why).Inc()
}

func isSlow(err error) bool {
	return errors.Is(err, errSlow) || errors.Is(err, os.ErrDeadlineExceeded)
}
