// Package k8s holds the manifests, and checks of what they render to that need no cluster; apiserver has those with a
// real API server.
package k8s

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// bin has orderflow, kustomize and nats-server, and tree a copy of deploy with keys of its own.
var bin, tree string

func TestMain(m *testing.M) {
	status, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func prepare(m *testing.M) (status int, err error) {
	work, err := os.MkdirTemp("", "orderflow-k8s-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	bin, tree = filepath.Join(work, "bin"), filepath.Join(work, "deploy")
	root := filepath.Join("..", "..")
	program := []string{"build", "-o", filepath.Join(bin, "orderflow")}
	if raceEnabled { // what is built already
		program = append(program, "-race")
	}
	for _, args := range [][]string{
		append(program, "./cmd/orderflow"),
		{"build", "-o", filepath.Join(bin, "nats-server"), "github.com/nats-io/nats-server/v2"},
		{"build", "-modfile=deploy/k8s/kustomize.mod", "-o", filepath.Join(bin, "kustomize"), "sigs.k8s.io/kustomize/kustomize/v5"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("go %v: %w", args, err)
		}
	}
	for _, dir := range []string{"nats", "k8s"} {
		if err := os.CopyFS(filepath.Join(tree, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			return 0, err
		}
	}
	if out, err := exec.Command(filepath.Join(bin, "orderflow"), "keys", filepath.Join(tree, "secrets")).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("orderflow keys: %w: %s", err, out)
	}
	return m.Run(), nil
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
