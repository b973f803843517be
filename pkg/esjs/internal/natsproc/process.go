package natsproc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// Memory is what a process holds.
type Memory struct {
	Resident uint64 `json:"resident"` // bytes in memory as the operating system counts them, with what was not collected yet; 0 where it does not tell
	Heap     uint64 `json:"heap"`     // bytes in use after a garbage collection
	Held     uint64 `json:"held"`     // bytes that the runtime then has of the operating system
}

// ThisMemory is what this process holds. It collects garbage.
func ThisMemory() Memory {
	m := Memory{Resident: resident()}
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold is kept by the first one
	runtime.ReadMemStats(&stats)
	m.Heap, m.Held = stats.HeapAlloc, stats.Sys-stats.HeapReleased
	return m
}

// resident reads the second number of /proc/self/statm, which is in pages.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// What a process is asked, one line each; the profile's has the file's name behind it, and tell what it is told.
const (
	askMemory    = "memory"
	askProcessor = "processor"
	askProfile   = "profile"
	askProfiled  = "profiled"
	tell         = "tell"
)

// answer is a line that answers one.
type answer struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// Answer is the other side of a [Process]: it writes the greeting to out, then answers there what is asked
// on in, line by line, and returns when in ends. What [Process.Tell] says goes to told, which may
// be nil where nothing is said.
func Answer(greeting string, in io.Reader, out io.Writer, told func(string) error) error {
	if _, err := fmt.Fprintln(out, greeting); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	var profile *os.File
	defer func() {
		if profile != nil {
			pprof.StopCPUProfile()
			_ = profile.Close() // who asked for it has gone
		}
	}()
	questions := bufio.NewScanner(in)
	for questions.Scan() {
		var (
			a   answer
			err error
		)
		switch what, more, _ := strings.Cut(questions.Text(), " "); what {
		case askMemory:
			a.Value = ThisMemory()
		case askProcessor:
			a.Value = ProcessorTime()
		case askProfile:
			if profile, err = os.Create(more); err == nil {
				err = pprof.StartCPUProfile(profile)
			}
		case askProfiled:
			pprof.StopCPUProfile()
			err, profile = profile.Close(), nil
		case tell:
			err = told(more)
		default:
			err = fmt.Errorf("asked for %q", what)
		}
		if err != nil {
			a.Error = err.Error()
		}
		line, err := json.Marshal(a)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", line)
		}
		if err != nil {
			return fmt.Errorf("natsproc: %w", err)
		}
	}
	return questions.Err()
}

// Process is a program that calls [Answer]. It is safe for concurrent use until it is
// stopped or killed.
type Process struct {
	greeting string
	process  *exec.Cmd

	asking  sync.Mutex
	answers *bufio.Reader
	alive   io.WriteCloser // questions; it lives as long as this is open
}

// Begin starts command and waits for its greeting. The process ends with the one that started it.
// Stop or kill it.
func Begin(command ...string) (*Process, error) {
	p := &Process{process: exec.Command(command[0], command[1:]...)} //nolint:noctx // it lives until it is stopped
	p.process.Stderr = os.Stderr
	out, err := p.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	if p.alive, err = p.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	if err := p.process.Start(); err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	p.answers = bufio.NewReader(out)
	greeting, err := p.answers.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("natsproc: %s has ended and not said that it is ready: %w", strings.Join(command, " "), errors.Join(err, p.Stop()))
	}
	p.greeting = strings.TrimSpace(greeting)
	return p, nil
}

// Greeting is what the process said first.
func (p *Process) Greeting() string { return p.greeting }

// Memory is what the process holds.
func (p *Process) Memory() (m Memory, err error) {
	err = p.ask(askMemory, &m)
	return m, err
}

// ProcessorTime is the [ProcessorTime] of the process.
func (p *Process) ProcessorTime() (d time.Duration, err error) {
	err = p.ask(askProcessor, &d)
	return d, err
}

// Profile has the process write a profile of its processor time into a file until stop is called.
func (p *Process) Profile(file string) (stop func() error, err error) {
	if err := p.ask(askProfile+" "+file, nil); err != nil {
		return nil, err
	}
	return func() error { return p.ask(askProfiled, nil) }, nil
}

// Tell says a line, of less than 64 kB, to the process, and returns when that has done what it wants of it.
func (p *Process) Tell(line string) error { return p.ask(tell+" "+line, nil) }

func (p *Process) ask(what string, value any) error {
	p.asking.Lock()
	defer p.asking.Unlock()
	a := answer{Value: value}
	_, err := fmt.Fprintln(p.alive, what)
	if err == nil {
		var line []byte
		if line, err = p.answers.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &a)
		}
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return fmt.Errorf("natsproc: ask the process %q: %w", what, err)
	}
	return nil
}

// Stop ends the process as a clean shutdown does and waits for it.
func (p *Process) Stop() error {
	_ = p.alive.Close() // fails only when the process has ended
	if err := p.process.Wait(); err != nil {
		return fmt.Errorf("natsproc: the end of the process: %w", err)
	}
	return nil
}

// Kill ends the process as kill -9 does and waits for it.
func (p *Process) Kill() error {
	if err := p.process.Process.Kill(); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	_ = p.process.Wait() // which says that it was killed
	return nil
}
