// Package pgtest runs a PostgreSQL server of its own for tests and benchmarks,
// from the programs of an installed PostgreSQL: Debian's package postgresql, or
// any initdb in the PATH. The server listens on a Unix socket in a temporary
// directory alone, so it needs no port and meets no other server. It ends, and
// its directory goes, with the process that started it, however that ends.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL server.
type Server struct {
	dir      string // holds the data, the socket and nothing else
	settings []string
	programs string
	user     *syscall.Credential // nil: the user of this process

	process *exec.Cmd
	alive   io.WriteCloser // the server lives as long as this is open
}

// startsWithin bounds how long a server may take to answer.
const startsWithin = time.Minute

// ErrNotInstalled is [Start]'s error where there is no PostgreSQL; its text tells how
// to get it.
var ErrNotInstalled = errors.New("pgtest: no PostgreSQL is installed: initdb is neither in the PATH nor in /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)")

// Start makes a new server and waits until it answers, or until ctx ends; the
// running server does not depend on ctx. Settings are
// "name=value" as in postgresql.conf, for example "fsync=off". Where this process
// is root, which PostgreSQL refuses to run as, the server runs as the user
// postgres or, when there is none, nobody. Stop it.
func Start(ctx context.Context, settings ...string) (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	s := &Server{settings: settings, programs: programs}
	if s.dir, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	if err := s.init(ctx); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// init creates the server's files.
func (s *Server) init(ctx context.Context) error {
	if os.Geteuid() == 0 {
		owner, err := unprivileged()
		if err != nil {
			return err
		}
		if err := os.Chown(s.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
		s.user = owner
	}
	initdb := s.as(exec.CommandContext(ctx, filepath.Join(s.programs, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"))
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, output)
	}
	return nil
}

// run starts the server and waits until it answers. A shell watches over it:
// when this process ends, or Stop closes the pipe, read returns and the server
// is ended at once, as by a crash; what was committed is in its log.
func (s *Server) run(ctx context.Context) error {
	args := []string{"-c", `"$@" & server=$!; read -r REPLY; kill -QUIT $server; wait $server; [ "$REPLY" = keep ] || rm -rf "$PGTEST_REMOVE"`, "sh",
		filepath.Join(s.programs, "postgres"), "-D", s.data(),
		"-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.dir, "-c", "max_connections=200"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	s.process = s.as(exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", args...))
	s.process.Env = append(os.Environ(), "PGTEST_REMOVE="+s.dir)
	var err error
	if s.alive, err = s.process.StdinPipe(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	for {
		if err = s.exec(ctx, "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("pgtest: the server does not answer: %w", err)
		}
	}
}

// Version is that of the PostgreSQL that [Start] would start, as it says it itself:
// "postgres (PostgreSQL) 17.6". [ErrNotInstalled] when there is none.
func Version(ctx context.Context) (string, error) {
	programs, err := findPrograms()
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, filepath.Join(programs, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("pgtest: postgres --version: %w", err)
	}
	return strings.TrimSpace(string(version)), nil
}

// URL is where the database of that name is found.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}}.Encode()}).String()
}

// Create makes an empty database and returns its URL.
func (s *Server) Create(ctx context.Context, database string) (string, error) {
	if err := s.exec(ctx, "CREATE DATABASE "+pgx.Identifier{database}.Sanitize()); err != nil {
		return "", fmt.Errorf("pgtest: create database %s: %w", database, err)
	}
	return s.URL(database), nil
}

// Stop ends the server as a crash would, and removes everything of it.
func (s *Server) Stop() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

// Restart ends the server as a crash would, calls meanwhile, and starts it again
// with what was committed. No other method is called meanwhile.
func (s *Server) Restart(ctx context.Context, meanwhile func() error) error {
	if _, err := io.WriteString(s.alive, "keep\n"); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.end()
	err := meanwhile()
	return errors.Join(err, s.run(ctx))
}

// end ends the process and waits for it.
func (s *Server) end() {
	if s.alive == nil {
		return
	}
	_ = s.alive.Close()
	_ = s.process.Wait() // it was killed, and says so
	s.alive = nil
}

// exec executes a statement in the database postgres.
func (s *Server) exec(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// as makes a command run as the server's user.
func (s *Server) as(c *exec.Cmd) *exec.Cmd {
	c.Dir = s.dir // the working directory of this process may be closed to the user
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Setpgid: true}
	return c
}

// findPrograms returns the directory of the newest PostgreSQL's programs.
func findPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNotInstalled
	}
	release := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })
	return filepath.Dir(newest), nil
}

// unprivileged is the user that a server of root runs as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("pgtest: PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}
