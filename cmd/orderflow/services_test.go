package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/rs/zerolog"
)

// What a service does not wait for lets it say too early that it is ready: every
// endpoint, subscription and copy of every service is here.
func TestNoServiceIsReadyBeforeItRuns(t *testing.T) {
	server := esjstest.Server(t)
	s := &settings{replicas: 1, eventsMax: defaultEventsMax, data: t.TempDir()}
	if err := provision(t.Context(), server.Dial(), s.store()); err != nil {
		t.Fatal(err)
	}
	told, err := newTelemetry(t.Context(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	awaited := map[string][]string{
		"order":     {"order endpoints", "order prices", "order subscription", "order-history endpoints"},
		"inventory": {"inventory subscription", "product endpoints", "reservation-deadlines subscription", "reservation-timers subscription", "stock endpoints"},
		"payment":   {"payment endpoints", "payment subscription", "payment webhooks", "payment-deadlines subscription", "payment-timers subscription"},
		"shipping":  {"shipping subscription", "shipping webhooks"},
		"saga":      {"fulfilment subscription", "fulfilment-timers subscription", "refund subscription", "refund-timers subscription", "saga endpoints"},
		"projector": {"projection endpoints", "projector endpoints", "view customers", "view events", "view orders", "view payments", "view sagas", "view sales", "view stock", "view timeline"},
		"gateway":   {"live events", "nats connection", "sign-in keys"},
		"partners":  {"partners' API"},
	}
	for _, sp := range services() {
		p, err := start(t.Context(), sp, s, server.Dial(), told, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		var missing []string
		if err := p.env.Health.Err(); err != nil {
			for line := range strings.Lines(err.Error()) {
				missing = append(missing, strings.TrimSuffix(strings.TrimSpace(line), ": is starting"))
			}
		}
		if !slices.Equal(missing, awaited[sp.name]) {
			t.Errorf("%s waits for %q, want %q", sp.name, missing, awaited[sp.name])
		}
	}
}
