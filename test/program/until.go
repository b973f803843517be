package program

import (
	"testing"
	"time"
)

// Until waits for what nothing announces, and fails the test when it is not so within patience.
func Until(t testing.TB, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); <-time.After(100 * time.Millisecond) { // it is asked again
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
