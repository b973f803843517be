//go:build apiserver

package k8s

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

var (
	runbooks = filepath.Join("..", "..", "docs", "operations", "runbooks", "README.md")
	services = map[string]int{"order": 2, "inventory": 2, "payment": 2, "shipping": 2, "saga": 2, "projector": 2, "gateway": 2, "monitor": 1}
)

const (
	ofProd    = "deploy/k8s/overlays/prod/kustomization.yaml"
	applyProd = "kubectl apply --server-side -k deploy/k8s/overlays/prod"
)

// With Kubernetes' own controllers and scheduler: production comes up as the page says, goes from one release to the next, and operators do
// what the pages tell them, while at most one NATS server is away, and no service has less than its instances. No container
// runs: kwok calls pods ready at once.
func TestReleasesRollOut(t *testing.T) {
	c := newCluster(t)
	c.controlled(t)
	c.imagined(t)
	c.namespaced(t)
	pods := c.watch(t)
	for _, line := range documented(t, readme, applyProd) {
		if !strings.Contains(line, "certificate/") { // cert-manager's, which is not here
			c.run(t, line)
		}
	}
	whole := func(t *testing.T) {
		t.Helper()
		pods.all(t, "nats", 3)
		for service, instances := range services {
			pods.all(t, service, instances)
		}
	}
	// kept checks that so many servers were there all the time, and all instances of services.
	kept := func(t *testing.T, servers int) {
		t.Helper()
		if fewest := pods.fewest("nats"); fewest != servers {
			t.Errorf("at least %d NATS servers were ready, want %d", fewest, servers)
		}
		for service, instances := range services {
			if fewest := pods.fewest(service); fewest != instances {
				t.Errorf("at least %d of %d instances of %s were ready", fewest, instances, service)
			}
		}
	}
	rolledOut := func(t *testing.T) {
		t.Helper()
		c.run(t, "kubectl -n orderflow rollout status statefulset/nats --timeout=15m")
		for service := range services {
			c.run(t, "kubectl -n orderflow rollout status deployment/"+service+" --timeout=15m")
		}
		whole(t)
	}
	rolledOut(t)

	t.Run("to the next images", func(t *testing.T) {
		c.edit(t, ofProd, "newTag: 0.1.0", "newTag: 0.2.0")
		c.edit(t, ofProd, "newTag: 2.15.2-alpine", "newTag: 2.15.3-alpine")
		pods.begin()
		c.run(t, "kubectl -n orderflow delete job provision --ignore-not-found") // which may be gone by itself
		c.run(t, applyProd)
		rolledOut(t)
		c.run(t, "kubectl -n orderflow wait --for=condition=Complete job/provision --timeout=10m")
		kept(t, 2)
		program.Until(t, patience, "all pods have the new images", func() bool {
			images := strings.Fields(c.run(t, `kubectl -n orderflow get pods -l 'app.kubernetes.io/component in (server, service)' -o 'jsonpath={.items[*].spec.containers[*].image}'`))
			slices.Sort(images)
			return slices.Equal(slices.Compact(images), []string{"nats:2.15.3-alpine", "registry.example.com/orderflow:0.2.0"})
		})
	})
	t.Run("machines are drained", func(t *testing.T) {
		pods.begin()
		drained := func(machine string) {
			t.Helper()
			if out, err := c.try("kubectl drain " + machine + " --delete-emptydir-data --timeout=5m"); err != nil { // it warns of the directories
				t.Fatalf("%s is not drained: %v: %s", machine, err, out)
			}
		}
		drained("machine-0")
		pods.all(t, "nats", 2) // one for each machine
		c.refused(t, "kubectl drain machine-1 --delete-emptydir-data --timeout=20s", "Cannot evict pod as it would violate the pod's disruption budget")
		if fewest := pods.fewest("nats"); fewest != 2 {
			t.Errorf("%d NATS servers were left, want 2", fewest)
		}
		c.run(t, "kubectl uncordon machine-0")
		pods.all(t, "nats", 3)
		drained("machine-1")
		c.run(t, "kubectl uncordon machine-1")
		whole(t)
		if fewest := pods.fewest("nats"); fewest != 2 {
			t.Errorf("%d NATS servers were left, want 2", fewest)
		}
	})
	t.Run("a larger disk", func(t *testing.T) {
		lines := documented(t, readme, "for i in 0 1 2; do kubectl -n orderflow patch pvc")
		pods.begin()
		c.refused(t, lines[0], "the storageclass that provisions the pvc must support resize")
		c.run(t, `kubectl patch storageclass disks -p '{"allowVolumeExpansion": true}'`)
		c.run(t, lines[0])
		c.edit(t, "deploy/k8s/components/nats-cluster/kustomization.yaml", "value: 40Gi", "value: 80Gi")
		c.edit(t, "deploy/k8s/components/nats-cluster/servers.yaml", "value: 32GB", "value: 64GB")
		c.refused(t, applyProd, "updates to statefulset spec for fields other than")
		for _, line := range lines[1:] {
			c.run(t, line)
		}
		program.Until(t, patience, "the servers may store more", func() bool {
			return c.run(t, `kubectl -n orderflow get pods -l app.kubernetes.io/name=nats -o 'jsonpath={.items[*].spec.containers[0].env[?(@.name=="NATS_MAX_FILE_STORE")].value}'`) == "64GB 64GB 64GB"
		})
		rolledOut(t)
		kept(t, 2)
		for _, path := range []string{"pvc -l app.kubernetes.io/name=nats -o 'jsonpath={.items[*].spec.resources.requests.storage}'",
			"statefulset nats -o 'jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}'"} {
			if out := c.run(t, "kubectl -n orderflow get "+path); strings.Trim(strings.ReplaceAll(out, "80Gi", ""), " ") != "" || !strings.Contains(out, "80Gi") {
				t.Errorf("%s: %s", path, out)
			}
		}
	})
	t.Run("a server without its disk", func(t *testing.T) {
		volumes := func() string {
			return c.run(t, "kubectl -n orderflow get pvc data-nats-0 data-nats-1 data-nats-2 -o 'jsonpath={.items[*].spec.volumeName}'")
		}
		before := strings.Fields(volumes())
		pods.begin()
		c.run(t, "kubectl -n orderflow delete pvc data-nats-1 --wait=false")
		c.run(t, "kubectl -n orderflow delete pod nats-1")
		rolledOut(t)
		kept(t, 2)
		after := strings.Fields(volumes())
		if len(before) != 3 || len(after) != 3 || after[0] != before[0] || after[1] == before[1] || after[2] != before[2] {
			t.Errorf("the servers' volumes are %v, and were %v: want another one for the second", after, before)
		}
	})
	t.Run("a server does not come back", func(t *testing.T) {
		c.run(t, "kubectl -n orderflow scale statefulset nats --replicas=2")
		pods.all(t, "nats", 2)
		c.run(t, "kubectl -n orderflow wait --for=delete pod/nats-2 --timeout=5m")
		c.refused(t, applyProd, `conflict with "kubectl" with subresource "scale"`)
		c.run(t, "kubectl -n orderflow scale statefulset nats --replicas=3")
		rolledOut(t)
		c.run(t, applyProd)
	})
	t.Run("all services stop, and start", func(t *testing.T) {
		for _, line := range documented(t, runbooks, "kubectl -n orderflow scale deployment --all --replicas=0") {
			c.run(t, line)
		}
		for service := range services {
			pods.all(t, service, 0)
		}
		lines := documented(t, runbooks, applyProd)
		c.run(t, lines[0])
		pods.all(t, "payment", 2)
		if out := c.run(t, "kubectl -n orderflow get deployment gateway order projector -o 'jsonpath={.items[*].spec.replicas}'"); out != "0 0 0" {
			t.Errorf("the overlay has started what is scaled automatically: %s; then nothing else is needed", out)
		}
		for _, line := range lines[1:] {
			c.run(t, line)
		}
		rolledOut(t)
		c.run(t, applyProd)
	})
	t.Run("a new key", func(t *testing.T) {
		pods.begin()
		c.run(t, "orderflow keys --new shipping deploy/secrets")
		c.run(t, applyProd)
		rolledOut(t)
		kept(t, 2)
	})
	t.Run("what is not kept is seen", func(t *testing.T) {
		pods.begin()
		c.run(t, "kubectl cordon machine-0 machine-1 machine-2") // so that none comes back before the next one goes
		c.run(t, "kubectl -n orderflow delete pod nats-0 nats-1")
		pods.all(t, "nats", 1)
		c.run(t, "kubectl uncordon machine-0 machine-1 machine-2")
		c.run(t, `kubectl -n orderflow patch deployment order -p '{"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}}'`)
		c.run(t, "kubectl -n orderflow rollout restart deployment order")
		rolledOut(t)
		if servers, orders := pods.fewest("nats"), pods.fewest("order"); servers != 1 || orders != 1 {
			t.Errorf("when two servers were deleted %d were left, want 1; of order %d, want 1", servers, orders)
		}
	})
}
