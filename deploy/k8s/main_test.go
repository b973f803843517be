// Package k8s holds the manifests, and checks of what they render to that need no cluster; the tag apiserver has those with a
// real API server, and with the tag kubelet as well pods run.
package k8s

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 5 * time.Minute

// bin has orderflow, kustomize and nats-server, and tree a copy of deploy with keys of its own.
var bin, tree string

func TestMain(m *testing.M) {
	os.Exit(program.Run(func(dir string) int {
		bin, tree = dir, filepath.Join(dir, "deploy")
		if err := plant(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}, program.Orderflow(), program.NATSServer(), program.Kustomize()))
}

// readme tells how it is deployed. What it says is what tests run.
var readme = filepath.Join("..", "README.md")

// plant makes tree.
func plant() error {
	for _, dir := range []string{"nats", "k8s"} {
		if err := os.CopyFS(filepath.Join(tree, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			return err
		}
	}
	if out, err := exec.Command(filepath.Join(bin, "orderflow"), "keys", filepath.Join(tree, "secrets")).CombinedOutput(); err != nil {
		return fmt.Errorf("orderflow keys: %w: %s", err, out)
	}
	return nil
}

// overlays are all that there are.
var overlays = []string{"dev", "prod"}

var rendered sync.Map // overlay to manifests

// render makes the manifests of an overlay.
func render(t *testing.T, overlay string) manifests {
	t.Helper()
	made, ok := rendered.Load(overlay)
	if !ok {
		cmd := exec.Command(filepath.Join(bin, "kustomize"), "build", filepath.Join(tree, "k8s", "overlays", overlay))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s cannot be rendered: %v\n%s", overlay, err, stderr.String())
		}
		if warned := stderr.String(); warned != "" {
			t.Errorf("kustomize has said of %s: %s", overlay, warned)
		}
		made, _ = rendered.LoadOrStore(overlay, parse(t, overlay, string(out)))
	}
	return made.(manifests).copy()
}
