package sqlsink_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

// away is a sink one of whose calls may not be made, until it is back.
type away struct {
	*sqlsink.Sink
	mu   sync.Mutex
	call string
}

func (a *away) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.call = ""
}

func (a *away) gone(call string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if call != a.call {
		return nil
	}
	return fmt.Errorf("%w: permission denied", esjs.ErrUnavailable)
}

func (a *away) Commit(ctx context.Context, name string, step step) error {
	if err := a.gone("commit"); err != nil {
		return err
	}
	return a.Sink.Commit(ctx, name, step)
}

func (a *away) Load(ctx context.Context, name string) (esjs.Checkpoint, error) {
	if err := a.gone("load"); err != nil {
		return esjs.Checkpoint{}, err
	}
	return a.Sink.Load(ctx, name)
}

func (a *away) Live(ctx context.Context, projection string) (string, error) {
	if err := a.gone("live"); err != nil {
		return "", err
	}
	return a.Sink.Live(ctx, projection)
}

func (a *away) Promote(ctx context.Context, from, to string) error {
	if err := a.gone("promote"); err != nil {
		return err
	}
	return a.Sink.Promote(ctx, from, to)
}

// told is a log whose lines a test may wait for.
type told chan string

func (l told) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default: // nobody reads so many
	}
	return len(line), nil
}

func (l told) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return line
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
		return ""
	}
}

// A database that takes nothing is waited for, and somebody is told: each time that a transaction has failed, and once a
// second of what cannot be asked.
func TestAnUnavailableSinkIsTold(t *testing.T) {
	for call, n := range map[string]int{"commit": 1, "load": 1, "live": 2, "promote": 2} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			store, db := esjstest.Server(t).Store(t), openTemp(t)
			_, last := fill(t, store, 10, 5)
			if n > 1 { // another version is live
				first := run(t, store, db, version(t, 1), esjs.ProjectionConfig{})
				first.waitFor(t, last)
				first.stop(t)
			}
			sink, log := &away{Sink: sqlsink.New(db), call: call}, make(told, 1000)
			p := start(t, db, esjs.NewProjector(store, sink, version(t, n), esjs.ProjectionConfig{
				Retry: esjs.Backoff{First: time.Millisecond, Max: time.Millisecond}, Observer: esjs.LogObserver(slog.New(slog.NewTextHandler(log, nil))),
			}))
			want := fmt.Sprintf(`level=ERROR msg="handling failed" subscription=sums_v%d`, n)
			var first time.Time
			for range 2 {
				if line := log.next(t); !strings.Contains(line, want) || !strings.Contains(line, "permission denied") {
					t.Fatalf("told %q", line)
				}
				if since := time.Since(first); call != "commit" && since < time.Second*9/10 {
					t.Errorf("told again after %s", since)
				}
				first = time.Now()
			}
			sink.back()
			p.waitFor(t, appended(t, store, "a/1", Added{N: 1}))
			wantLive(t, db, fmt.Sprintf("sums_v%d", n))
		})
	}
}
