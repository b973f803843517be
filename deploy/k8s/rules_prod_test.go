package k8s

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// onlyProd makes a rule of what is in production alone.
func onlyProd(check func(t *testing.T, c *complaints, m manifests)) func(*testing.T, manifests) []string {
	return func(t *testing.T, m manifests) (c []string) {
		if m.overlay == "prod" {
			check(t, (*complaints)(&c), m)
		}
		return c
	}
}

// mounts tells whether a pod has a Secret of a name without a hash.
func (w workload) mounts(secret string) bool {
	return slices.ContainsFunc(w.spec.Volumes, func(v volume) bool { return v.Secret.SecretName == secret })
}

// variableTraces is OpenTelemetry's own name for where traces are sent.
const variableTraces = "OTEL_EXPORTER_OTLP_ENDPOINT"

func prodRules() []rule {
	return []rule{
		{
			name: "everything that talks NATS is encrypted",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				w, nats := server(m)
				certificate := decode[struct {
					DNSNames []string
					Usages   []string
				}](at(m.find("Certificate/nats-tls"), "spec"))
				c.unless(slices.Contains(nats.Command, "/etc/nats/cluster-tls.conf"), "the servers run with %q", nats.Command)
				c.unless(slices.Contains(certificate.Usages, "client auth") && slices.Contains(certificate.Usages, "server auth"), "the certificate is for %q", certificate.Usages)
				for route := range strings.SplitSeq(strings.Trim(nats.value("NATS_ROUTES"), "[]"), ",") {
					at, err := url.Parse(strings.Trim(route, ` "`))
					c.unless(err == nil && at.Scheme == "tls" && slices.Contains(certificate.DNSNames, at.Hostname()), "the certificate has no name for the route %s", route)
				}
				c.unless(slices.ContainsFunc(w.spec.Volumes, func(v volume) bool {
					return v.Secret.SecretName == text(at(m.find("Certificate/nats-tls"), "spec", "secretName"))
				}), "the servers have no certificate")
				for _, w := range m.workloads() {
					for _, a := range w.containers() {
						if !a.ours() {
							continue
						}
						at, err := url.Parse(a.value("ORDERFLOW_NATS_URL"))
						c.unless(err == nil && at.Scheme == "tls" && slices.Contains(certificate.DNSNames, at.Hostname()), "%s asks NATS at %q", w, a.value("ORDERFLOW_NATS_URL"))
						c.unless(a.value("ORDERFLOW_NATS_CA") != "", "%s does not check the servers' certificate", w)
					}
					for _, v := range w.spec.Volumes {
						c.unless(v.Secret.SecretName != "nats-tls" || w.name() == "nats", "%s has the servers' key", w)
					}
				}
			}),
			damage: []damage{
				{"prod", "Certificate/nats-tls", []any{"spec", "dnsNames"}, []any{"nats"}},
				{"prod", "Certificate/nats-tls", []any{"spec", "usages"}, []any{"server auth"}},
				{"prod", "Certificate/nats-tls", []any{"spec", "secretName"}, "elsewhere"},
				{"prod", "StatefulSet/nats", containerOf("command", 2), "/etc/nats/nats.conf"},
				{"prod", "CronJob/backup", []any{"spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "env", 0, "value"}, "nats://nats:4222"},
				{"prod", "Deployment/order", containerOf("env", 1, "name"), "ORDERFLOW_NATS_CERT"},
				{"prod", "Deployment/order", podOf("volumes", 0), map[string]any{"name": "nats-ca", "secret": map[string]any{"secretName": "nats-tls", "defaultMode": 0o400}}},
			},
		},
		{
			name: "there are three servers, and they come before others",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				w, _ := server(m)
				c.unless(at(w.object, "spec", "replicas") == 3, "there are not")
				c.unless(w.spec.PriorityClassName != "" && m.find("PriorityClass/"+w.spec.PriorityClassName) != nil, "they have no priority")
				c.unless(w.spec.ShareProcessNamespace && len(w.spec.Containers) == 2, "nobody tells them of a new certificate")
			}),
			damage: []damage{
				{"prod", "StatefulSet/nats", []any{"spec", "replicas"}, 1},
				{"prod", "PriorityClass/orderflow-nats", nil, nil},
				{"prod", "StatefulSet/nats", podOf("shareProcessNamespace"), nil},
			},
		},
		{
			name: "every service sends its traces, to where the policies let it",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				for _, w := range m.workloads() {
					for _, a := range w.containers() {
						if !a.ours() || !w.runsOn || w.name() == "monitor" {
							continue
						}
						to, err := url.Parse(a.value(variableTraces))
						c.unless(err == nil && to.Scheme == "http" && strings.HasSuffix(to.Hostname(), ".monitoring") && to.Port() == "4318", "%s sends its traces to %q", w, a.value(variableTraces))
					}
				}
			}),
			damage: []damage{
				{"prod", "Deployment/order", containerOf("env", 0), map[string]any{"name": variableTraces, "value": "http://otel-collector.elsewhere:4318"}},
				{"prod", "Deployment/saga", containerOf("env", 0), map[string]any{"name": variableTraces, "value": "http://otel-collector.monitoring:4317"}},
			},
		},
		{
			name: "what answers requests is scaled, and by nobody else",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				scaled := map[string]bool{}
				for _, o := range m.of("HorizontalPodAutoscaler") {
					target := text(at(o, "spec", "scaleTargetRef", "kind")) + "/" + text(at(o, "spec", "scaleTargetRef", "name"))
					scaled[target] = true
					c.unless(at(m.find(target), "spec") != nil && at(m.find(target), "spec", "replicas") == nil, "%s has replicas of its own, or is not there", target)
					least, _ := at(o, "spec", "minReplicas").(int)
					c.unless(least >= 2, "%s may have one instance", target)
				}
				c.unless(scaled["Deployment/gateway"] && scaled["Deployment/order"] && scaled["Deployment/projector"], "%v are scaled", scaled)
			}),
			damage: []damage{
				{"prod", "Deployment/order", []any{"spec", "replicas"}, 2},
				{"prod", "HorizontalPodAutoscaler/gateway", nil, nil},
				{"prod", "HorizontalPodAutoscaler/gateway", []any{"spec", "minReplicas"}, 1},
			},
		},
		{
			name: "read models are shared, people sign in, and partners are real",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				for _, w := range m.workloads() {
					a := w.spec.Containers[0]
					switch w.name() {
					case "partners":
						c.unless(false, "there are scripted partners")
					case "projector":
						c.unless(strings.Contains(a.value("ORDERFLOW_DATABASE_URL"), "sslmode=verify-full") && !strings.Contains(a.value("ORDERFLOW_DATABASE_URL"), ":@"), "the database is %q", a.value("ORDERFLOW_DATABASE_URL"))
						database, err := url.Parse(a.value("ORDERFLOW_DATABASE_URL"))
						c.unless(err == nil && database.User != nil, "the database is not a URL with a user")
						if err == nil && database.User != nil {
							_, secret := database.User.Password()
							c.unless(!secret, "the password of the database is in a variable")
						}
					case "gateway":
						c.unless(a.value("ORDERFLOW_HTTP_WITHOUT_SIGN_IN") == "" && strings.HasPrefix(a.value("ORDERFLOW_JWT_ISSUER"), "https://"), "everybody is an operator")
					case "payment":
						c.unless(strings.HasPrefix(a.value("ORDERFLOW_PSP_URL"), "https://"), "the provider is asked at %q", a.value("ORDERFLOW_PSP_URL"))
						c.unless(w.mounts("partner-psp") == (a.value("ORDERFLOW_PSP_KEY_FILE") != ""), "the provider's key is there, and nobody reads it, or the other way round")
					case "shipping":
						c.unless(strings.HasPrefix(a.value("ORDERFLOW_CARRIER_URL"), "https://"), "the carrier is asked at %q", a.value("ORDERFLOW_CARRIER_URL"))
						c.unless(w.mounts("partner-carrier") == (a.value("ORDERFLOW_CARRIER_KEY_FILE") != ""), "the carrier's key is there, and nobody reads it, or the other way round")
					}
				}
			}),
			damage: []damage{
				{"prod", "Deployment/projector", containerOf("env", 0, "value"), "postgres://orderflow:secret@postgres/orderflow?sslmode=verify-full"},
				{"prod", "Deployment/projector", containerOf("env", 0, "value"), "postgres://orderflow@postgres/orderflow"},
				{"prod", "Deployment/gateway", containerOf("env", 0, "name"), "ORDERFLOW_HTTP_WITHOUT_SIGN_IN"},
				{"prod", "Deployment/payment", containerOf("env", 0, "value"), "http://partners:8090/psp/v1"},
				{"prod", "Deployment/payment", podOf("volumes"), nil}, // but the variables of the keys stay
				{"prod", "Deployment/shipping", podOf("volumes"), nil},
			},
		},
		{
			name: "a backup is taken every night, and the newest are kept",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				o := m.find("CronJob/backup")
				c.unless(len(strings.Fields(text(at(o, "spec", "schedule")))) == 5 && at(o, "spec", "concurrencyPolicy") == "Forbid", "the schedule is %v", at(o, "spec", "schedule"))
				for _, w := range m.workloads() {
					if w.String() != "CronJob/backup" {
						continue
					}
					a := w.spec.Containers[0]
					c.unless(len(a.Args) == 4 && slices.Equal(a.Args[:2], []string{"backup", "--keep"}), "it runs orderflow %q", a.Args)
					c.unless(len(a.Args) == 4 && slices.ContainsFunc(a.VolumeMounts, func(v mount) bool { return a.Args[3] == v.MountPath && !v.ReadOnly }), "the directory is not a volume")
					c.unless(m.find("PersistentVolumeClaim/backups") != nil, "there is no volume")
				}
			}),
			damage: []damage{
				{"prod", "CronJob/backup", []any{"spec", "concurrencyPolicy"}, nil},
				{"prod", "CronJob/backup", []any{"spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "args", 1}, "/backups/backup.tar"},
				{"prod", "CronJob/backup", []any{"spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "args", 3}, "/tmp"},
				{"prod", "PersistentVolumeClaim/backups", nil, nil},
			},
		},
		{
			name: "the ingress is encrypted, and any controller's",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				for _, o := range m.of("Ingress") {
					c.unless(at(o, "metadata", "annotations") == nil && at(o, "spec", "ingressClassName") == nil, "%s is for one controller", o)
					c.unless(text(at(o, "spec", "tls", 0, "secretName")) != "", "%s is not encrypted", o)
					for _, r := range decode[[]map[string]any](at(o, "spec", "rules")) {
						backend := at(r, "http", "paths", 0, "backend", "service")
						service := m.find("Service/" + text(at(backend, "name")))
						c.unless(at(service, "spec", "ports", 0, "name") == at(backend, "port", "name") && service != nil, "%s leads to %v", o, backend)
					}
				}
			}),
			damage: []damage{
				{"prod", "Ingress/gateway", []any{"spec", "ingressClassName"}, "nginx"},
				{"prod", "Ingress/webhooks", []any{"spec", "tls"}, nil},
				{"prod", "Service/payment", nil, nil},
			},
		},
		{
			name: "metrics are scraped, and alerts are there",
			broken: onlyProd(func(_ *testing.T, c *complaints, m manifests) {
				monitor, service := m.find("ServiceMonitor/orderflow"), m.find("Service/metrics")
				c.unless(decode[selector](at(monitor, "spec", "selector")).matches(decode[map[string]string](at(service, "metadata", "labels"))), "it is not of the service")
				port := text(at(monitor, "spec", "endpoints", 0, "port"))
				c.unless(at(monitor, "spec", "jobLabel") == label+"part-of", "the alerts do not find their job")
				c.unless(at(monitor, "spec", "endpoints", 0, "honorLabels") == true, "the label service of a metric becomes exported_service, for which no alert asks")
				groups, _ := at(m.find("PrometheusRule/orderflow"), "spec", "groups").([]any)
				c.unless(len(groups) > 0, "there are no alerts")
				c.unless(port != "" && at(service, "spec", "ports", 0, "name") == port, "it is not of its port")
				for _, w := range m.workloads() {
					if w.kind() != "Deployment" {
						continue
					}
					a := w.spec.Containers[0]
					c.unless(strings.HasSuffix(a.value("ORDERFLOW_METRICS"), ":"+a.portNamed("metrics")), "%s has its metrics elsewhere", w)
					c.unless((selector{decode[map[string]string](at(service, "spec", "selector"))}).matches(w.labels), "%s is not scraped", w)
				}
			}),
			damage: []damage{
				{"prod", "ServiceMonitor/orderflow", []any{"spec", "selector", "matchLabels"}, map[string]any{"app": "orderflow"}},
				{"prod", "ServiceMonitor/orderflow", []any{"spec", "endpoints", 0, "port"}, "http"},
				{"prod", "ServiceMonitor/orderflow", []any{"spec", "jobLabel"}, nil},
				{"prod", "ServiceMonitor/orderflow", []any{"spec", "endpoints", 0, "honorLabels"}, nil},
				{"prod", "PrometheusRule/orderflow", nil, nil},
				{"prod", "Service/metrics", []any{"spec", "selector"}, map[string]any{label + "name": "order"}},
			},
		},
	}
}
