//go:build apiserver && kubelet

package k8s

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// process is the first one of a container that runs.
type process struct {
	pod string
	id  int
}

// processes are those of an app's containers.
func (c *cluster) processes(t *testing.T, app string) (all []process) {
	t.Helper()
	tasks := map[string]string{} // container to process
	for line := range strings.Lines(c.run(t, "ctr --namespace k8s.io tasks ls")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] != "STOPPED" {
			tasks[fields[0]] = fields[1]
		}
	}
	pods := c.pods(t, app, `{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID}{"\n"}{end}`)
	for line := range strings.Lines(pods) {
		pod, container, _ := strings.Cut(strings.TrimSpace(line), " containerd://")
		if id, err := strconv.Atoi(tasks[container]); err == nil {
			all = append(all, process{pod, id})
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no process: %s", app, pods)
	}
	return all
}

// pods asks for something of an app's pods.
func (c *cluster) pods(t *testing.T, app, jsonpath string) string {
	t.Helper()
	return c.run(t, "kubectl -n orderflow get pods -l app.kubernetes.io/name="+app+" -o 'jsonpath="+jsonpath+"'")
}

// restarts is how often the containers of an app's pods were started again.
func (c *cluster) restarts(t *testing.T, app string) (n int) {
	t.Helper()
	for _, count := range strings.Fields(c.pods(t, app, "{.items[*].status.containerStatuses[*].restartCount}")) {
		restarts, err := strconv.Atoi(count)
		if err != nil {
			t.Fatal(err)
		}
		n += restarts
	}
	return n
}

// signal tells all processes of an app something, and waits until the kubelet has started each again, whatever has become of the
// old one.
func (c *cluster) signal(t *testing.T, app string, signal syscall.Signal) {
	t.Helper()
	before, all := c.restarts(t, app), c.processes(t, app)
	for _, p := range all {
		if err := syscall.Kill(p.id, signal); err != nil {
			t.Fatalf("%s to %s: %v", signal, p.pod, err)
		}
	}
	program.Until(t, patience, app+" is started again", func() bool { return c.restarts(t, app) >= before+len(all) })
}

// ready waits until all pods are.
func (c *cluster) ready(t *testing.T) {
	t.Helper()
	c.run(t, "kubectl -n orderflow rollout status statefulset/nats --timeout=5m")
	for _, app := range append(slices.Sorted(maps.Keys(services)), "partners") {
		c.run(t, "kubectl -n orderflow rollout status deployment/"+app+" --timeout=5m")
	}
}

// restricted checks what a process may do, as the kernel tells it, and what it finds in its files.
func (p process) restricted(t *testing.T) {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(p.id))
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	status := read("status")
	for field, want := range map[string]string{
		"Uid": "65532\t65532\t65532\t65532", "Gid": "65532\t65532\t65532\t65532", "Groups": "65532( 65532)*",
		"CapInh": "0+", "CapPrm": "0+", "CapEff": "0+", "CapBnd": "0+", "CapAmb": "0+", "NoNewPrivs": "1", "Seccomp": "2", // a filter
	} {
		if !regexp.MustCompile(`(?m)^` + field + `:\t` + want + ` *$`).MatchString(status) {
			t.Errorf("%s: %s is not %s:\n%s", p.pod, field, want, status)
		}
	}
	if !regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ / ro[, ]`).MatchString(read("mountinfo")) {
		t.Errorf("%s can write to its root: %s", p.pod, read("mountinfo"))
	}
	if _, err := os.Stat(filepath.Join(dir, "root/var/run/secrets/kubernetes.io")); !os.IsNotExist(err) {
		t.Errorf("%s has a token of a service account: %v", p.pod, err)
	}
	if strings.Contains(read("environ"), "GATEWAY_SERVICE_HOST") {
		t.Errorf("%s has links to services", p.pod)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "root/run/secrets/*/[a-z]*")) // the pattern is well formed
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%o of %d:%d", info.Mode().Perm(), owner.Uid, owner.Gid); got != "440 of 0:65532" { // by fsGroup
			t.Errorf("%s: %s is %s, want it for root and the group alone", p.pod, file, got)
		}
	}
	if nats := strings.HasPrefix(p.pod, "nats-"); nats != (len(files) == 0) {
		t.Errorf("%s has the secrets %v", p.pod, files)
	}
}
