// Package e2e tests the whole system from outside: the program as a process of
// its own, commands by the real nats CLI, by orderflow's own and over HTTP.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// bin is where TestMain puts the programs under test, first in PATH.
var bin string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		if err := curl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			os.Exit(1)
		}
		return
	}
	status, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func buildAndRun(m *testing.M) (status int, err error) {
	if bin, err = os.MkdirTemp("", "orderflow-e2e-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := os.Symlink(self, filepath.Join(bin, "curl")); err != nil {
		return 0, err
	}
	program := []string{"build", "-o", filepath.Join(bin, "orderflow")}
	if raceEnabled { // what is built already, and finds more
		program = append(program, "-race")
	}
	for _, args := range [][]string{
		append(program, "./cmd/orderflow"),
		{"build", "-o", filepath.Join(bin, "nats-server"), "github.com/nats-io/nats-server/v2"},
		{"build", "-modfile=tools.mod", "-o", filepath.Join(bin, "nats"), "github.com/nats-io/natscli/nats"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = root()
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("go %v: %w", args, err)
		}
	}
	return m.Run(), nil
}

// root is the repository's.
func root() string { return filepath.Join("..", "..") }
