package pgtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

var (
	// shared is the server of this test binary. It is started by the first test
	// that asks, and ends with the binary.
	shared    = sync.OnceValues(func() (*Server, error) { return Start(context.Background(), "fsync=off") })
	databases atomic.Int64
)

// TB is what [Database] needs of a *testing.T or a *testing.B; this package is also
// linked into programs, which have no use for package testing.
type TB interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

// Database returns the URL of an empty database, on a server that the tests of a
// binary share. Without an installed PostgreSQL the test fails and says so.
func Database(t TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Create(t.Context(), fmt.Sprintf("test%d", databases.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return url
}
