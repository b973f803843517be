// Package observability holds what Prometheus and Grafana are given: alert rules, the configuration of the profile
// "obs" of docker-compose.yml, and a dashboard. Its tests have the tag prometheus and use Prometheus's own code,
// which prometheus.mod pins: make test-alerts.
package observability
