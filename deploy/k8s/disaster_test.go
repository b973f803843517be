//go:build apiserver && kubelet

package k8s

import (
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/b144f99b/orderflow/test/shop"
)

// as is the flags of a user of the NATS server at an address.
func as(user, address string) string {
	return " --nats-url nats://" + address + " --nats-nkey deploy/secrets/" + user + ".nk"
}

// digest is of everything that is stored.
var digest = regexp.MustCompile(`digest +(\S+)`)

// verified checks that everything is as it was written, and returns the digest of it.
func (c *cluster) verified(t *testing.T, address string) string {
	t.Helper()
	found := digest.FindStringSubmatch(c.run(t, "orderflow verify"+as("operator", address)))
	if found == nil {
		t.Fatal("verify tells no digest")
	}
	return found[1]
}

// forwarded connects port 4222 of the machine with the server, as the runbooks say.
func (c *cluster) forwarded(t *testing.T) (address string) {
	t.Helper()
	address = "127.0.0.1:4222"
	reached := func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	program.Until(t, patience, "nothing else is forwarded", func() bool { return !reached() }) // it ends with its pod
	begin(t, filepath.Join(c.logs, "nats"), c.command("exec kubectl -n orderflow port-forward service/nats 4222"))
	program.Until(t, patience, "the port is forwarded", reached)
	return address
}

// broughtBack loses everything, and brings back what a backup has, as the runbooks say.
func (c *cluster) broughtBack(t *testing.T, gateway shop.Gateway) {
	t.Helper()
	at := c.forwarded(t)
	c.run(t, "orderflow backup shop.backup"+as("backup", at))
	c.run(t, "orderflow restore --check shop.backup")
	before := c.verified(t, at)
	gateway.Place(t, "o-lost")
	gateway.Completed(t, "o-lost")

	for _, line := range documented(t, runbooks, "kubectl -n orderflow scale deployment --all --replicas=0") {
		c.run(t, line)
	}
	c.run(t, "kubectl -n orderflow wait --for=delete pod -l app.kubernetes.io/component=service --timeout=5m")
	c.run(t, "kubectl -n orderflow delete pvc data-nats-0 --wait=false")
	c.run(t, "kubectl -n orderflow delete pod nats-0")
	c.run(t, "kubectl -n orderflow rollout status statefulset/nats --timeout=5m")
	at = c.forwarded(t)
	c.run(t, "orderflow restore shop.backup"+as("restore", at))
	if after := c.verified(t, at); after != before {
		t.Errorf("what was brought back is %s, and was %s", after, before)
	}
	c.run(t, "kubectl apply --server-side -k deploy/k8s/overlays/dev")
	c.ready(t)
	gateway.Completed(t, "o-first")
	if status, answer := shop.Ask(http.MethodGet, string(gateway)+"/v1/orders/o-lost", ""); status != http.StatusNotFound {
		t.Errorf("an order from after the backup: %d %s", status, answer)
	}
	gateway.Place(t, "o-last")
	gateway.Completed(t, "o-last")
}

// tell says what there is when the test has failed.
func (c *cluster) tell(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, line := range []string{"kubectl get nodes,pods,pvc --all-namespaces --output wide", "kubectl -n orderflow get events --sort-by .lastTimestamp | tail -n 60",
		"kubectl -n orderflow logs --tail 20 --prefix --selector app.kubernetes.io/part-of=orderflow"} {
		out, _ := c.try(line) // what it says of an error is in it
		t.Logf("%s:\n%s", line, out)
	}
}
