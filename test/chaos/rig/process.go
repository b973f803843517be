//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one program of a run, a server or a service, which comes and goes and
// says what it has to say in one file. It never outlives us. Safe for concurrent use.
type Process struct {
	name, log string
	command   []string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// NewProcess is a program with its arguments, that is not started yet.
func NewProcess(name, log string, command ...string) *Process {
	ended := make(chan struct{})
	close(ended)
	return &Process{name: name, log: log, command: command, ended: ended}
}

// SetCommand says what starts from the next start on.
func (p *Process) SetCommand(command ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.command = command
}

// Start starts it; it must not live.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has it
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.command[0], p.command[1:]...) //nolint:noctx // it lives until it is killed
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	p.cmd, p.ended = cmd, ended
	return nil
}

// Ended is closed when it has ended, or was not started yet.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// PID is the one of the process that lives, or lived last; 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Signal sends one to the process, if it lives.
func (p *Process) Signal(what syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(what); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// stopWithin bounds a clean stop.
const stopWithin = 2 * time.Minute

// End ends it by a signal, and waits until it has ended.
func (p *Process) End(ctx context.Context, by syscall.Signal) error {
	ended := p.Ended()
	if err := p.Signal(by); err != nil {
		return err
	}
	timeout := time.NewTimer(stopWithin)
	defer timeout.Stop()
	select {
	case <-ended:
		return nil
	case <-timeout.C:
		return fmt.Errorf("%s does not end by %s in %s", p.name, by, stopWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// LastWords is the last line that it has said; "" when there is none.
func (p *Process) LastWords() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return lines[len(lines)-1]
}
