package service

import "github.com/prometheus/client_golang/prometheus"

// Metrics is one process's registry and the metrics that all services share.
type Metrics struct {
	Registry *prometheus.Registry
}

// NewMetrics makes a registry.
func NewMetrics() *Metrics { return &Metrics{Registry: prometheus.NewRegistry()} }
