package esjs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// lines keeps a log as "LEVEL message subscription: error".
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(line []byte) (int, error) {
	var r struct{ Level, Msg, Subscription, Error string }
	if err := json.Unmarshal(line, &r); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf("%s %s %s: %s", r.Level, r.Msg, r.Subscription, r.Error))
	return len(line), nil
}

func (l *lines) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.all, "\n"), line)
}

func TestLogObserverWritesWhatGoesWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	log := &lines{}
	cfg := r.cfg
	cfg.Observer = esjs.LogObserver(slog.New(slog.NewJSONHandler(log, nil)))
	run := r.start(t, cfg, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
		if e.Stream.Key == "bad" {
			return esjs.Park(errors.New("no good"))
		}
		return nil
	})
	r.tick(t, "good")
	r.tick(t, "bad")
	r.waitForParked(t, "clock/bad", 1)
	run.stopped(t)
	for _, want := range []string{"ERROR handling failed test: park: no good", "WARN keys are parked test: "} {
		if !log.has(want) {
			t.Errorf("the log has no %q: %q", want, log.all)
		}
	}
	if len(log.all) != 2 {
		t.Errorf("the log has more than that: %q", log.all)
	}
	// What the domain refuses is normal work.
	refused := esjs.DecisionInfo{Stream: clock("a"), Attempts: 1, Err: esjs.Reject("no", "it is not possible")}
	cfg.Observer.Decided(refused)
	refused.Err = esjs.ErrStoreFull
	cfg.Observer.Decided(refused)
	if len(log.all) != 3 || !log.has("ERROR a command failed : esjs: store full") {
		t.Errorf("of the commands it has %q", log.all)
	}
	// Of snapshots that are not stored one is enough: they fail together.
	cfg.Observer.SnapshotStored(esjs.SnapshotInfo{Stream: clock("a")})
	cfg.Observer.SnapshotStored(esjs.SnapshotInfo{Stream: clock("a"), Err: &esjs.ErasedError{Person: "p-1"}})
	for range 3 {
		cfg.Observer.SnapshotStored(esjs.SnapshotInfo{Stream: clock("a"), Err: esjs.ErrStoreFull})
	}
	if len(log.all) != 4 || !log.has("WARN a snapshot was not stored : esjs: store full") {
		t.Errorf("of the snapshots it has %q", log.all)
	}
}
