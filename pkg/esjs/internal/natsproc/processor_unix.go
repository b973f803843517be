//go:build unix

package natsproc

import (
	"syscall"
	"time"
)

// ProcessorTime is what this process has used of all processors since its start; 0
// where the system does not tell.
func ProcessorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
