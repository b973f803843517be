package k8s

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// What the pods of the overlay for development ask for together is on the page, for who has one machine.
func TestThePageSaysWhatIsAskedFor(t *testing.T) {
	millis, bytes := 0, int64(0)
	for _, w := range render(t, "dev").workloads() {
		copies := max(1, decode[int](at(w.object, "spec", "replicas")))
		for _, a := range w.containers() {
			cpu, err := strconv.Atoi(strings.TrimSuffix(a.Resources.Requests["cpu"], "m"))
			if err != nil {
				t.Fatal(err)
			}
			millis += copies * cpu
			bytes += int64(copies) * quantity(a.Resources.Requests["memory"])
		}
	}
	page, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%.1f processors and %d MiB", float64(millis)/1000, bytes>>20); !strings.Contains(string(page), want) {
		t.Errorf("%s does not say %q", readme, want)
	}
}
