package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// beOrderflow makes the test binary be the program, so that the tests run it
// as a process of its own, with the race detector when they have it.
const beOrderflow = "ORDERFLOW_IS_UNDER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(beOrderflow) != "" {
		main()
		return
	}
	m.Run()
}

// process is a running orderflow.
type process struct {
	cmd    *exec.Cmd
	lines  chan string // of its standard output
	stderr *output
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

// begin starts "orderflow args..." in dir.
func begin(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd:    exec.Command(os.Args[0], args...),
		lines:  make(chan string, 10_000),
		stderr: &output{},
		ended:  make(chan struct{}),
	}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), beOrderflow+"=1")
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
			p.lines <- scanner.Text()
		}
		_ = p.cmd.Wait() // the exit status is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s\nstandard error of %q:\n%s", t.Name(), args, p.stderr)
		}
	})
	return p
}

// until returns what follows prefix in the first line of the output that has it.
func (p *process) until(t *testing.T, prefix string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				<-p.ended
				t.Fatalf("ended with status %d before it printed %q", p.cmd.ProcessState.ExitCode(), prefix)
			}
			if rest, found := strings.CutPrefix(strings.TrimSpace(line), prefix); found {
				return strings.TrimSpace(rest)
			}
		case <-timeout:
			t.Fatalf("did not print %q", prefix)
		}
	}
}

// wait returns the exit status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatal("does not end")
		return -1
	}
}

// stop asks the process to stop and expects that it does so cleanly.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if status := p.wait(t); status != 0 {
		t.Errorf("stopped with exit status %d, want 0", status)
	}
}

// call runs orderflow to its end within the test, which starts no process for what one would show no better.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut output // of which logs write from several goroutines
	status = run(ctx, args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// once runs orderflow as a process to its end and returns its exit status and output.
func once(t *testing.T, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), beOrderflow+"=1")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}
