package k8s

import (
	"regexp"
	"slices"
	"testing"
)

const label = "app.kubernetes.io/"

var seed = regexp.MustCompile(`\bSU[A-Z2-7]{56}\b`)

func objectRules() []rule {
	return []rule{
		{
			name: "everything is labelled, in one namespace that enforces the restricted profile",
			broken: func(_ *testing.T, m manifests) (c []string) {
				check := (*complaints)(&c)
				check.unless(at(m.find("Namespace/orderflow"), "metadata", "labels", "pod-security.kubernetes.io/enforce") == "restricted", "the namespace enforces nothing")
				for _, o := range m.objects {
					cluster := slices.Contains([]string{"Namespace", "PriorityClass"}, o.kind())
					check.unless(cluster || o.namespace() == "orderflow", "%s is in the namespace %q", o, o.namespace())
					generated := slices.Contains([]string{"ConfigMap", "Secret"}, o.kind())
					check.unless(generated || text(at(o, "metadata", "labels", label+"part-of")) == "orderflow", "%s has no label part-of", o)
				}
				for _, w := range m.workloads() {
					check.unless(w.labels[label+"name"] == w.name() && w.labels[label+"part-of"] == "orderflow" && w.labels[label+"component"] != "", "the pods of %s have the labels %v", w, w.labels)
					if w.runsOn {
						check.unless(decode[selector](at(w.object, "spec", "selector")).matches(w.labels), "%s does not know its own pods", w)
					}
				}
				return c
			},
			damage: []damage{
				{"dev", "Namespace/orderflow", []any{"metadata", "labels", "pod-security.kubernetes.io/enforce"}, "baseline"},
				{"dev", "Deployment/order", []any{"metadata", "namespace"}, "default"},
				{"dev", "Service/gateway", []any{"metadata", "labels", label + "part-of"}, nil},
				{"dev", "Deployment/order", []any{"spec", "template", "metadata", "labels", label + "component"}, nil},
				{"dev", "Deployment/order", []any{"spec", "template", "metadata", "labels", label + "name"}, "orders"},
			},
		},
		{
			name: "each service reaches pods, and none is reached from outside the cluster but by an ingress",
			broken: func(_ *testing.T, m manifests) (c []string) {
				check := (*complaints)(&c)
				for _, o := range m.of("Service") {
					kind := text(at(o, "spec", "type"))
					check.unless(kind == "" || kind == "ClusterIP", "%s is a %s", o, kind)
					for _, p := range decode[[]struct {
						Port       int
						TargetPort string
					}](at(o, "spec", "ports")) {
						reached := 0
						for _, w := range m.workloads() {
							if !(selector{decode[map[string]string](at(o, "spec", "selector"))}).matches(w.labels) {
								continue
							}
							for _, a := range w.containers() {
								if a.portNamed(p.TargetPort) != "" {
									reached++
									check.unless(a.portNamed(p.TargetPort) != "8222", "%s publishes what NATS tells everybody who asks", o)
								}
							}
						}
						check.unless(reached > 0, "%s reaches nothing at port %d", o, p.Port)
					}
				}
				return c
			},
			damage: []damage{
				{"dev", "Service/gateway", []any{"spec", "type"}, "LoadBalancer"},
				{"dev", "Service/gateway", []any{"spec", "selector"}, map[string]any{label + "name": "gate"}},
				{"dev", "Service/gateway", []any{"spec", "ports", 0, "targetPort"}, "https"},
				{"dev", "Service/nats", []any{"spec", "ports", 0, "targetPort"}, "monitor"},
			},
		},
		{
			name: "a change of configuration or keys replaces the pods that have them",
			broken: func(_ *testing.T, m manifests) (c []string) {
				check := (*complaints)(&c)
				for _, o := range m.of("ConfigMap", "Secret") {
					check.unless(hashed.MatchString(o.name()), "the name of %s does not change with what is in it", o)
				}
				for _, w := range m.workloads() {
					var wanted []string
					for _, v := range w.spec.Volumes {
						wanted = append(wanted, "Secret/"+v.Secret.SecretName, "ConfigMap/"+v.ConfigMap.Name)
						for _, s := range v.Projected.Sources {
							wanted = append(wanted, "Secret/"+s.Secret.Name, "ConfigMap/"+s.ConfigMap.Name)
						}
					}
					for _, name := range wanted {
						elsewhere := slices.Contains([]string{"Secret/", "ConfigMap/", "Secret/nats-tls", "Secret/postgres", "Secret/partner-psp", "Secret/partner-carrier"}, name) // by cert-manager, and by hand
						check.unless(elsewhere || m.find(name) != nil, "%s has %s, which is not there", w, name)
					}
				}
				return c
			},
			damage: []damage{
				{"dev", "ConfigMap/nats-config", []any{"metadata", "name"}, "nats-config"},
				{"dev", "Secret/saga-key", nil, nil},
			},
		},
		{
			name: "keys are in Secrets alone",
			broken: func(t *testing.T, m manifests) (c []string) {
				check := (*complaints)(&c)
				for _, o := range m.objects {
					if o.kind() != "Secret" {
						check.unless(!seed.MatchString(string(write(t, o))), "%s has the seed of a key", o)
					}
				}
				return c
			},
			damage: []damage{{"dev", "ConfigMap/nats-keys", []any{"data", "order.nk"}, "SUAGC3DPCRSRKXAXKOWHBOB6TBY3GOTJBT3GJ3GOTJBT3GJ3GOTJBT3GJ3"}},
		},
	}
}
