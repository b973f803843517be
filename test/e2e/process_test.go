package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one of the programs under test while it runs.
type process struct {
	cmd    *exec.Cmd
	stderr *output
	lines  chan string // of its standard output
	ended  chan struct{}
}

// output collects what a process writes while a test may read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// begin starts a program in dir.
func begin(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd:    exec.Command(filepath.Join(bin, name), args...),
		stderr: &output{},
		lines:  make(chan string, 1000),
		ended:  make(chan struct{}),
	}
	p.cmd.Dir = dir
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- strings.TrimSpace(scanner.Text())
		}
		_ = p.cmd.Wait() // the exit status is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("standard error of %s %q:\n%s", name, args, p.stderr)
		}
	})
	return p
}

// kill ends the process at once, as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.wait(t)
}

// interrupt is Ctrl-C; the process must end cleanly.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if p.wait(t); p.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%q stopped with exit status %d, want 0", p.cmd.Args, p.cmd.ProcessState.ExitCode())
	}
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%q does not end", p.cmd.Args)
	}
}

// listens is the URL of a nats-server.
func (p *process) listens(t *testing.T) string {
	t.Helper()
	return p.find(t, "its address", func(line string) string {
		_, address, found := strings.Cut(line, "Listening for client connections on ")
		if !found {
			return ""
		}
		return "nats://" + strings.TrimSpace(address)
	})
}

// find reads the standard error until find finds something in a line of it.
func (p *process) find(t *testing.T, what string, find func(line string) (found string)) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		for line := range strings.Lines(p.stderr.String()) {
			if found := find(line); found != "" {
				return found
			}
		}
		select {
		case <-p.ended:
			t.Fatalf("%q ended before it told %s", p.cmd.Args, what)
		case <-time.After(20 * time.Millisecond): // it is read again
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q does not tell %s", p.cmd.Args, what)
		}
	}
}

// logged waits for a message in the log and returns one of its fields.
func (p *process) logged(t *testing.T, message, field string) string {
	t.Helper()
	return p.find(t, message, func(line string) string {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["message"] != message {
			return ""
		}
		value, _ := entry[field].(string)
		return value
	})
}
