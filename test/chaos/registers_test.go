//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
func registersOn(t *testing.T, d *esjstest.Deployment, f *esjstest.Faults, partitions int) *run {
	r := newRun(config{partitions: partitions}, &bytes.Buffer{})
	cfg := r.store()
	cfg.Replicas = 1
	if err := esjs.Provision(t.Context(), d.Dial(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{bucketSnapshots, bucketSubscriptions, bucketRows} {
		if err := esjs.ProvisionBucket(t.Context(), d.Dial(), bucket, 1); err != nil {
			t.Fatal(err)
		}
	}
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
		hot: hotKeys(partitions), known: map[string]esjs.Revision{}, patience: []time.Duration{300 * time.Millisecond},
	}}
	return r
}

// A writer that believes the conflict which answers what it has sent again is told, in the end, that its
// commit is not stored, while it is: the control that must fail.
func TestAWriterThatBelievesConflictsIsObjectedTo(t *testing.T) {
	for _, believes := range []bool{false, true} {
		d := esjstest.Server(t)
		f := d.Faults()
		r := registersOn(t, d, f, 1)
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
		waits bool // for what does not happen
	}{
		"all is as it must be":         {},
		"nobody answers":               {says: "the log was not read", waits: true, spoil: func(_ *testing.T, d *esjstest.Deployment, _ *run) { d.Stop(0) }},
		"the log is gone":              {says: "lost operation w", spoil: gone},
		"nobody handles and projects":  {says: "projections do not come to the end", deaf: true, waits: true},
		"no subscription comes to end": {says: "subscriptions do not come to the end", deaf: true, waits: true},
		"something else is in the log": {says: "the log was not read", spoil: foreign},
		"replicas have something else": {says: "verify", spoil: foreign},
	} {
		for partitions := 1; partitions <= 2; partitions++ {
			t.Run(fmt.Sprintf("%s, %d partitions", what, partitions), func(t *testing.T) {
				t.Parallel()
				d := esjstest.Server(t)
				r := registersOn(t, d, d.Faults(), partitions)
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
				r.filled()
				if c.spoil != nil {
					c.spoil(t, d, r)
				}
				within := time.Minute
				if c.waits {
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
}

// filled lets the writer write each hot key, and batches over those of one partition.
func (r *run) filled() {
	w := r.writers[0]
	w.patience = []time.Duration{time.Minute}
	for p, keys := range w.hot {
		for i, key := range keys {
			op := history.Op{ID: fmt.Sprintf("w%d-%d", p, i), Kind: history.Append}
			told, out := w.planned(op.ID, key, op.Kind)
			w.appendAll(op, []history.Write{told}, []esjs.Write{out})
		}
	}
	for i := range 5 {
		w.batch(history.Op{ID: fmt.Sprint("b", i)})
	}
}

// Writers race for keys of each partition, and a batch of them is within one.
func TestWritersReachAllPartitions(t *testing.T) {
	d := esjstest.Server(t)
	r := registersOn(t, d, d.Faults(), 2)
	r.filled()
	if _, whole := r.readLog(t.Context(), r.stores[1]); !whole {
		t.Fatalf("the log was not read: %s", r.r.h.Unread)
	}
	in := map[int]int{}
	for _, c := range r.r.h.Log {
		in[c.Partition]++
	}
	for _, op := range r.r.h.Ops {
		if op.Outcome != history.Acknowledged {
			t.Errorf("%+v", op)
		}
	}
	if found := r.r.h.Check(); len(found) > 0 || in[0] < 2 || in[1] < 2 || len(in) != 2 {
		t.Errorf("commits by partition: %v; the checkers say %v", in, found)
	}
	if keys := hotKeys(1); len(keys) != 1 || !slices.Equal(keys[0], []string{"hot-0", "hot-1", "hot-2", "hot-3"}) {
		t.Errorf("of one partition the keys are %v", keys)
	}
}

// What a stream had that is gone is lost, and of another stream nothing is.
func TestOneOfTwoStreamsIsGone(t *testing.T) {
	d := esjstest.Server(t)
	r := registersOn(t, d, d.Faults(), 2)
	r.filled()
	gone(t, d, r)
	if _, whole := r.readLog(t.Context(), r.stores[1]); whole || r.r.h.Unread != "" {
		t.Fatalf("the log is whole: %t; not read: %q", whole, r.r.h.Unread)
	}
	lost := 0
	for _, f := range r.r.h.Check() {
		switch p := esjs.Partition(f.Key, 2); {
		case f.Kind == history.Lost && p == 0:
			lost++
		case f.Key != "" && p == 1:
			t.Error(f)
		}
	}
	if lost < 2 || len(r.r.h.Log) < 2 || !slices.Contains(r.r.h.Wrong, "the stream CHAOS of the registers is gone") {
		t.Errorf("%d are lost, %d are there, objected %q", lost, len(r.r.h.Log), r.r.h.Wrong)
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
			r := registersOn(t, d, d.Faults(), 1)
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

// gone deletes the first stream.
func gone(t *testing.T, d *esjstest.Deployment, r *run) {
	if _, err := d.Connect(t).Request("$JS.API.STREAM.DELETE."+r.streams()[0], nil, time.Minute); err != nil {
		t.Fatal(err)
	}
}

// foreign stores what is no commit where commits of the last stream are.
func foreign(t *testing.T, d *esjstest.Deployment, r *run) {
	w := r.writers[0]
	_, prefix := r.store().StreamOf(len(w.hot) - 1)
	if _, err := d.Connect(t).Request(prefix+"."+category+"."+w.hot[len(w.hot)-1][0], []byte("what is this"), time.Minute); err != nil {
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
