//go:build apiserver

package k8s

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// namespaced makes the namespace and the Secrets that are there before the overlay, as the page says.
func (c *cluster) namespaced(t *testing.T) {
	t.Helper()
	c.write(t, "pgpass", "postgres.example.com:5432:orderflow:orderflow:PASSWORD\n")
	c.write(t, "ca.crt", "of who signed the database's certificate\n")
	c.write(t, "psp.key", "of the payment provider\n")
	c.write(t, "carrier.key", "of the carrier\n")
	for _, line := range documented(t, readme, "kubectl apply --server-side -f deploy/k8s/base/namespace.yaml") {
		c.run(t, line)
	}
}

// stored is every object of the kinds that an overlay has, with the version that it is stored in; claims with all that is in them,
// because the server writes one again, as it was, when it is applied for the second time.
func (c *cluster) stored(t *testing.T, m manifests) string {
	t.Helper()
	kinds := map[string]bool{"Pod": true}
	for _, o := range m.objects {
		kinds[o.kind()] = true
	}
	delete(kinds, "Namespace") // those of Kubernetes itself come when they like
	delete(kinds, "PersistentVolumeClaim")
	versions := `{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}`
	return c.run(t, "kubectl get namespace orderflow --output 'jsonpath="+versions+"'") +
		c.run(t, "kubectl --namespace orderflow get "+strings.Join(slices.Sorted(maps.Keys(kinds)), ",")+" --output 'jsonpath={range .items[*]}"+versions+"{end}'") +
		c.run(t, "kubectl --namespace orderflow get persistentvolumeclaims --output json --show-managed-fields | grep -v '\"resourceVersion\"'")
}

// The API server takes every overlay, warns of nothing, keeps nothing of a dry run, and a second apply changes nothing.
func TestTheServerTakesEachOverlay(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			c := newCluster(t)
			c.namespaced(t)
			m := render(t, overlay)
			before := c.stored(t, m)
			if out := c.run(t, "kubectl apply --server-side --dry-run=server -k deploy/k8s/overlays/"+overlay); strings.Count(out, "(server dry run)") != len(m.objects) {
				t.Errorf("of %d objects: %s", len(m.objects), out)
			}
			if after := c.stored(t, m); after != before {
				t.Errorf("a dry run left %s", after)
			}
			c.refused(t, "kubectl diff --server-side -k deploy/k8s/overlays/"+overlay, "kind: StatefulSet")

			apply := "kubectl apply --server-side -k deploy/k8s/overlays/" + overlay
			if out := c.run(t, apply); strings.Count(out, "serverside-applied") != len(m.objects) {
				t.Errorf("of %d objects: %s", len(m.objects), out)
			}
			applied := c.stored(t, m)
			if applied == before {
				t.Error("nothing is stored")
			}
			c.run(t, apply)
			if again := c.stored(t, m); again != applied {
				t.Errorf("a second apply left\n%s\nwhere was\n%s", again, applied)
			}
			c.run(t, "kubectl diff --server-side -k deploy/k8s/overlays/"+overlay)
			t.Logf("%s: %d objects were taken, and the second apply changed none", overlay, len(m.objects))

			if overlay == "prod" {
				c.refusesWhatIsDamaged(t, m)
			}
		})
	}
}

// refusesWhatIsDamaged is the proof that what was taken could have been refused: by the schema, by validation, by Pod Security, by what
// cannot be changed any more, and by another who has set the same field.
func (c *cluster) refusesWhatIsDamaged(t *testing.T, m manifests) {
	t.Helper()
	restricted := `PodSecurity "restricted`
	for _, d := range []struct {
		damage
		because string
	}{
		{damage{"prod", "Deployment/order", []any{"spec", "minReadyMinutes"}, 1}, "field not declared in schema"},
		{damage{"prod", "Deployment/order", []any{"spec", "selector", "matchLabels", "app.kubernetes.io/name"}, "orders"}, "`selector` does not match template `labels`"},
		{damage{"prod", "Deployment/order", []any{"spec", "template", "spec", "containers", 0, "securityContext", "allowPrivilegeEscalation"}, true}, restricted},
		{damage{"prod", "StatefulSet/nats", []any{"spec", "template", "spec", "securityContext", "runAsNonRoot"}, nil}, restricted},
		{damage{"prod", "CronJob/backup", []any{"spec", "jobTemplate", "spec", "template", "spec", "securityContext", "seccompProfile"}, nil}, restricted},
		{damage{"prod", "CronJob/backup", []any{"spec", "schedule"}, "17 2 * *"}, "spec.schedule"},
		{damage{"prod", "StatefulSet/nats", []any{"spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"}, "80Gi"}, "updates to statefulset spec for fields other than"},
		{damage{"prod", "Job/provision", []any{"spec", "template", "spec", "containers", 0, "image"}, "orderflow:other"}, "field is immutable"},
		{damage{"prod", "Service/nats", []any{"spec", "ports", 0, "port"}, 0}, "spec.ports[0].port"},
		{damage{"prod", "PodDisruptionBudget/nats", []any{"spec", "maxUnavailable"}, "half"}, "spec.maxUnavailable"},
		{damage{"prod", "NetworkPolicy/nats", []any{"spec", "policyTypes", 0}, "Outgress"}, "Outgress"},
		{damage{"prod", "Ingress/gateway", []any{"spec", "rules", 0, "http", "paths", 0, "pathType"}, nil}, "pathType"},
		{damage{"prod", "HorizontalPodAutoscaler/order", []any{"spec", "minReplicas"}, 20}, "maxReplicas"},
		{damage{"prod", "PersistentVolumeClaim/backups", []any{"spec", "accessModes"}, []any{"Always"}}, "Always"},
		{damage{"prod", "Certificate/nats-tls", []any{"spec", "usages", 0}, "signing of everything"}, "spec.usages[0]"},
		{damage{"prod", "ServiceMonitor/orderflow", []any{"spec", "endpoints", 0, "interval"}, "often"}, "interval"},
		{damage{"prod", "PrometheusRule/orderflow", []any{"spec", "groups", 0, "rules", 0, "for"}, "a while"}, "groups[0].rules[0].for"},
	} {
		damaged := manifests{overlay: m.overlay, objects: m.copy().objects}
		d.apply(t, damaged)
		o := damaged.find(d.object)
		out, err := c.try("kubectl apply --server-side --dry-run=server --namespace orderflow -f " + c.write(t, "damaged.json", string(write(t, o))))
		// Of what makes pods the server warns; the pods themselves it refuses, which is seen below.
		if refused := err != nil || d.because == restricted; !refused || !strings.Contains(out, d.because) {
			t.Errorf("%s: %v, want %q: %s", d, err, d.because, out)
		}
	}
	c.run(t, "kubectl --namespace orderflow create serviceaccount default") // as a controller does
	c.refused(t, `kubectl --namespace orderflow run --image orderflow:dev pod`, restricted)

	c.run(t, "kubectl --namespace orderflow set env deployment/payment --containers orderflow GOMEMLIMIT=1GiB")
	apply := "kubectl apply --server-side -k deploy/k8s/overlays/prod"
	c.refused(t, apply, fmt.Sprintf("conflict with %q", "kubectl-set"))
	c.run(t, apply+" --force-conflicts")
	c.run(t, "kubectl diff --server-side -k deploy/k8s/overlays/prod")
}
