//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/test/chaos/history"
	"github.com/b144f99b/orderflow/test/chaos/rig"
)

const category = "register"

// hotKeys are those for which all writers race, by partition: four, or two in each of several partitions.
func hotKeys(partitions int) [][]string {
	keys, each := make([][]string, max(partitions, 1)), 4
	if len(keys) > 1 {
		each = 2
	}
	for i, missing := 0, len(keys)*each; missing > 0; i++ {
		key := fmt.Sprint("hot-", i)
		if p := esjs.Partition(key, len(keys)); len(keys[p]) < each {
			keys[p] = append(keys[p], key)
			missing--
		}
	}
	return keys
}

// written is the one event of registers: the operation that wrote it.
type written struct {
	Op string `json:"op"`
}

// EventType is the stored name.
func (written) EventType() string { return "Written" }

// register is the state: what a load shows.
type register struct {
	Version uint64 `json:"version"`
	Sum     uint64 `json:"sum"`
}

// write is the command.
type write struct {
	op     string
	events int
}

func registers() (esjs.Aggregate[register, write, written], error) {
	codec, err := esjs.NewCodec(esjs.TypeOf[written, written]())
	return esjs.Aggregate[register, write, written]{
		Category: category,
		Codec:    codec,
		Apply: func(r register, e written) register {
			return register{r.Version + 1, history.Sum(r.Sum, e.Op)}
		},
		Decide: func(_ register, w write) (events []written, _ error) {
			for range w.events {
				events = append(events, written{w.op})
			}
			return events, nil
		},
	}, err
}

// writer is one client: it does one thing after the other, and keeps what it was told.
type writer struct {
	id, store int
	r         *recorder
	s         *esjs.Store
	handler   *esjs.CommandHandler[register, write, written]
	random    *rand.Rand
	clock     *atomic.Int64 // nanoseconds by which its clock is wrong
	hot       [][]string    // keys, by partition
	known     map[string]esjs.Revision
	count     int
	pause     time.Duration   // between two operations
	patience  []time.Duration // see deadline
	believes  bool            // conflicts that answer what it has sent again: the control that must fail
}

// patience is how long clients wait: often too short to know what became of a write.
var patience = []time.Duration{300 * time.Millisecond, 3 * time.Second, 20 * time.Second, 20 * time.Second}

// run works until ctx ends; what it has begun it ends.
func (w *writer) run(ctx context.Context) {
	w.known = map[string]esjs.Revision{}
	for rig.Pause(ctx, w.pause) == nil {
		w.count++
		op := history.Op{ID: fmt.Sprintf("w%d-%d", w.id, w.count), Client: w.id, Store: w.store}
		switch n := w.random.IntN(100); {
		case n < 30:
			w.append(op, history.Append)
		case n < 36:
			w.append(op, history.Version)
		case n < 46:
			w.append(op, history.Any)
		case n < 58:
			w.batch(op)
		case n < 72:
			w.command(op)
		case n < 90:
			w.load(op, w.key())
		default:
			w.read(op)
		}
		_ = rig.Pause(ctx, time.Duration(w.random.IntN(int(30*time.Millisecond)))) // the loop ends with ctx
	}
}

// key is one of those that all race for, or now and then its own.
func (w *writer) key() string {
	if w.random.IntN(5) == 0 {
		return fmt.Sprint("own-", w.id)
	}
	each := len(w.hot[0])
	i := w.random.IntN(len(w.hot) * each)
	return w.hot[i/each][i%each]
}

// deadline is how long the client waits for one operation.
func (w *writer) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), w.patience[w.random.IntN(len(w.patience))])
}

func streamID(key string) esjs.StreamID { return esjs.StreamID{Category: category, Key: key} }

func eventsOf(op string, n int) (events []esjs.Event) {
	for range n {
		events = append(events, written{op})
	}
	return events
}

// planned is a commit as it is to be written, on both sides.
func (w *writer) planned(op, key string, kind history.Kind) (history.Write, esjs.Write) {
	n := 1 + w.random.IntN(3)
	known := w.known[key]
	told := history.Write{Key: key, Events: n, Expected: int64(known.Version())}
	out := esjs.Write{Stream: streamID(key), Expect: esjs.AtRevision(known), Events: eventsOf(op, n)}
	switch {
	case kind == history.Version:
		out.Expect = esjs.ExpectVersion(known.Version())
	case kind == history.Any:
		out.Expect, told.Expected = esjs.Any(), history.Open
	}
	if wrong := w.clock.Load(); wrong != 0 {
		out.Time = time.Now().Add(time.Duration(wrong))
	}
	return told, out
}

func (w *writer) append(op history.Op, kind history.Kind) {
	op.Kind = kind
	told, out := w.planned(op.ID, w.key(), kind)
	w.appendAll(op, []history.Write{told}, []esjs.Write{out})
}

