package damage

import (
	"os"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// bin is where TestMain puts the programs under test.
var bin string

func TestMain(m *testing.M) {
	os.Exit(program.Run(func(dir string) int {
		bin = dir
		return m.Run()
	}, program.Orderflow(), program.NATSServer()))
}
