package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/pflag"
)

// Every start that cannot succeed is one sentence and an exit status of its
// own, and leaves nothing behind.
func TestStartsThatAreRefused(t *testing.T) {
	taken := occupied(t)
	free := []string{"--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	up := func(args ...string) []string { return append([]string{"up"}, args...) }
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		args    []string
		status  int
		says    string
	}{
		{name: "the port of NATS is taken", args: up("--nats", taken, "--http", "127.0.0.1:0"), status: exitAddressInUse, says: "--nats " + taken + " cannot be used"},
		{name: "the port of HTTP is taken", args: up("--nats", "127.0.0.1:0", "--http", taken), status: exitAddressInUse, says: "--http " + taken + " cannot be used"},
		{name: "the port of the metrics is taken", args: up(append(free, "--metrics", taken)...), status: exitAddressInUse, says: "--metrics " + taken + " cannot be used"},
		{name: "an address without a port", args: up("--nats", "localhost"), status: 2, says: "it must be HOST:PORT"},
		{name: "a file where the directory should be", prepare: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, args: up(free...), status: exitBadDirectory, says: "the data directory ./data cannot be made"},
		{name: "a directory that nobody can write", args: up(append(free, "--data", "/proc/orderflow")...), status: exitBadDirectory, says: "the data directory /proc/orderflow cannot be made"},
		{name: "a directory that is in use", prepare: func(t *testing.T, dir string) {
			path := filepath.Join(dir, "data")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			lock := flock.New(filepath.Join(path, "LOCK"))
			if ok, err := lock.TryLock(); !ok || err != nil {
				t.Fatalf("lock: %v, %v", ok, err)
			}
			t.Cleanup(func() { lock.Unlock() })
		}, args: up(free...), status: exitLocked, says: `in use by another "orderflow up"`},
		{name: "a directory of somebody else", prepare: func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "data", "photos"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, args: up(free...), status: exitBadDirectory, says: "holds files that are not orderflow's, such as photos; give --data an empty directory"},
		{name: "a database that is none", prepare: func(t *testing.T, dir string) {
			path := filepath.Join(dir, "data")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"LOCK", "projector.db"} {
				if err := os.WriteFile(filepath.Join(path, name), []byte("this is not a database of SQLite, but long enough to be one"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, args: up(free...), status: exitBadDirectory, says: "projector.db: file is not a database (26); move it away"},
		{name: "no PostgreSQL", args: up(append(free, "--database-url", "postgres://127.0.0.1:1/x")...), status: 6, says: "PostgreSQL database: failed to connect to"},
		{name: "limits beyond the disk", args: up(append(free, "--events-max-bytes", "1000000000000000000")...), status: exitBadDirectory, says: "lower --events-max-bytes"},
		{name: "a server that is too old", args: up("--http", "127.0.0.1:0", "--nats-url", oldServer(t)), status: exitServerTooOld, says: "has version 2.9.0; the store needs"},
		{name: "a server without JetStream", args: up("--http", "127.0.0.1:0", "--nats-url", plainServer(t)), status: exitNoJetStream, says: "no JetStream"},
		{name: "no server", args: up("--http", "127.0.0.1:0", "--nats-url", "nats://127.0.0.1:1"), status: exitNoServer, says: "no NATS server can be reached at nats://127.0.0.1:1"},
		{name: "a stream that is not an event store", args: up("--http", "127.0.0.1:0", "--nats-url", foreignServer(t)), status: exitConfiguration, says: "deny_delete is false, needed true"},
		{name: "a service without its streams", args: []string{"order", "--nats-url", emptyServer(t)}, status: exitConfiguration, says: `"orderflow provision" creates what is missing`},
		{name: "a service without a server", args: []string{"saga", "--nats-url", "nats://127.0.0.1:1", "--wait", "0s"}, status: exitNoServer, says: "no NATS server can be reached"},
		{name: "provisioning without JetStream", args: []string{"provision", "--nats-url", plainServer(t)}, status: exitNoJetStream, says: "no JetStream"},
		{name: "both servers", args: up("--nats", "127.0.0.1:0", "--nats-url", "nats://127.0.0.1:1"), status: 2, says: "give one of them"},
		{name: "kept and not kept", args: up("--data", "d", "--ephemeral"), status: 2, says: "give one of them"},
		{name: "no directory", args: up(append(free, "--data", "")...), status: 2, says: "--data is empty"},
		{name: "no URL", args: up("--nats-url", ""), status: 2, says: "--nats-url is empty"},
		{name: "copies on one server", args: up(append(free, "--replicas", "3")...), status: 2, says: "the embedded server is one server"},
		{name: "copies without a majority", args: []string{"provision", "--replicas", "2"}, status: 2, says: "it must be 1, 3 or 5"},
		{name: "a limit below nothing", args: up(append(free, "--events-max-bytes", "-1")...), status: 2, says: "--events-max-bytes is -1"},
		{name: "an API for everybody", args: up("--nats", "127.0.0.1:0", "--http", "0.0.0.0:0"), status: 2, says: "nobody has to sign in; give --jwt-issuer, a loopback address, or --http-without-sign-in"},
		{name: "a gateway for everybody", args: []string{"gateway", "--http", "0.0.0.0:0"}, status: 2, says: "nobody has to sign in"},
		{name: "half a sign-in", args: up(append(free, "--jwt-issuer", "https://login.example")...), status: 2, says: "all three of them: --jwt-issuer, --jwt-audience and --jwt-keys"},
		{name: "a host with a scheme", args: up(append(free, "--http-host", "https://shop.example")...), status: 2, says: `--http-host is "https://shop.example"`},
		{name: "policies that are not there", args: up("--policies", "none.json"), status: 2, says: "--policies: stat none.json: no such file"},
		{name: "policies that are wrong", prepare: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "p.json"), []byte(`{"policies":[{"version":2,"sla":"0s"}]}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, args: []string{"saga", "--policies", "p.json"}, status: 2, says: "--policies: p.json: policy version 2: sla is 0s; it must be from 1ms"},
		{name: "an empty secret of webhooks", prepare: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, args: []string{"payment", "--webhook-secret-file", "secret"}, status: 2, says: "--webhook-secret-file: secret is empty; it must hold the secret that signs"},
		{name: "a key of two lines", prepare: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "key"), []byte("k-1\nk-2\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, args: []string{"payment", "--psp-key-file", "key"}, status: 2, says: "--psp-key-file: key must hold one key"},
		{name: "a key that is not there", args: []string{"shipping", "--carrier-key-file", "none"}, status: 2, says: "--carrier-key-file: open none: no such file"},
		{name: "a password in an address", args: []string{"payment", "--psp-url", "https://us:secret@psp.example/v1"}, status: 2, says: "--psp-url has a user or a password, which traces would show"},
		{name: "a flag that does not exist", args: up("--date", "x"), status: 2, says: "unknown flag: --date; see orderflow up --help"},
		{name: "a flag that is no number", args: up("--replicas", "three"), status: 2, says: `--replicas is "three"; it must be a whole number; see orderflow up --help`},
		{name: "a flag that is neither yes nor no", args: up("--demo=perhaps"), status: 2, says: `--demo is "perhaps"; it must be true or false`},
		{name: "an argument", args: up("now"), status: 2, says: `orderflow up takes no arguments, got "now"`},
		{name: "a command that does not exist", args: []string{"down"}, status: 2, says: `orderflow has no command "down"; it has`},
		{name: "a category that does not exist", args: []string{"events", "tail", "--category", "order", "--category", "orders"}, status: 2, says: `--category is "orders"; it must be one of order, product, `},
		{name: "a log level that does not exist", args: up("--log-level", "loud"), status: 2, says: "debug, info, warn or error"},
		{name: "nobody to ask for health", args: []string{"healthcheck", "--http", "127.0.0.1:1"}, status: 6, says: "no answer from 127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := "."
			start := func(args ...string) (int, string, string) { return call(t, args...) }
			if c.prepare != nil || c.status != service.ExitUsage { // more than the line is looked at
				dir = t.TempDir()
				start = func(args ...string) (int, string, string) { return once(t, dir, args...) }
			}
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			status, stdout, stderr := start(c.args...)
			var told []string // besides the log
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "{") {
					told = append(told, strings.TrimSpace(line))
				}
			}
			if status != c.status || len(told) != 1 || !strings.HasPrefix(told[0], "orderflow: ") || !strings.Contains(told[0], c.says) {
				t.Errorf("exit status %d, want %d; standard error %q, want one sentence with %q", status, c.status, stderr, c.says)
			}
			if stdout != "" {
				t.Errorf("standard output %q, want none", stdout)
			}
			if _, err := os.Stat(filepath.Join(dir, "data")); c.prepare == nil && err == nil {
				t.Error("a data directory was left behind")
			}
			if _, err := os.Stat(filepath.Join(dir, "data", "nats")); err == nil {
				t.Error("a server was begun")
			}
		})
	}
}

// Who does not wait for the demo's end is not told that it went well.
func TestADemoThatIsInterruptedFails(t *testing.T) {
	p := begin(t, t.TempDir(), "up", "--demo", "--ephemeral", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")
	p.until(t, "1. ")
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(t); status != exitDemoFailed || !strings.Contains(p.stderr.String(), "orderflow: the demo was interrupted") {
		t.Errorf("exit status %d, want %d; standard error %q", status, exitDemoFailed, p.stderr)
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	t.Setenv("ORDERFLOW_LOG_LEVEL", "loud")
	if status, _, stderr := once(t, t.TempDir(), "up"); status != 2 || !strings.Contains(stderr, `--log-level is "loud"`) {
		t.Errorf("the variable is not read: %d %s", status, stderr)
	}
	t.Setenv("ORDERFLOW_REPLICAS", "many")
	if status, _, stderr := once(t, t.TempDir(), "up"); status != 2 || !strings.Contains(stderr, `ORDERFLOW_REPLICAS is "many"`) {
		t.Errorf("a variable that is not a number: %d %s", status, stderr)
	}
	t.Setenv("ORDERFLOW_REPLICAS", "")
	t.Setenv("ORDERFLOW_LOG_LEVEL", "")
	t.Setenv("ORDERFLOW_NATS_URL", "nats://127.0.0.1:1")
	t.Setenv("ORDERFLOW_DATA", "/proc/orderflow")
	if status, _, stderr := once(t, t.TempDir(), "up", "--nats", occupied(t), "--http", "127.0.0.1:0", "--ephemeral"); status != exitAddressInUse {
		t.Errorf("flags do not win over the variables of what they replace: %d %s", status, stderr)
	}
	if status, _, stderr := once(t, t.TempDir(), "up", "--http", "127.0.0.1:0", "--ephemeral"); status != exitNoServer {
		t.Errorf("the variable of --nats-url is not read: %d %s", status, stderr)
	}
	if status, stdout, _ := once(t, t.TempDir(), "up", "--help"); status != 0 || !strings.Contains(stdout, "[$ORDERFLOW_NATS_URL]") {
		t.Errorf("help does not name the variables: %d %s", status, stdout)
	}
	deployed := []string{"up", "provision", "monitor", "healthcheck", "load", "backup"}
	for _, s := range services() {
		deployed = append(deployed, s.name)
	}
	root := newRoot()
	for _, name := range deployed {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		help, flags := cmd.UsageString(), 0
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			flags++
			if named := "[$ORDERFLOW_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")) + "]"; !strings.Contains(help, named) {
				t.Errorf("the help of %s does not name the variable %s", name, named)
			}
		})
		if flags == 0 {
			t.Errorf("%s has no flags", name)
		}
	}
}

// occupied is an address that somebody listens on.
func occupied(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// oldServer speaks just enough of the protocol to be a server from before
// atomic batches.
func oldServer(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintf(conn, "INFO {\"server_id\":\"OLD\",\"version\":\"2.9.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}\r\n")
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "PING") {
						fmt.Fprint(conn, "PONG\r\n")
					}
				}
			}()
		}
	}()
	return "nats://" + ln.Addr().String()
}

func natsServer(t *testing.T, opts *server.Options) *server.Server {
	opts.Host, opts.Port, opts.NoLog, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func plainServer(t *testing.T) string { return natsServer(t, &server.Options{}).ClientURL() }

func emptyServer(t *testing.T) string {
	return natsServer(t, &server.Options{JetStream: true, StoreDir: t.TempDir()}).ClientURL()
}

// foreignServer has a stream of the store's name whose messages can be deleted.
func foreignServer(t *testing.T) string {
	url := emptyServer(t)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ev.>"}}); err != nil {
		t.Fatal(err)
	}
	return url
}

// A service that still waits for its server stops as cleanly as one that runs.
func TestStopWhileStarting(t *testing.T) {
	p := begin(t, t.TempDir(), "saga", "--nats-url", "nats://127.0.0.1:1", "--wait", "1h")
	for deadline := time.Now().Add(patience); !strings.Contains(p.stderr.String(), "waiting for the nats server"); {
		if time.Now().After(deadline) {
			t.Fatal("does not say that it waits")
		}
		<-time.After(10 * time.Millisecond)
	}
	p.stop(t)
}
