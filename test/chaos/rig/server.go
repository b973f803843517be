//go:build linux

package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// server is one nats-server.
type server struct {
	name, address string
	namespace     string
	home          string
	disk          *Disk
	process       *Process
}

// configure writes the server's configuration file, and says how it is started.
func (s *server) configure(program, sync string, routes []string) error {
	s.process = NewProcess(s.name, s.file("log"), s.command(program)...)
	return os.WriteFile(s.file("conf"), fmt.Appendf(nil, `server_name: %s
listen: "%s:4222"
http: "%s:8222"
prof_port: 8223
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

// command starts a program as this server.
func (s *server) command(program string) []string {
	return []string{"nsenter", "--net=/run/netns/" + s.namespace, "--", program, "-c", s.file("conf")}
}

func (s *server) file(kind string) string { return filepath.Join(s.home, "nats."+kind) }

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
