// Package compose tests docker-compose.yml with a real Docker engine: a copy of what a clone has
// comes up, completes orders, and survives what happens to containers. Its tests have the tag compose.
package compose
