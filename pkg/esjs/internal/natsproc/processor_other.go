//go:build !unix

package natsproc

import "time"

// ProcessorTime is not known here.
func ProcessorTime() time.Duration { return 0 }
