//go:build apiserver

package k8s

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// kwok takes the place of the kubelets: it calls pods that are scheduled ready, those of Jobs complete, and lets go of those that are deleted.
// It runs nothing.
const kwok = "sigs.k8s.io/kwok@v0.8.0"

// stages are the files of kwok's module that say so.
var stages = []string{"node/fast/node-initialize.yaml", "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml", "pod/fast/pod-*.yaml"}

// controlled starts Kubernetes' controllers and scheduler.
func (c *cluster) controlled(t *testing.T) {
	t.Helper()
	admin := filepath.Join(c.dir, "admin.json")
	c.start(t, "kube-controller-manager", "--kubeconfig", admin, "--leader-elect=false", "--secure-port", "0",
		"--service-account-private-key-file", filepath.Join(c.dir, "accounts.key"), "--root-ca-file", filepath.Join(c.dir, "apiserver.crt"))
	c.start(t, "kube-scheduler", "--kubeconfig", admin, "--leader-elect=false", "--secure-port", "0")
}

// imagined makes three machines in three zones, and volumes that are claimed, but not made, by a class that is the default one.
func (c *cluster) imagined(t *testing.T) {
	t.Helper()
	c.start(t, "kwok", "--kubeconfig", filepath.Join(c.dir, "admin.json"), "--config", c.write(t, "kwok.yaml", kwokStages(t)), "--manage-all-nodes", "--node-lease-duration-seconds", "40")

	objects := `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disks", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
		"provisioner": "kubernetes.io/no-provisioner", "allowVolumeExpansion": false}`
	for i := range 3 {
		objects += fmt.Sprintf(`, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "machine-%d",
			"labels": {"kubernetes.io/hostname": "machine-%[1]d", "topology.kubernetes.io/zone": "zone-%[1]d"}}}`, i)
	}
	for i, size := range []string{"100Gi", "100Gi", "100Gi", "100Gi", "200Gi"} { // a server's may be lost
		objects += fmt.Sprintf(`, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-%d"}, "spec": {"capacity": {"storage": %q},
			"accessModes": ["ReadWriteOnce"], "storageClassName": "disks", "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"}}}`, i, size)
	}
	c.run(t, "kubectl apply --server-side -f "+c.write(t, "machines.json", objects+"]}"))
	c.run(t, "kubectl wait --for=condition=Ready node --all --timeout=5m")
}

// kwokStages is the configuration of kwok: what its module has for nodes and pods.
func kwokStages(t *testing.T) (config string) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", kwok)
	cmd.Dir = t.TempDir() // in no module, whose versions would count
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		t.Fatalf("go mod download %s: %v: %s", kwok, err, out)
	}
	for _, stage := range stages {
		files, _ := filepath.Glob(filepath.Join(module.Dir, "kustomize", "stage", filepath.FromSlash(stage))) // the pattern is well formed
		if len(files) == 0 {
			t.Fatalf("%s has no stage %s", kwok, stage)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config += "---\n" + string(text)
		}
	}
	return config
}

// availability is which pods of an app are ready, as the server tells it, change by change.
type availability struct {
	mu    sync.Mutex
	ready map[string]map[string]bool // by app and pod
	least map[string]int             // ready pods of an app, since it was last asked
}

// watch follows the pods until the test ends.
func (c *cluster) watch(t *testing.T) *availability {
	t.Helper()
	a := &availability{ready: map[string]map[string]bool{}, least: map[string]int{}}
	cmd := c.command("exec kubectl --namespace orderflow get pods --watch --output-watch-events --output json")
	changes, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	followed := make(chan error, 1)
	go func() { followed <- a.follow(changes) }()
	t.Cleanup(func() {
		select {
		case err := <-followed:
			t.Errorf("pods were not watched to the end: %v", err)
		default:
		}
		_ = cmd.Process.Kill() // it watches for ever
		_ = cmd.Wait()         // it was killed
	})
	return a
}

func (a *availability) follow(changes io.Reader) error {
	for decoder := json.NewDecoder(changes); ; {
		var change struct {
			Type   string
			Object object
		}
		if err := decoder.Decode(&change); err != nil {
			return errors.Join(errors.New("the watch has ended"), err)
		}
		ready := change.Type != "DELETED" && at(change.Object, "metadata", "deletionTimestamp") == nil
		conditions, _ := at(change.Object, "status", "conditions").([]any)
		is := false
		for _, condition := range conditions {
			is = is || at(condition, "type") == "Ready" && at(condition, "status") == "True"
		}
		a.is(text(at(change.Object, "metadata", "labels", "app.kubernetes.io/name")), change.Object.name(), ready && is)
	}
}

func (a *availability) is(app, pod string, ready bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready[app] == nil {
		a.ready[app] = map[string]bool{}
	}
	if a.ready[app][pod] = ready; !ready {
		delete(a.ready[app], pod)
	}
	if n := len(a.ready[app]); n < a.least[app] {
		a.least[app] = n
	}
}

// begin forgets what was least: from now on.
func (a *availability) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.least = map[string]int{}
	for app, pods := range a.ready {
		a.least[app] = len(pods)
	}
}

// fewest is how many pods of an app were ready at least, since begin.
func (a *availability) fewest(app string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.least[app]
}

// all waits until so many pods of an app are ready.
func (a *availability) all(t *testing.T, app string, want int) {
	t.Helper()
	program.Until(t, patience, fmt.Sprintf("%d pods of %s are ready", want, app), func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.ready[app]) == want
	})
}

// edit replaces what a file of the deployment has, everywhere in it, as an administrator does with an editor.
func (c *cluster) edit(t *testing.T, path, was, is string) {
	t.Helper()
	path = filepath.Join(c.dir, filepath.FromSlash(path))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), was) {
		t.Fatalf("%s has no %q", path, was)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), was, is)), 0o600); err != nil {
		t.Fatal(err)
	}
}
