// Package e2e proves the whole from outside: the real binary as a process, and
// the real nats CLI as the one who asks.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 90 * time.Second

// binaries are built once for all tests of the package.
type binaries struct{ orderflow, nats string }

var build = sync.OnceValues(func() (binaries, error) {
	dir, err := os.MkdirTemp("", "orderflow-e2e-")
	if err != nil {
		return binaries{}, err
	}
	b := binaries{orderflow: filepath.Join(dir, "orderflow"), nats: filepath.Join(dir, "nats")}
	for _, args := range [][]string{
		{"build", "-o", b.orderflow, "./cmd/orderflow"},
		{"build", "-modfile=tools.mod", "-o", b.nats, "github.com/nats-io/natscli/nats"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return b, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if b, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(b.orderflow))
	}
	os.Exit(status)
}

// system is a running "orderflow up" with the CLI that talks to it.
type system struct {
	binaries
	url  string
	home string // of the CLI: no context of the machine is used
	dir  string
}

// start runs "orderflow up" in dir until the test ends.
func start(t *testing.T, dir string) *system {
	t.Helper()
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := &system{binaries: b, home: t.TempDir(), dir: dir}
	cmd := exec.Command(b.orderflow, "up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "warn")
	cmd.Dir = dir
	cmd.WaitDelay = patience
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- strings.TrimSpace(scanner.Text())
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("stop: %v", err)
		}
		for range lines { // until it is closed: Wait would close it too early
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("orderflow up ended with %v and said:\n%s", err, stderr.String())
		}
	})
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatal("orderflow up ended before it was ready")
			}
			if url, found := strings.CutPrefix(line, "NATS "); found {
				s.url = strings.TrimSpace(url)
			}
			if line == "Ctrl-C stops it." {
				return s
			}
		case <-timeout:
			t.Fatal("orderflow up is not ready")
		}
	}
}

// cli runs the nats CLI and returns what it prints on both outputs.
func (s *system) cli(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.nats, args...)
	cmd.Env = append(os.Environ(), "NATS_URL="+s.url, "HOME="+s.home, "XDG_CONFIG_HOME="+s.home)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}
