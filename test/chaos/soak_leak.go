//go:build linux

package main

import (
	"context"
	"io"
	"net/http"

	"github.com/nats-io/nats.go/jetstream"
)

// leaks are what a soak leaves behind on purpose, after each cycle: the control that must fail.
type leaks struct{ streams []*http.Response }

// more leaves a consumer on the orders' stream, and a live stream that nobody reads to its end: goroutines and
// handles of the gateway.
func (l *leaks) more(ctx context.Context, r *run, s *shop) error {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	if _, err := js.CreateConsumer(ctx, "EVENTS", jetstream.ConsumerConfig{InactiveThreshold: r.time * 10}); err != nil {
		return err
	}
	stream, err := s.live(ctx) //nolint:bodyclose // it is left open on purpose, until close
	if err == nil {
		l.streams = append(l.streams, stream)                   //nolint:bodyclose // close does it
		go func() { _, _ = io.Copy(io.Discard, stream.Body) }() // it ends with the stream
	}
	return err
}

func (l *leaks) close() {
	for _, stream := range l.streams {
		stream.Body.Close()
	}
}
