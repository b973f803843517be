package k8s

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// setting is the value of a line of nats.conf.
func setting(t *testing.T, name string) string {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join("..", "nats", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ *` + name + `: "?([^"\n]*)"?$`).FindSubmatch(conf)
	if found == nil {
		t.Fatalf("nats.conf does not say %s", name)
	}
	return string(found[1])
}

// server is the StatefulSet of NATS, and its container.
func server(m manifests) (w workload, nats container) {
	for _, w := range m.workloads() {
		for _, a := range w.spec.Containers {
			if w.String() == "StatefulSet/nats" && a.Name == "nats" {
				return w, a
			}
		}
	}
	return w, nats
}

// eventsMax is how many bytes events may take that a container provisions, 0 if that is no number: the command takes no unit, and
// has a default for what is not set.
func eventsMax(a container) int64 {
	value := cmp.Or(a.value("ORDERFLOW_EVENTS_MAX_BYTES"), "1073741824") // cmd/orderflow/settings.go
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func natsRules() []rule {
	return []rule{
		{
			name: "a server is asked for its own health, and has time to read its store",
			broken: func(_ *testing.T, m manifests) (c []string) {
				_, nats := server(m)
				check := (*complaints)(&c)
				for _, p := range []probe{nats.StartupProbe, nats.ReadinessProbe} {
					check.unless(p.HTTPGet.Path == "/healthz?js-server-only=true", "it is asked at %q", p.HTTPGet.Path)
				}
				check.unless(nats.LivenessProbe.HTTPGet.Path == "/healthz?js-enabled-only=true", "whether it is alive is asked at %q", nats.LivenessProbe.HTTPGet.Path)
				check.unless(nats.StartupProbe.seconds() >= starting, "it is started anew after %d s", nats.StartupProbe.seconds())
				return c
			},
			damage: []damage{
				{"dev", "StatefulSet/nats", containerOf("startupProbe", "httpGet", "path"), "/healthz"},
				{"dev", "StatefulSet/nats", containerOf("livenessProbe", "httpGet", "path"), "/healthz?js-server-only=true"},
				{"dev", "StatefulSet/nats", containerOf("startupProbe", "failureThreshold"), 10},
			},
		},
		{
			name: "a server sends its clients away before it stops",
			broken: func(t *testing.T, m manifests) (c []string) {
				w, nats := server(m)
				check := (*complaints)(&c)
				lame, err := strconv.Atoi(strings.TrimSuffix(setting(t, "lame_duck_duration"), "s"))
				if err != nil {
					t.Fatal(err)
				}
				check.unless(w.spec.TerminationGracePeriodSeconds >= lame+20, "it is killed after %d s", w.spec.TerminationGracePeriodSeconds)
				stop := nats.Lifecycle.PreStop.Exec.Command
				pid := slices.Index(nats.Command, "-P")
				check.unless(pid > 0 && slices.Equal(stop, []string{"nats-server", "--signal", "ldm=" + nats.Command[pid+1]}), "it is stopped by %q", stop)
				check.unless(slices.ContainsFunc(nats.VolumeMounts, func(v mount) bool {
					return pid > 0 && v.MountPath == filepath.Dir(nats.Command[pid+1]) && !v.ReadOnly
				}), "it cannot write its process id")
				return c
			},
			damage: []damage{
				{"dev", "StatefulSet/nats", podOf("terminationGracePeriodSeconds"), 30},
				{"dev", "StatefulSet/nats", containerOf("lifecycle"), nil},
				{"dev", "StatefulSet/nats", containerOf("volumeMounts", 2, "mountPath"), "/tmp"},
			},
		},
		{
			name: "what is acknowledged is on a disk that is larger than the store",
			broken: func(t *testing.T, m manifests) (c []string) {
				w, nats := server(m)
				check := (*complaints)(&c)
				claim := at(w.object, "spec", "volumeClaimTemplates", 0)
				volume := text(at(claim, "metadata", "name"))
				disk, limit := quantity(text(at(claim, "spec", "resources", "requests", "storage"))), quantity(nats.value("NATS_MAX_FILE_STORE"))
				check.unless(limit > 0 && disk*85 >= limit*100, "the store may have %d bytes, and the disk has %d", limit, disk)
				stored := false
				for _, mount := range nats.VolumeMounts {
					stored = stored || mount.Name == volume && volume != "" && mount.MountPath == setting(t, "store_dir") && !mount.ReadOnly
				}
				check.unless(stored, "the store is not on the claimed volume")
				check.unless(setting(t, "sync_interval") == "always" && setting(t, "max_file_store") == "$NATS_MAX_FILE_STORE", "the configuration of the store is another one")
				check.unless(text(at(m.find("ConfigMap/nats-config"), "data", "nats.conf")) != "", "there is no configuration")
				replicas, _ := at(w.object, "spec", "replicas").(int)
				for _, p := range m.workloads() {
					if p.String() == "Job/provision" {
						a := p.spec.Containers[0]
						check.unless(a.value("ORDERFLOW_REPLICAS") == itoa(replicas), "streams have %q copies on %d servers", a.value("ORDERFLOW_REPLICAS"), replicas)
						events := eventsMax(a)
						check.unless(events > 0, "events may take %q bytes", a.value("ORDERFLOW_EVENTS_MAX_BYTES"))
						check.unless(events < limit*2/3, "events may take all of the store, and snapshots, of five services a sixteenth of them each, have no room")
					}
				}
				return c
			},
			damage: []damage{
				{"dev", "StatefulSet/nats", containerOf("env", 1, "value"), "5GB"},
				{"dev", "StatefulSet/nats", containerOf("env", 1, "value"), "much"},
				{"dev", "StatefulSet/nats", containerOf("volumeMounts", 0, "mountPath"), "/store"},
				{"dev", "StatefulSet/nats", []any{"spec", "replicas"}, 3},
				{"dev", "ConfigMap/nats-config", []any{"data", "nats.conf"}, nil},
				{"dev", "StatefulSet/nats", containerOf("env", 1, "value"), "1GB"}, // too little for events that have no limit of their own
				{"prod", "Job/provision", containerOf("env", 0, "value"), "1"},
				{"prod", "Job/provision", containerOf("env", 1, "value"), "32000000000"},
				{"prod", "Job/provision", containerOf("env", 1, "value"), "0"},
				{"prod", "Job/provision", containerOf("env", 1, "value"), "much"},
				{"prod", "Job/provision", containerOf("env", 1, "value"), "20Gi"}, // which the command does not take
			},
		},
		{
			name: "servers find each other before they are ready, and start together",
			broken: func(_ *testing.T, m manifests) (c []string) {
				w, nats := server(m)
				check := (*complaints)(&c)
				headless := m.find("Service/" + text(at(w.object, "spec", "serviceName")))
				check.unless(at(headless, "spec", "clusterIP") == "None" && at(headless, "spec", "publishNotReadyAddresses") == true, "they do not")
				check.unless(at(w.object, "spec", "podManagementPolicy") == "Parallel", "the second waits for the first")
				replicas, _ := at(w.object, "spec", "replicas").(int)
				routes := strings.Count(nats.value("NATS_ROUTES"), "nats-headless:6222")
				check.unless(replicas == 1 && routes == 0 || replicas == routes, "%d servers have %d routes", replicas, routes)
				return c
			},
			damage: []damage{
				{"dev", "Service/nats-headless", []any{"spec", "publishNotReadyAddresses"}, nil},
				{"dev", "StatefulSet/nats", []any{"spec", "podManagementPolicy"}, nil},
				{"dev", "StatefulSet/nats", []any{"spec", "replicas"}, 3},
				{"prod", "StatefulSet/nats", []any{"spec", "replicas"}, 5},
			},
		},
	}
}
