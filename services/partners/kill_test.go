package partners_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/services/partners"
)

// directoryVariable makes the test binary the partners' program: it names the
// ledger's directory.
const directoryVariable = "PARTNERS_TEST_DIRECTORY"

func TestMain(m *testing.M) {
	dir := os.Getenv(directoryVariable)
	if dir == "" {
		m.Run()
		return
	}
	s, err := partners.New(partners.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	go func() {
		addr, err := s.Addr(context.Background())
		fmt.Println(addr, err)
	}()
	panic(s.Run(context.Background()))
}

// program starts the partners as a process of their own and returns its URL.
func program(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), directoryVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, _, _ := strings.Cut(line, " ")
	if err != nil || addr == "" {
		t.Fatalf("the program said %q: %v", line, err)
	}
	return cmd, "http://" + addr
}

// kill ends a program as a power failure does; nothing of it can be cleaned up.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

func TestWhatWasAnsweredIsInTheLedgerAfterAKill(t *testing.T) {
	dir := t.TempDir()
	answered := 0
	for range 3 {
		cmd, url := program(t, dir)
		c := client{t, url}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				path, key := fmt.Sprintf("/psp/v1/payments/p%d/authorise", answered), fmt.Sprint("a", answered)
				if status, _, err := c.do(http.MethodPost, path, key, authorise("card-ok")); err != nil || status != 200 {
					return // killed while it worked
				}
				answered++
				if answered%20 == 0 {
					gone <- struct{}{}
				}
			}
		}()
		<-gone
		kill(t, cmd)
		for range gone { // until the client has noticed
		}
	}
	cmd, url := program(t, dir)
	defer kill(t, cmd)
	c := client{t, url}
	for i := range answered {
		if status, b := c.get(fmt.Sprintf("/psp/v1/payments/p%d", i)); status != 200 || b.Payment.Authorisations != 1 {
			t.Fatalf("p%d of %d was answered and is now %d %+v", i, answered, status, b)
		}
	}
	if answered < 60 {
		t.Errorf("only %d were answered", answered)
	}
}
