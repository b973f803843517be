package main

import (
	"os"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// A server's list of connections tells whose each is, what it is for, and in which pod.
func TestConnectionsAreNamedForServicePurposeAndPod(t *testing.T) {
	pod, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	deployment := esjstest.Server(t)
	nc, err := dialer(deployment.URL(), "order", zerolog.Nop())("append")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	list, err := deployment.Servers()[0].Connz(&server.ConnzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list.Conns {
		if names = append(names, c.Name); c.Name == "order/append@"+pod {
			return
		}
	}
	t.Errorf("the connections are %q, and none is order/append@%s", names, pod)
}
