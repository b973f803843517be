//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/test/chaos/history"
)

// registersOn is a run whose registers are on one embedded server, with one writer behind faults.
func registersOn(t *testing.T, d *esjstest.Deployment, f *esjstest.Faults) *run {
	cfg := registerStore()
	cfg.Replicas = 1
	if err := esjs.Provision(t.Context(), d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{bucketSnapshots, bucketSubscriptions, bucketRows} {
		if err := esjs.ProvisionBucket(t.Context(), d.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
	r := newRun(config{}, &bytes.Buffer{})
	r.dir, r.r = t.TempDir(), newRecorder()
	for i := range writerStores + 2 {
		dial := d.Dial()
		if i == 0 {
			dial = f.Dial()
		}
		s, err := esjs.Open(t.Context(), dial, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		r.stores = append(r.stores, s)
	}
	agg, err := registers()
	if err != nil {
		t.Fatal(err)
	}
	r.codec = agg.Codec
	h, err := esjs.NewCommandHandler(t.Context(), r.stores[0], agg, esjs.HandlerConfig[register]{})
	if err != nil {
		t.Fatal(err)
	}
	r.writers = []*writer{{
		r: r.r, s: r.stores[0], handler: h, random: rand.New(rand.NewPCG(1, 1)), clock: new(atomic.Int64),
		known: map[string]esjs.Revision{}, patience: []time.Duration{300 * time.Millisecond},
	}}
	return r
}

// A writer that believes the conflict which answers what it has sent again is told, in the end, that its
// commit is not stored, while it is: the control that must fail.
func TestAWriterThatBelievesConflictsIsObjectedTo(t *testing.T) {
	for _, believes := range []bool{false, true} {
		d := esjstest.Server(t)
		f := d.Faults()
		r := registersOn(t, d, f)
		w := r.writers[0]
		w.believes = believes
		// The commit is stored, its acknowledgement is lost, and nobody answers what became of it before the writer gives up.
		f.LoseAcks(1)
		f.BeforeAppend(func() { f.LoseRequests(1) })
		w.append(history.Op{ID: "w"}, history.Append)
		r.readLog(t.Context(), r.stores[1])
		objected := slices.ContainsFunc(r.r.h.Check(), func(f history.Finding) bool { return f.Kind == history.Untruthful && f.Op == "w" })
		if outcome := r.r.h.Ops[0].Outcome; objected != believes || len(r.r.h.Log) != 1 || !believes && outcome != history.Unknown {
			t.Errorf("believes %t: it was told %s, %d commits are stored, and the checkers say %v", believes, outcome, len(r.r.h.Log), r.r.h.Check())
		}
	}
}

// The last checks of a run object to a log that is not there, is not whole, or was not handled to its end.
func TestTheLastChecksObject(t *testing.T) {
	for what, c := range map[string]struct {
		says  string
		spoil func(t *testing.T, d *esjstest.Deployment, r *run)
		deaf  bool // nobody subscribes
	}{
		"all is as it must be":         {},
		"nobody answers":               {says: "the log was not read", spoil: func(_ *testing.T, d *esjstest.Deployment, _ *run) { d.Stop(0) }},
		"the log is gone":              {says: "lost operation w", spoil: gone},
		"nobody handles and projects":  {says: "projections do not come to the end", deaf: true},
		"no subscription comes to end": {says: "subscriptions do not come to the end", deaf: true},
		"something else is in the log": {says: "the log was not read", spoil: foreign},
		"replicas have something else": {says: "verify", spoil: foreign},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := esjstest.Server(t)
			r := registersOn(t, d, d.Faults())
			running, stop := context.WithCancel(t.Context())
			var background sync.WaitGroup
			reading := running
			if c.deaf {
				ended, end := context.WithCancel(running)
				end()
				reading = ended
			}
			v, sessions, err := r.read(reading, &background)
			if err != nil {
				t.Fatal(err)
			}
			r.writers[0].append(history.Op{ID: "w"}, history.Append)
			if c.spoil != nil {
				c.spoil(t, d, r)
			}
			within := time.Minute
			if c.says != "" {
				within = 3 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			_ = r.finish(ctx, nil, v, sessions) // what it objects to is asked for
			got, lost := strings.Join(r.r.h.Wrong, "; "), false
			for _, f := range r.r.h.Check() {
				got += "; " + f.String()
				lost = lost || f.Kind == history.Lost
			}
			if c.says == "" && got != "" || !strings.Contains(got, c.says) || lost != strings.HasPrefix(c.says, "lost") {
				t.Errorf("objected %q, want %q", got, c.says)
			}
			cancel()
			stop()
			background.Wait()
			v.db.Close()
		})
	}
}

// A run in which servers do not become healthy any more is judged by the log that is there, and one in which
// something failed that is no objection is not judged.
func TestARunThatEndsEarlyIsJudgedByItsLog(t *testing.T) {
	for what, c := range map[string]struct {
		objects string
		stored  int
	}{
		"servers do not become healthy": {"after kill-all of n1: not all servers are healthy", 1},
		"the rig fails":                 {"", 0},
	} {
		t.Run(what, func(t *testing.T) {
			d := esjstest.Server(t)
			r := registersOn(t, d, d.Faults())
			running, stop := context.WithCancel(t.Context())
			var background sync.WaitGroup
			v, sessions, err := r.read(running, &background)
			if err != nil {
				t.Fatal(err)
			}
			r.writers[0].append(history.Op{ID: "w"}, history.Append)
			if c.objects != "" {
				r.r.object("%s", c.objects)
			}
			failed := errors.New("it failed")
			err = r.conclude(t.Context(), failed, nil, v, sessions)
			found := r.r.h.Check()
			lost := slices.ContainsFunc(found, func(f history.Finding) bool { return f.Kind == history.Lost })
			if !errors.Is(err, failed) || len(r.r.h.Log) != c.stored || lost || (r.r.h.Unread == "") != (c.stored > 0) {
				t.Errorf("%v; %d commits are read (%s), and the checkers say %v", err, len(r.r.h.Log), r.r.h.Unread, found)
			}
			stop()
			background.Wait()
			v.db.Close()
		})
	}
}

// gone deletes the stream.
func gone(t *testing.T, d *esjstest.Deployment, _ *run) {
	if _, err := d.Connect(t).Request("$JS.API.STREAM.DELETE."+registerStore().Stream, nil, time.Minute); err != nil {
		t.Fatal(err)
	}
}

// foreign stores what is no commit where commits are.
func foreign(t *testing.T, d *esjstest.Deployment, _ *run) {
	nc := d.Connect(t)
	if _, err := nc.Request("chaos."+category+".hot-0", []byte("what is this"), time.Minute); err != nil {
		t.Fatal(err)
	}
}

// A run that passed leaves nothing, and any other one everything, with its history.
func TestWhatARunLeaves(t *testing.T) {
	for status, stays := range map[int]bool{exitPassed: false, exitObjected: true, exitFailed: true} {
		var out bytes.Buffer
		r := newRun(config{}, &out)
		r.dir, r.r = filepath.Join(t.TempDir(), "run"), newRecorder()
		if err := os.MkdirAll(filepath.Join(r.dir, "n1"), 0o700); err != nil {
			t.Fatal(err)
		}
		r.r.object("something is wrong")
		if err := r.leave(status); err != nil {
			t.Fatal(err)
		}
		h, err := history.ReadFile(filepath.Join(r.dir, "history.jsonl"))
		_, gone := os.Stat(filepath.Join(r.dir, "n1"))
		if stays != (err == nil) || stays != (gone == nil) || stays && (len(h.Wrong) != 1 || !strings.Contains(out.String(), r.dir)) {
			t.Errorf("status %d: the history is %v (%v), the servers' directory %v; it says %s", status, h, err, gone, out.String())
		}
	}
}
