package esjs_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Benchmarks measure against a nats-server in a process of its own, as users
// run it: the server's allocations and garbage collection are then not counted
// as the library's, and a round trip costs what it costs them. The test binary
// is that process when serverProcess is set in its environment.
const serverProcess = "ESJS_TEST_SERVER_PROCESS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverProcess); dir != "" {
		os.Exit(serve(dir))
	}
	os.Exit(m.Run())
}

// serve runs a server until standard input ends.
func serve(dir string) int {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench",
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: 64 << 30,
		SyncAlways: strings.HasSuffix(dir, syncAlways),
		NoLog:      true, NoSigs: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return 1
	}
	fmt.Println(s.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	s.WaitForShutdown()
	return 0
}

// syncAlways is the end of the directory of a server that syncs each write.
const syncAlways = "-always"

// startServerProcess returns the URL of a server that ends with the benchmark.
func startServerProcess(b *testing.B, sync string) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverProcess+"="+b.TempDir()+"/"+"store-"+sync)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the server process: %v", err)
	}
	return strings.TrimSpace(url)
}
