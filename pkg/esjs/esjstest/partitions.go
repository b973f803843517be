package esjstest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// OnPartitions runs tests of the test's package again, by their names, in a process of their own
// in which stores are spread over so many partitions. It fails when one of them fails or does not run.
func OnPartitions(t *testing.T, partitions int, tests ...string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^("+strings.Join(tests, "|")+")$")
	run.Env = append(os.Environ(), "ESJSTEST_PARTITIONS="+strconv.Itoa(partitions))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range tests {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
}
