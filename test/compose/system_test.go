//go:build compose

package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
	"github.com/b144f99b/orderflow/test/shop"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// system is the containers of one project, made of a copy of the repository.
type system struct {
	dir, project string
	args         []string // of Compose, before its command
	shop.Gateway          // of the project
	partners     shop.Partners
	env          []string
	prometheus   string // URL
}

// cloned copies what a clone would have, creates the keys, and builds and starts the project
// until everything is healthy.
func cloned(t *testing.T, project string, args ...string) *system {
	t.Helper()
	return clonedOnly(t, project, nil, args...)
}

// clonedOnly is cloned with some of the services, and what these need; nil: with all.
func clonedOnly(t *testing.T, project string, services []string, args ...string) *system {
	t.Helper()
	s := &system{dir: t.TempDir(), project: project, args: args}
	root := filepath.Join("..", "..")
	shell(t, root, "git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "+s.dir)
	at, err := program.FreeAddresses(4)
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway, s.partners, s.prometheus = shop.Gateway("http://"+at[1]), shop.Partners("http://"+at[2]), "http://"+at[3]
	s.env = append(os.Environ(), "NATS_PORT="+program.Port(at[0]), "HTTP_PORT="+program.Port(at[1]), "PARTNERS_PORT="+program.Port(at[2]),
		"PROMETHEUS_PORT="+program.Port(at[3]), "COMPOSE_PROJECT_NAME="+project)
	if _, set := os.LookupEnv("DOCKER_BUILDKIT"); !set {
		s.env = append(s.env, "DOCKER_BUILDKIT=0") // the builder that takes images from this machine alone
	}
	shell(t, s.dir, "make keys")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.try("ps", "-a"))
			t.Log(s.try("logs", "--tail=30"))
		}
		s.compose(t, "down", "--volumes", "--timeout", "5")
	})
	s.compose(t, append([]string{"up", "--build", "--detach"}, services...)...)
	s.healthy(t)
	return s
}

func shell(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// composeCommand is Compose: what COMPOSE in the environment says, such as "docker compose"; without it what is
// installed, Docker's plugin or docker-compose.
var composeCommand = sync.OnceValue(func() []string {
	if given := strings.Fields(os.Getenv("COMPOSE")); len(given) > 0 {
		return given
	}
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	return []string{"docker-compose"}
})

// TestMain says what the file is tested with.
func TestMain(m *testing.M) {
	for _, command := range [][]string{append(slices.Clone(composeCommand()), "version", "--short"), {"docker", "version", "--format", "{{.Server.Version}}"}} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		fmt.Printf("%s: %s", strings.Join(command, " "), out)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func (s *system) command(args ...string) *exec.Cmd {
	all := slices.Concat(composeCommand(), s.args, args)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

func (s *system) try(args ...string) string {
	out, _ := s.command(args...).CombinedOutput() // what it says of an error is in it
	return string(out)
}

// compose runs a command of Compose that has to succeed, and returns what it prints.
func (s *system) compose(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("compose %q: %v\n%s%s", args, err, &out, &errOut)
	}
	return out.String()
}

// containers are those of the project that run on: by service.
func (s *system) containers(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("docker", "ps", "--all", "--filter", "label=com.docker.compose.project="+s.project,
		"--format", `{{.Label "com.docker.compose.service"}} {{.ID}}`).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if service, id, _ := strings.Cut(strings.TrimSpace(line), " "); service != "provision" && !strings.HasSuffix(service, "-volume") {
			all[service] = id
		}
	}
	return all
}

type state struct {
	Pid    int
	Status string
	Health struct{ Status string }
}

func inspect(t *testing.T, id string) (s state) {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format", "{{json .State}}", id).Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		t.Fatalf("docker inspect %s: %v", id, err)
	}
	return s
}

// healthy waits until every container says that it is.
func (s *system) healthy(t *testing.T) {
	t.Helper()
	for service, id := range s.containers(t) {
		if service == "load" { // which nobody waits for
			continue
		}
		program.Until(t, patience, service+" is healthy", func() bool { return inspect(t, id).Health.Status == "healthy" })
	}
}

// kill ends a container's process as a crash does. Docker restarts it: what it is told to
// kill it would leave alone.
func kill(t *testing.T, id string) {
	t.Helper()
	before := inspect(t, id).Pid
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatalf("kill -9 %d: %v (needs to be root on the machine of the Docker engine)", before, err)
	}
	program.Until(t, patience, "it runs again", func() bool { s := inspect(t, id); return s.Status == "running" && s.Pid != before })
}

// verified checks that each replica of the store is as it was written.
func (s *system) verified(t *testing.T, replicas int) {
	t.Helper()
	if out := s.compose(t, "run", "--rm", "-T", "cli", "verify", "--each-replica"); strings.Count(out, "All is as it was written.") != replicas {
		t.Errorf("verify, of %d replicas: %s", replicas, out)
	}
}

// sound checks what is left of so many completed orders of two bags: each paid once, the stock, and every replica.
func (s *system) sound(t *testing.T, orders, replicas int) {
	t.Helper()
	s.Sound(t, s.partners, orders)
	s.verified(t, replicas)
}
