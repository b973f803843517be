//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is one nats-server: its process may come and go.
type server struct {
	name, address string
	namespace     string
	program       string
	home          string
	disk          *disk
	process       *exec.Cmd // nil while there is none
	ended         chan struct{}
}

// configure writes the server's configuration file.
func (s *server) configure(sync string, routes []string) error {
	return os.WriteFile(s.file("conf"), fmt.Appendf(nil, `server_name: %s
listen: "%s:4222"
http: "%s:8222"
jetstream {
  store_dir: %q
  sync_interval: %q
  max_file_store: 8GB
  max_memory_store: 64MB
}
write_deadline: "10s"
cluster {
  name: chaos
  listen: "%s:6222"
  routes: [%s]
}
`, s.name, s.address, s.address, s.disk.dir, sync, s.address, strings.Join(routes, ", ")), 0o600)
}

func (s *server) file(kind string) string { return filepath.Join(s.home, "nats."+kind) }

// start starts the process; it ends with ours.
func (s *server) start() error {
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                                                                     // the process has it
	cmd := exec.Command("nsenter", "--net=/run/netns/"+s.namespace, "--", s.program, "-c", s.file("conf")) //nolint:noctx // it lives until it is killed
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	s.process, s.ended = cmd, ended
	return nil
}

// signal sends one to the process, if there is one.
func (s *server) signal(what syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(what); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// stopWithin bounds a clean stop.
const stopWithin = 2 * time.Minute

// end ends the process by a signal, and waits until it has ended.
func (s *server) end(ctx context.Context, by syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.signal(by); err != nil {
		return err
	}
	timeout := time.NewTimer(stopWithin)
	defer timeout.Stop()
	select {
	case <-s.ended:
		s.process = nil
		return nil
	case <-timeout.C:
		return fmt.Errorf("%s does not end by %s in %s", s.name, by, stopWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// healthy asks the server whether it has, and can serve, all that it should.
func (s *server) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+":8222/healthz", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not healthy: %s", s.name, answer.Status)
	}
	return nil
}
