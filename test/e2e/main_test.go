// Package e2e tests the whole system from outside: the program as a process of
// its own, commands by the real nats CLI, by orderflow's own and over HTTP.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/test/program"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// bin is where TestMain puts the programs under test, first in PATH.
var bin string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		if err := curl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(program.Run(func(dir string) int {
		bin = dir
		if err := linkCurl(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}, program.Orderflow(), program.NATSServer(), program.NATS()))
}

// linkCurl makes this test binary the curl of README's commands.
func linkCurl() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(bin, "curl"))
}

// root is the repository's.
func root() string { return filepath.Join("..", "..") }
