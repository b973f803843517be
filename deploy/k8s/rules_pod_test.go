package k8s

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

const (
	// handling is more than anything takes that a service finishes when it is told to stop: see stop_grace_period in docker-compose.yml.
	handling = 30
	// starting is how long reading a large store may take before somebody starts anew.
	starting = 15 * 60
	secrets  = "/run/secrets/"
)

var (
	exact    = regexp.MustCompile(`^[a-z0-9./-]+(:[0-9]+)?(/[a-z0-9./-]+)?:v?[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?$`)
	bySecret = regexp.MustCompile(`NKEY|CREDS|SECRET|PASS|TOKEN|_KEY(_FILE)?$`)
)

// everyContainer makes a rule of what holds for each container.
func everyContainer(check func(c *complaints, w workload, a container)) func(*testing.T, manifests) []string {
	return func(_ *testing.T, m manifests) (c []string) {
		for _, w := range m.workloads() {
			for _, a := range w.containers() {
				var wrong complaints
				check(&wrong, w, a)
				for _, text := range wrong {
					c = append(c, w.String()+": "+a.Name+": "+text)
				}
			}
		}
		return c
	}
}

// everyPod makes a rule of what holds for each kind of pod.
func everyPod(check func(c *complaints, w workload)) func(*testing.T, manifests) []string {
	return func(_ *testing.T, m manifests) (c []string) {
		for _, w := range m.workloads() {
			var wrong complaints
			check(&wrong, w)
			for _, text := range wrong {
				c = append(c, w.String()+": "+text)
			}
		}
		return c
	}
}

