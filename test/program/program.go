// Package program makes the programs that tests of the whole run as processes of their own.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// Program is one of them.
type Program struct {
	name  string   // its file's
	from  string   // the package of its main function
	flags []string // of "go run"
}

// Orderflow is the program of this repository, as it is released: without the race detector, which it has in the tests
// of cmd/orderflow.
func Orderflow() Program { return Program{name: "orderflow", from: "./cmd/orderflow"} }

// NATSServer is the nats-server of the version that the tests embed.
func NATSServer() Program {
	return Program{name: "nats-server", from: "github.com/nats-io/nats-server/v2"}
}

// OlderNATSServer is the nats-server of the oldest version on which the store works.
func OlderNATSServer() Program {
	return Program{name: "nats-server-older", from: "github.com/nats-io/nats-server/v2", flags: []string{"-modfile=test/chaos/older.mod"}}
}

// NATS is the NATS command line.
func NATS() Program {
	return Program{name: "nats", from: "github.com/nats-io/natscli/nats", flags: []string{"-modfile=tools.mod"}}
}

// Kustomize renders deploy/k8s.
func Kustomize() Program {
	return Program{name: "kustomize", from: "sigs.k8s.io/kustomize/kustomize/v5", flags: []string{"-modfile=deploy/k8s/kustomize.mod"}}
}

// Released is p as the file name, which says that it is of the version.
func (p Program) Released(name, version string) Program {
	p.name = name
	p.flags = append(p.flags[:len(p.flags):len(p.flags)], "-ldflags", "-X main.version="+version)
	return p
}

// Name is that of its file.
func (p Program) Name() string { return p.name }

// Build puts programs into the directory dir, each under its name. A program is linked once for everybody who
// wants it, as long as nothing of it changes: "go run" keeps it in Go's build cache, as "go build" does not.
// One process builds at a time, because two would compile the same, side by side.
func Build(ctx context.Context, dir string, programs ...Program) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	repository, cache, err := directories(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { // nothing may have been built yet
		return err
	}
	alone := flock.New(filepath.Join(cache, "orderflow-programs.lock"))
	if err := alone.Lock(); err != nil {
		return err
	}
	defer func() { _ = alone.Unlock() }()
	for _, p := range programs {
		args := append([]string{"run", "-exec", "cp"}, p.flags...) // what it runs is "cp PROGRAM FILE"
		cmd := exec.CommandContext(ctx, "go", append(args, p.from, filepath.Join(dir, p.name))...)
		cmd.Dir = repository
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", p.name, err, out)
		}
	}
	return nil
}

// directories are the repository's, in which the process's working directory is, and that of Go's build cache.
func directories(ctx context.Context) (repository, cache string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD", "GOCACHE").Output()
	if err != nil {
		return "", "", fmt.Errorf("go env GOMOD GOCACHE: %w", err)
	}
	mod, cache, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return filepath.Dir(mod), cache, nil
}

// Run builds programs, runs run with the directory that has them, and removes it. It is for TestMain, and returns the
// status to exit with: that of run, or 1 when something could not be built, which it says to standard error.
func Run(run func(dir string) int, programs ...Program) (status int) {
	dir, err := os.MkdirTemp("", "orderflow-programs-")
	if err == nil {
		if err = Build(context.Background(), dir, programs...); err == nil {
			status = run(dir)
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}
