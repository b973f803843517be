//go:build browser

package browser

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/b144f99b/orderflow/test/program"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 180 * time.Second

var shots = flag.String("shots", "", "write a picture of every page in light, dark and phone width into this `directory`")

// What all tests share: the program, one system, full of what happens in a shop, and
// one browser.
var (
	orderflow string // its file
	site      string // URL of the system's HTTP server
	browser   context.Context
)

func TestMain(m *testing.M) {
	flag.Parse()
	status, err := withSystem(func() (int, error) { return withBrowser(m.Run) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// withSystem builds the program and runs a system while run runs.
func withSystem(run func() (int, error)) (status int, err error) {
	dir, err := os.MkdirTemp("", "orderflow-browser-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := program.Build(context.Background(), dir, program.Orderflow()); err != nil {
		return 0, err
	}
	orderflow = filepath.Join(dir, "orderflow")
	s, err := up()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	site = s.http
	return run()
}

// system is the program as a process of its own, by the URLs of its servers.
type system struct {
	http, nats string
	stop       func() error
}

// up runs "orderflow up" on free ports, with more flags, until it is stopped.
func up(flags ...string) (s system, err error) {
	up := exec.Command(orderflow, append([]string{"up", "--ephemeral", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "error"}, flags...)...)
	up.Dir, up.Stderr = filepath.Dir(orderflow), os.Stderr
	stdout, err := up.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := up.Start(); err != nil {
		return s, err
	}
	s.stop = func() error {
		_ = up.Process.Signal(os.Interrupt)
		return up.Wait()
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "HTTP":
			s.http = strings.Fields(rest)[0]
		case "NATS":
			s.nats = strings.Fields(rest)[0]
		case "Ctrl-C":
			return s, nil
		}
	}
	return s, errors.Join(errors.New("orderflow up ended before it was ready"), up.Wait())
}

// withBrowser starts Chromium while run runs.
func withBrowser(run func() int) (int, error) {
	allocator, end := chromedp.NewExecAllocator(context.Background(), chromedp.NoSandbox, chromedp.Headless, chromedp.WSURLReadTimeout(patience))
	defer end()
	var stop context.CancelFunc
	browser, stop = chromedp.NewContext(allocator)
	defer stop()
	if err := chromedp.Do(browser); err != nil {
		return 0, fmt.Errorf("chromium: %w (Debian's package is chromium)", err)
	}
	return run(), nil
}

// upFor is [up] for as long as a test runs.
func upFor(t *testing.T, flags ...string) system {
	t.Helper()
	s, err := up(flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}
