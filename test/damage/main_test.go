package damage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is where TestMain puts the programs under test.
var bin string

func TestMain(m *testing.M) {
	status, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func buildAndRun(m *testing.M) (status int, err error) {
	if bin, err = os.MkdirTemp("", "orderflow-damage-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	for name, from := range map[string]string{"orderflow": "./cmd/orderflow", "nats-server": "github.com/nats-io/nats-server/v2"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(bin, name), from)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("go build %s: %w", from, err)
		}
	}
	return m.Run(), nil
}