func (w *writer) batch(op history.Op) {
	op.Kind = history.Batch
	var (
		told []history.Write
		out  []esjs.Write
	)
	keys := w.hot[0]
	if len(w.hot) > 1 { // a batch is within one partition
		keys = w.hot[w.random.IntN(len(w.hot))]
	}
	for _, hot := range w.random.Perm(len(keys))[:min(len(keys), 2+w.random.IntN(2))] {
		t, o := w.planned(op.ID, keys[hot], history.Append)
		told, out = append(told, t), append(out, o)
	}
	w.appendAll(op, told, out)
}

func (w *writer) appendAll(op history.Op, told []history.Write, out []esjs.Write) {
	op.Call = w.r.now()
	stored, err := w.send(out)
	if w.believes && op.Kind != history.Any && errors.Is(err, esjs.ErrUnknownOutcome) { // without an expectation there is no conflict
		stored, err = w.send(out)
	}
	for i, s := range stored {
		at := s.Revision.Position()
		told[i].After, told[i].Partition, told[i].Sequence = s.Revision.Version(), at.Partition(), at.Sequence()
		w.known[told[i].Key] = s.Revision
	}
	op.Writes = told
	judge(&op, err)
	w.r.done(op)
	if op.Outcome == history.Acknowledged {
		return
	}
	again := op.Client*1_000_000 + w.count
	for i, t := range told { // what it knew is old
		w.load(history.Op{ID: fmt.Sprintf("l%d-%d", again, i), Client: w.id, Store: w.store}, t.Key)
	}
}

func (w *writer) send(all []esjs.Write) ([]esjs.Appended, error) {
	ctx, cancel := w.deadline()
	defer cancel()
	return w.s.AppendAll(ctx, all...)
}

// judge reads an error of an append as the contract says it is to be read.
func judge(op *history.Op, err error) {
	var conflict *esjs.ConflictError
	switch {
	case err == nil:
		op.Outcome = history.Acknowledged
		return
	case errors.As(err, &conflict):
		op.Outcome = history.Conflict
		op.Against = &history.Against{Key: conflict.Stream.Key, Expected: conflict.Expected, Actual: conflict.Actual}
	case errors.Is(err, esjs.ErrUnknownOutcome):
		op.Outcome = history.Unknown
	default:
		op.Outcome = history.Refused
	}
	op.Error = err.Error()
}

// command sends a command, again with its id while the outcome is not known.
func (w *writer) command(op history.Op) {
	op.Kind = history.Command
	key, cmd := w.key(), write{op.ID, 1 + w.random.IntN(3)}
	told := history.Write{Key: key, Events: cmd.events, Expected: history.Open}
	op.Call = w.r.now()
	perhaps := false
	for attempt := 1; ; attempt++ {
		ctx, cancel := w.deadline()
		result, err := w.handler.Handle(ctx, key, cmd, esjs.WithMetadata(esjs.Metadata{CommandID: op.ID, CommandHash: esjs.CommandHash("write", []byte(op.ID))}))
		cancel()
		judge(&op, err)
		if err == nil {
			at := result.Revision.Position()
			told.After, told.Partition, told.Sequence = result.Version, at.Partition(), at.Sequence()
			break
		}
		perhaps = perhaps || op.Outcome == history.Unknown
		if attempt == 5 || !perhaps {
			break
		}
	}
	if op.Outcome != history.Acknowledged && perhaps {
		op.Outcome, op.Against = history.Unknown, nil
	}
	op.Writes = []history.Write{told}
	w.r.done(op)
}

// load asks the leader.
func (w *writer) load(op history.Op, key string) {
	op.Kind = history.Load
	ctx, cancel := w.deadline()
	defer cancel()
	op.Call = w.r.now()
	loaded, err := w.handler.Load(ctx, key, esjs.Fresh())
	if err != nil {
		op.Outcome, op.Error = history.Unknown, err.Error()
		w.damaged(err)
		w.r.done(op)
		return
	}
	op.Outcome = history.Acknowledged
	op.Shown = &history.Shown{Key: key, Version: loaded.Revision.Version(), Sum: loaded.State.Sum}
	w.r.done(op)
	w.known[key] = loaded.Revision
}

// read asks any replica for the newest events.
func (w *writer) read(op history.Op) {
	op.Kind = history.Read
	key := w.key()
	shown := &history.Shown{Key: key}
	ctx, cancel := w.deadline()
	defer cancel()
	op.Call = w.r.now()
	var err error
	for record, e := range w.s.Read(ctx, streamID(key), math.MaxUint64, 1) {
		if err = e; err != nil {
			break
		}
		shown.Version = max(shown.Version, record.Version)
		shown.Newest = append(shown.Newest, operationOf(record))
		if len(shown.Newest) == 10 {
			break
		}
	}
	if err != nil && !errors.Is(err, esjs.ErrNotFound) {
		op.Outcome, op.Error = history.Unknown, err.Error()
		w.damaged(err)
	} else {
		op.Outcome, op.Shown = history.Acknowledged, shown
	}
	w.r.done(op)
}

// damaged notes that something stored is said to be damaged.
func (w *writer) damaged(err error) {
	if corrupt := (*esjs.CorruptError)(nil); errors.As(err, &corrupt) {
		w.r.object("a writer is told that the log is damaged: %v", err)
	}
}
