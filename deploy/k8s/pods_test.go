//go:build apiserver && kubelet

package k8s

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/test/shop"
)

// The overlay for development comes up as pods of a real kubelet as the page says. Processes die, hang, are replaced and deleted
// while orders are placed, and each is completed and paid once. A backup is taken and brought back through kubectl.
func TestPodsRun(t *testing.T) {
	if os.Getenv(machineDir) == "" {
		onMachine(t)
		return
	}
	for name := range programs { // while there was a network
		built[name] = true
	}
	c := newCluster(t)
	c.controlled(t)
	c.node(t)
	t.Cleanup(func() { c.tell(t) })
	gateway, partners, orders := shop.Gateway("http://gateway"), shop.Partners("http://partners:8090"), 0
	everything := append(slices.Sorted(maps.Keys(services)), "nats", "partners")

	t.Run("as the page says", func(t *testing.T) {
		lines := documented(t, readme, "make keys\nkubectl apply --server-side -k deploy/k8s/overlays/dev")
		for _, line := range lines[1 : len(lines)-1] { // the keys are made
			c.run(t, line)
		}
		c.run(t, "kubectl -n orderflow wait --for=condition=Complete job/provision --timeout=10m")
		begin(t, filepath.Join(c.logs, "gateway"), c.command("exec "+lines[len(lines)-1]))
		forwarded := shop.Gateway("http://127.0.0.1:8080")
		forwarded.Stock(t)
		forwarded.Place(t, "o-first")
		forwarded.Completed(t, "o-first")
		orders++
	})
	if t.Failed() {
		return
	}
	t.Run("names resolve", func(t *testing.T) {
		for _, name := range append(decode[[]string](at(render(t, "prod").find("Certificate/nats-tls"), "spec", "dnsNames")), "gateway", "partners") {
			if name == "localhost" || strings.HasPrefix(name, "nats-1.") || strings.HasPrefix(name, "nats-2.") { // here is one server
				continue
			}
			if found, err := net.DefaultResolver.LookupHost(t.Context(), name); err != nil || len(found) != 1 {
				t.Errorf("%s: %v, %v", name, found, err)
			}
		}
		for _, url := range []string{"http://gateway/readyz", "http://nats-0.nats-headless:8222/healthz"} { // and in a container
			c.run(t, "kubectl -n orderflow exec nats-0 -- wget -q -O - "+url)
		}
	})
	t.Run("nothing has rights", func(t *testing.T) {
		for _, app := range everything {
			for _, p := range c.processes(t, app) {
				p.restricted(t)
			}
		}
	})
	for _, app := range everything {
		t.Run(app+" is killed", func(t *testing.T) {
			id := func(n int) string { return fmt.Sprintf("o-%s-killed-%d", app, n) }
			gateway.Place(t, id(0)) // whose process is under way
			var placed sync.WaitGroup
			placed.Go(func() { gateway.Place(t, id(1)) })
			c.signal(t, app, syscall.SIGKILL)
			placed.Wait()
			for n := range 2 {
				gateway.Completed(t, id(n))
			}
			orders += 2
			c.ready(t)
		})
	}
	t.Run("what hangs is started again", func(t *testing.T) {
		gateway.Place(t, "o-hung-0")
		c.signal(t, "payment", syscall.SIGSTOP)
		if told := c.run(t, "kubectl -n orderflow get events --field-selector reason=Unhealthy"); !strings.Contains(told, "Liveness probe failed") {
			t.Errorf("no liveness probe has failed: %s", told)
		}
		gateway.Completed(t, "o-hung-0")
		orders++
		c.ready(t)
	})
	t.Run("the server's pod is deleted", func(t *testing.T) {
		before := c.verified(t, "nats:4222")
		c.run(t, "kubectl -n orderflow delete pod nats-0")
		c.ready(t)
		if after := c.verified(t, "nats:4222"); after != before {
			t.Errorf("it has %s, and had %s", after, before)
		}
		gateway.Place(t, "o-deleted")
		gateway.Completed(t, "o-deleted")
		orders++
	})
	t.Run("services are replaced", func(t *testing.T) {
		placed, replaced := make(chan int), make(chan struct{})
		go func() {
			n := 0
			for ; ; n++ {
				select {
				case <-replaced:
					placed <- n
					return
				default:
					gateway.PlaceAtOnce(t, fmt.Sprint("o-replaced-", n))
				}
			}
		}()
		c.run(t, "kubectl -n orderflow rollout restart deployment")
		c.ready(t)
		close(replaced)
		load := <-placed
		for n := range load {
			gateway.Completed(t, fmt.Sprint("o-replaced-", n))
		}
		t.Logf("%d orders were placed meanwhile, each command sent once", load)
		orders += load
	})
	gateway.Sound(t, partners, orders)
	t.Run("a backup is brought back", func(t *testing.T) { c.broughtBack(t, gateway) })
}
