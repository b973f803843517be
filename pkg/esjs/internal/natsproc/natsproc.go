// Package natsproc runs a nats-server in a process of its own, as users run it: what
// it allocates and collects is then not counted as that of the program that uses
// it, a round trip costs what it costs users, and it can be killed.
//
// The process is the program itself, started again: its main function calls [Serve]
// with the two arguments that [Start] has put behind the command.
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
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// How a server syncs what it stores, as Serve's second argument.
const (
	SyncDefault = "default" // every two minutes
	SyncAlways  = "always"  // each write, before it is acknowledged
)

// recoveryTime bounds how long a server reads what it has stored.
const recoveryTime = 10 * time.Minute

// Where the process is asked.
const (
	memorySubject    = "natsproc.memory"
	processorSubject = "natsproc.processor"
)

// Memory is what a server's process holds, after a garbage collection.
type Memory struct {
	Heap uint64 `json:"heap"` // bytes in use
	Held uint64 `json:"held"` // bytes that the runtime has of the operating system
}

// Serve runs a server that stores in dir, on a free port of the loopback interface.
// It writes the server's URL to out and ends when in does.
func Serve(dir, sync string, in io.Reader, out io.Writer) error {
	if sync != SyncDefault && sync != SyncAlways {
		return fmt.Errorf("natsproc: the sync is %q; it must be %s or %s", sync, SyncDefault, SyncAlways)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "natsproc",
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: 64 << 30,
		SyncAlways: sync == SyncAlways,
		NoLog:      true, NoSigs: true,
	})
	if err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(recoveryTime) {
		return errors.New("natsproc: the server does not accept connections")
	}
	if err := tell(s); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	if _, err := fmt.Fprintln(out, s.ClientURL()); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// tell answers what the process is asked about itself.
func tell(s *server.Server) error {
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	for subject, what := range map[string]func() any{
		memorySubject: func() any {
			var stats runtime.MemStats
			runtime.GC()
			runtime.GC() // what pools hold is kept by the first one
			runtime.ReadMemStats(&stats)
			return Memory{Heap: stats.HeapAlloc, Held: stats.Sys - stats.HeapReleased}
		},
		processorSubject: func() any { return ProcessorTime() },
	} {
		_, err = nc.Subscribe(subject, func(m *nats.Msg) {
			if answer, err := json.Marshal(what()); err == nil {
				_ = m.Respond(answer) // who asked finds no answer
			}
		})
		if err != nil {
			return err
		}
	}
	return nc.Flush()
}

// MemoryOf asks the process that nc is connected to.
func MemoryOf(nc *nats.Conn) (m Memory, err error) {
	err = ask(nc, memorySubject, &m)
	return m, err
}

// ProcessorTimeOf is the [ProcessorTime] of the process that nc is connected to.
func ProcessorTimeOf(nc *nats.Conn) (d time.Duration, err error) {
	err = ask(nc, processorSubject, &d)
	return d, err
}

func ask(nc *nats.Conn, subject string, answer any) error {
	m, err := nc.Request(subject, nil, time.Minute)
	if err == nil {
		err = json.Unmarshal(m.Data, answer)
	}
	if err != nil {
		return fmt.Errorf("natsproc: ask the server's process: %w", err)
	}
	return nil
}

// Server is a process that runs [Serve].
type Server struct {
	url     string
	process *exec.Cmd
	alive   io.WriteCloser // it lives as long as this is open
}

// Start starts command with dir and sync as its last arguments and waits until the
// server in it accepts connections. The process ends with the one that started it.
// Stop or kill it.
func Start(command []string, dir, sync string) (*Server, error) {
	args := append(command[1:len(command):len(command)], dir, sync)
	s := &Server{process: exec.Command(command[0], args...)} //nolint:noctx // it lives until it is stopped
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	if s.alive, err = s.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("natsproc: %w", err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("natsproc: %s does not say where its server is: %w", strings.Join(command, " "), err)
	}
	s.url = strings.TrimSpace(url)
	return s, nil
}

// URL is where the server is reached.
func (s *Server) URL() string { return s.url }

// Stop ends the server as a clean shutdown does and waits for it.
func (s *Server) Stop() error {
	_ = s.alive.Close() // fails only when the process has ended
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("natsproc: the server's end: %w", err)
	}
	return nil
}

// Kill ends the server as kill -9 does and waits for it.
func (s *Server) Kill() error {
	if err := s.process.Process.Kill(); err != nil {
		return fmt.Errorf("natsproc: %w", err)
	}
	_ = s.process.Wait() // which says that it was killed
	return nil
}
