package kvsink

import "time"

// ReleaseStays changes for how long a sink waits for another one's release.
func ReleaseStays(s *Sink, d time.Duration) { s.releaseStays = d }
