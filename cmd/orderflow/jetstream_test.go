package main

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// A server that is away is known to the others, also to a monitor that starts when it is away already.
func TestTheServersTellHowManyTheyAre(t *testing.T) {
	for _, c := range []struct {
		name            string
		servers         *esjstest.Deployment
		away            int // which of them
		answered, known float64
	}{
		{"one", esjstest.Server(t), -1, 1, 1},
		{"one of three is away", esjstest.Cluster(t), 0, 2, 3},
	} {
		var asked []*server.Server
		for i, s := range c.servers.Servers() {
			if i == c.away {
				c.servers.Stop(i)
				continue
			}
			asked = append(asked, s)
		}
		var reports []serverReport
		for _, s := range asked {
			info, err := s.Jsz(&jetstreamOptions)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, serverReport{name: s.Name(), info: info})
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collected(jetstreamFigures(reports)))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]float64{}
		for _, f := range families {
			told[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		if told["jetstream_servers"] != c.answered || told["jetstream_servers_known"] != c.known {
			t.Errorf("%s: %v answered, and %v are known", c.name, told["jetstream_servers"], told["jetstream_servers_known"])
		}
	}
}