func podRules() []rule {
	return []rule{
		{
			name: "images have an exact version",
			broken: func(t *testing.T, m manifests) []string {
				return everyContainer(func(c *complaints, _ workload, a container) {
					local := m.overlay == "dev" && a.Image == "orderflow:dev" // built here
					c.unless(local || exact.MatchString(a.Image), "the image is %q", a.Image)
				})(t, m)
			},
			damage: []damage{
				{"dev", "Deployment/order", containerOf("image"), "orderflow:latest"},
				{"dev", "StatefulSet/nats", containerOf("image"), "nats"},
				{"dev", "StatefulSet/nats", containerOf("image"), "nats:2"},
				{"prod", "Deployment/order", containerOf("image"), "orderflow:dev"},
			},
		},
		{
			name: "nothing has rights that it does not need",
			broken: everyContainer(func(c *complaints, w workload, a container) {
				pod, own := w.spec.SecurityContext, a.SecurityContext
				c.unless(pod.RunAsNonRoot && pod.RunAsUser > 0 && own.RunAsUser == 0, "it may run as root")
				c.unless(pod.FSGroup > 0, "it could not read its secrets")
				c.unless(pod.SeccompProfile.Type == "RuntimeDefault" && own.SeccompProfile.Type == "", "no seccomp profile")
				c.unless(!own.Privileged && own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation, "it may gain privileges")
				c.unless(slices.Equal(own.Capabilities.Drop, []string{"ALL"}) && len(own.Capabilities.Add) == 0, "it has capabilities")
				c.unless(own.ReadOnlyRootFilesystem, "its file system can be written")
				c.unless(!w.spec.HostNetwork && !w.spec.HostPID && !w.spec.HostIPC, "it is in a namespace of the host")
				for _, v := range w.spec.Volumes {
					c.unless(v.HostPath == nil, "it has a directory of the host")
				}
			}),
			damage: []damage{
				{"dev", "Deployment/order", podOf("securityContext", "runAsNonRoot"), nil},
				{"dev", "Deployment/order", podOf("securityContext", "fsGroup"), nil},
				{"dev", "Deployment/partners", podOf("securityContext", "seccompProfile", "type"), "Unconfined"},
				{"dev", "StatefulSet/nats", containerOf("securityContext", "allowPrivilegeEscalation"), nil},
				{"dev", "Job/provision", containerOf("securityContext", "capabilities", "drop"), []any{"NET_RAW"}},
				{"dev", "Deployment/saga", containerOf("securityContext", "readOnlyRootFilesystem"), false},
				{"dev", "Deployment/saga", podOf("hostPID"), true},
				{"dev", "Deployment/saga", podOf("volumes", 0, "hostPath"), map[string]any{"path": "/"}},
			},
		},
		{
			name: "nothing has a key of the API server, or the addresses of all services",
			broken: everyPod(func(c *complaints, w workload) {
				token, links := w.spec.AutomountServiceAccountToken, w.spec.EnableServiceLinks
				c.unless(token != nil && !*token, "it has a service account's token")
				c.unless(links != nil && !*links, "it has links to services")
			}),
			damage: []damage{
				{"dev", "Deployment/order", podOf("automountServiceAccountToken"), nil},
				{"dev", "StatefulSet/nats", podOf("enableServiceLinks"), true},
			},
		},
		{
			name: "what is asked for is what may be taken, and Go knows it",
			broken: everyContainer(func(c *complaints, _ workload, a container) {
				for _, resource := range []string{"cpu", "memory"} {
					request, limit := a.Resources.Requests[resource], a.Resources.Limits[resource]
					c.unless(request != "" && request == limit, "it asks for %s of %q and is limited to %q", resource, request, limit)
				}
				memory, heap := quantity(a.Resources.Limits["memory"]), quantity(a.value("GOMEMLIMIT"))
				shell := len(a.Command) > 0 && a.Command[0] == "sh"
				c.unless(shell || heap*100 >= memory*79 && heap*100 <= memory*81, "GOMEMLIMIT is %q, which is not four fifths of %q", a.value("GOMEMLIMIT"), a.Resources.Limits["memory"])
			}),
			damage: []damage{
				{"dev", "Deployment/order", containerOf("resources", "limits", "memory"), "512Mi"},
				{"dev", "Deployment/order", containerOf("resources", "requests", "cpu"), nil},
				{"dev", "StatefulSet/nats", containerOf("resources"), map[string]any{"requests": map[string]any{"cpu": "1", "memory": "4Gi"}, "limits": map[string]any{"cpu": "1", "memory": "4Gi"}}},
			},
		},
		{
			name: "secrets are files, of their owner alone",
			broken: everyPod(func(c *complaints, w workload) {
				mounted := map[string]bool{}
				for _, v := range w.spec.Volumes {
					if name := v.Secret.SecretName; name != "" {
						c.unless(v.Secret.DefaultMode == 0o400, "the files of %s have the mode %o", name, v.Secret.DefaultMode)
						c.unless(mayHave(w, name), "it has the secret %s of another", name)
					}
					for _, s := range v.Projected.Sources {
						authority := s.Secret.Name == "nats-tls" && len(s.Secret.Items) == 1 && s.Secret.Items[0].Key == "ca.crt"
						c.unless(s.Secret.Name == "" || authority, "it has more of %s than it needs", s.Secret.Name)
					}
				}
				for _, a := range w.containers() {
					c.unless(len(a.EnvFrom) == 0, "%s has variables that are not listed", a.Name)
					for _, mount := range a.VolumeMounts {
						mounted[mount.MountPath+"/"] = true
					}
					for _, v := range a.Env {
						_, isSecret := v.ValueFrom["secretKeyRef"]
						c.unless(!isSecret, "%s is a secret in a variable", v.Name)
						file := strings.HasPrefix(v.Value, secrets) && mounted[v.Value[:strings.LastIndex(v.Value, "/")+1]]
						c.unless(file || !bySecret.MatchString(v.Name), "%s is not a file of a secret that is mounted", v.Name)
					}
				}
			}),
			damage: []damage{
				{"dev", "Deployment/order", podOf("volumes", 0, "secret", "defaultMode"), 0o440},
				{"dev", "Deployment/order", podOf("volumes", 0, "secret", "secretName"), "saga-key-59h2chkgt5"},
				{"dev", "Deployment/order", podOf("volumes", 0, "secret", "secretName"), "webhook-secret-59h2chkgt5"},
				{"prod", "Deployment/gateway", podOf("volumes", 0, "secret"), map[string]any{"secretName": "postgres", "defaultMode": 0o400}},
				{"prod", "Deployment/shipping", podOf("volumes", 0, "secret"), map[string]any{"secretName": "partner-psp", "defaultMode": 0o400}},
				{"prod", "Deployment/payment", podOf("volumes", 0, "secret"), map[string]any{"secretName": "partner-carrier", "defaultMode": 0o400}},
				{"prod", "Deployment/payment", containerOf("env", 0), map[string]any{"name": "ORDERFLOW_PSP_KEY_FILE", "value": "sk_live_of_nobody"}},
				{"prod", "CronJob/backup", []any{"spec", "jobTemplate", "spec", "template", "spec", "volumes", 0}, map[string]any{"name": "of-a-new-kind", "secret": map[string]any{"secretName": "psp-token", "defaultMode": 0o400}}},
				{"prod", "Deployment/order", podOf("volumes", 0), map[string]any{"name": "nats-ca", "projected": map[string]any{"sources": []any{map[string]any{"secret": map[string]any{"name": "nats-tls", "items": []any{map[string]any{"key": "tls.key", "path": "ca.crt"}}}}}}}},
				{"dev", "Deployment/order", containerOf("envFrom"), []any{map[string]any{"secretRef": map[string]any{"name": "order-key"}}}},
				{"dev", "Deployment/order", containerOf("env", 1), map[string]any{"name": "ORDERFLOW_NATS_NKEY", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "order-key"}}}},
				{"dev", "Deployment/order", containerOf("env", 1), map[string]any{"name": "ORDERFLOW_NATS_NKEY", "value": "SUABC"}},
				{"dev", "Deployment/order", containerOf("volumeMounts", 0, "mountPath"), "/elsewhere"},
			},
		},
		{
			name: "every variable is one that the command knows",
			broken: func(t *testing.T, m manifests) []string {
				return everyContainer(func(c *complaints, _ workload, a container) {
					var known []string
					if a.ours() {
						if c.unless(len(a.Args) > 0, "it has no command"); len(a.Args) == 0 {
							return
						}
						known = program.Variables(filepath.Join(bin, "orderflow"), a.Args[0])
						c.unless(len(known) > 0, "%q is no command of orderflow", a.Args[0])
					}
					for _, v := range a.Env {
						switch {
						case strings.HasPrefix(v.Name, "ORDERFLOW_"):
							c.unless(slices.Contains(known, v.Name), "orderflow %v has no variable %s", a.Args, v.Name)
						default:
							c.unless(slices.Contains([]string{"GOMEMLIMIT", "NATS_SERVER_NAME", "NATS_MAX_FILE_STORE", "NATS_ROUTES", "PGPASSFILE", variableTraces}, v.Name), "nobody knows the variable %s", v.Name)
						}
					}
				})(t, m)
			},
			damage: []damage{
				{"dev", "Deployment/order", containerOf("args"), []any{"orders-and-more"}},
				{"dev", "Deployment/order", containerOf("env", 0, "name"), "ORDERFLOW_PSP_URL"},
				{"dev", "Deployment/order", containerOf("env", 0, "name"), "NATS_URL"},
			},
		},
		{
			name: "a service is started, alive and ready, each by a question of its own",
			broken: everyContainer(func(c *complaints, w workload, a container) {
				if !w.runsOn || !a.ours() {
					return
				}
				start, live, ready := a.StartupProbe, a.LivenessProbe, a.ReadinessProbe
				c.unless(start.HTTPGet.Path == "/livez" && live.HTTPGet.Path == "/livez", "whether it is alive is asked at %q and %q", start.HTTPGet.Path, live.HTTPGet.Path)
				c.unless(ready.HTTPGet.Path == "/readyz", "whether it is ready is asked at %q", ready.HTTPGet.Path)
				for _, p := range []probe{start, live, ready} {
					c.unless(p.HTTPGet.Port == "http" && a.portNamed("http") == "8080" && strings.HasSuffix(a.value("ORDERFLOW_HTTP"), ":8080"), "it is not asked where it answers")
				}
				partners := w.name() == "partners"
				c.unless(partners || start.seconds() >= starting, "it is started anew after %d s", start.seconds())
				c.unless(live.seconds() >= 30 && ready.seconds() <= 30, "it is alive after %d s and ready after %d s without an answer", live.seconds(), ready.seconds())
			}),
			damage: []damage{
				{"dev", "Deployment/order", containerOf("livenessProbe", "httpGet", "path"), "/readyz"},
				{"dev", "Deployment/order", containerOf("readinessProbe"), nil},
				{"dev", "Deployment/projector", containerOf("startupProbe", "failureThreshold"), 3},
				{"dev", "Deployment/order", containerOf("ports", 0, "containerPort"), 8081},
				{"dev", "Deployment/order", containerOf("readinessProbe", "failureThreshold"), 100},
			},
		},
		{
			name: "a service is replaced without being away, and finishes what it has begun",
			broken: everyPod(func(c *complaints, w workload) {
				if w.kind() != "Deployment" {
					return
				}
				for _, a := range w.containers() {
					stop := a.Lifecycle.PreStop.Sleep.Seconds
					c.unless(stop >= 5, "%s stops before nobody asks it any more", a.Name)
					c.unless(w.spec.TerminationGracePeriodSeconds > stop+handling, "it is killed after %d s", w.spec.TerminationGracePeriodSeconds)
				}
				if at(w.object, "spec", "replicas") == 1 { // of which there can be one only
					return
				}
				ready, _ := at(w.object, "spec", "minReadySeconds").(int)
				c.unless(ready > 0, "the next one stops as soon as a new one is ready")
				c.unless(at(w.object, "spec", "strategy", "rollingUpdate", "maxUnavailable") == 0, "one stops before its successor is ready")
			}),
			damage: []damage{
				{"dev", "Deployment/order", podOf("terminationGracePeriodSeconds"), 35},
				{"dev", "Deployment/order", containerOf("lifecycle"), nil},
				{"dev", "Deployment/order", []any{"spec", "strategy", "rollingUpdate", "maxUnavailable"}, 1},
				{"dev", "Deployment/order", []any{"spec", "minReadySeconds"}, nil},
			},
		},
		{
			name: "what it was before is kept, for a few changes",
			broken: everyPod(func(c *complaints, w workload) {
				if !w.runsOn {
					return
				}
				history, _ := at(w.object, "spec", "revisionHistoryLimit").(int)
				c.unless(history > 0 && history <= 5, "it keeps %d old revisions", history)
			}),
			damage: []damage{
				{"dev", "Deployment/order", []any{"spec", "revisionHistoryLimit"}, nil},
				{"prod", "Deployment/gateway", []any{"spec", "revisionHistoryLimit"}, 0},
				{"dev", "StatefulSet/nats", []any{"spec", "revisionHistoryLimit"}, nil},
				{"prod", "StatefulSet/nats", []any{"spec", "revisionHistoryLimit"}, 10},
			},
		},
		{
			name: "of a service there are two, unless what it has is its own",
			broken: everyPod(func(c *complaints, w workload) {
				if w.kind() != "Deployment" {
					return
				}
				replicas, strategy := at(w.object, "spec", "replicas"), at(w.object, "spec", "strategy", "type")
				switch own := w.name() == "projector" && w.spec.Containers[0].value("ORDERFLOW_DATABASE_URL") == ""; {
				case own || w.name() == "partners":
					c.unless(replicas == 1 && strategy == "Recreate", "there are %v, by %v", replicas, strategy)
				case w.name() == "monitor":
					c.unless(replicas == 1 && strategy == "RollingUpdate", "there are %v, by %v", replicas, strategy)
				default: // nil where an autoscaler decides
					c.unless((replicas == nil || replicas == 2) && strategy == "RollingUpdate", "there are %v, by %v", replicas, strategy)
				}
			}),
			damage: []damage{
				{"dev", "Deployment/order", []any{"spec", "replicas"}, 1},
				{"dev", "Deployment/projector", []any{"spec", "replicas"}, 2},
				{"dev", "Deployment/projector", []any{"spec", "strategy", "type"}, "RollingUpdate"},
				{"prod", "Deployment/projector", []any{"spec", "strategy", "type"}, "Recreate"},
			},
		},
		{
			name: "instances are on different machines, and not drained together",
			broken: func(t *testing.T, m manifests) []string {
				budgets := m.of("PodDisruptionBudget")
				return everyPod(func(c *complaints, w workload) {
					if !w.runsOn {
						return
					}
					found := 0
					for _, b := range budgets {
						if decode[selector](at(b, "spec", "selector")).matches(w.labels) {
							found++
							c.unless(at(b, "spec", "maxUnavailable") == 1, "its budget is not one")
						}
					}
					c.unless(found == 1, "it has %d budgets", found)
					if replicas := at(w.object, "spec", "replicas"); replicas == 1 {
						return
					}
					for _, over := range []string{"kubernetes.io/hostname", "topology.kubernetes.io/zone"} {
						spread := false
						for _, s := range w.spec.TopologySpreadConstraints {
							spread = spread || s.TopologyKey == over && s.LabelSelector.matches(w.labels) && len(s.LabelSelector.MatchLabels) > 0 &&
								(w.kind() != "StatefulSet" || over != "kubernetes.io/hostname" || s.WhenUnsatisfiable == "DoNotSchedule")
						}
						c.unless(spread, "it is not spread over %s", over)
					}
				})(t, m)
			},
			damage: []damage{
				{"dev", "PodDisruptionBudget/order", nil, nil},
				{"dev", "PodDisruptionBudget/order", []any{"spec", "maxUnavailable"}, 2},
				{"dev", "PodDisruptionBudget/order", []any{"spec", "selector", "matchLabels"}, map[string]any{"app.kubernetes.io/name": "orders"}},
				{"dev", "Deployment/order", podOf("topologySpreadConstraints"), nil},
				{"prod", "StatefulSet/nats", podOf("topologySpreadConstraints", 0, "whenUnsatisfiable"), "ScheduleAnyway"},
				{"dev", "Deployment/order", podOf("topologySpreadConstraints", 0, "labelSelector", "matchLabels"), map[string]any{"app": "order"}},
			},
		},
	}
}

// sharedSecrets are those that are not one user's key, each with who may have it.
var sharedSecrets = map[string][]string{
	"webhook-secret": {"payment", "shipping", "partners"},
	"postgres":       {"projector"},
	"nats-tls":       {"nats"}, // of which others have the certificate of its authority alone
	// What partners know us by.
	"partner-psp":     {"payment"},
	"partner-carrier": {"shipping"},
}

// mayHave tells whether a pod may have all of a secret. A key is of the user it is named for.
func mayHave(w workload, secret string) bool {
	secret = hashed.ReplaceAllString(secret, "")
	if user, isKey := strings.CutSuffix(secret, "-key"); isKey {
		return user == w.name()
	}
	return slices.Contains(sharedSecrets[secret], w.name())
}

// portNamed is the number of a port, as text.
func (c container) portNamed(name string) string {
	for _, p := range c.Ports {
		if p.Name == name {
			return itoa(p.ContainerPort)
		}
	}
	return ""
}
