package history

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Notices is for how long a leader that heard nothing of the others may go on answering as leader after it can hear
// them again. Lines that were cut carry something again after at most as long as they were cut (TCP waits twice as
// long each time before it sends again), and 20 s after the last word of the others a leader resigns by itself:
// lostQuorumInterval and lostQuorumCheck of the server's raft.go, of 10 s each. So a cut of 10 s is the worst.
const Notices = 10 * time.Second

// decideWithin bounds the search for an order of one aggregate's operations.
const decideWithin = 5 * time.Minute

// register is an aggregate as the model has it: its version and the sum of its events.
type register struct{ version, sum uint64 }

// step is what one operation did to one aggregate, or saw of it.
type step struct {
	op     string
	events int // that it stored, up to version
	// version is that after a write, that which a load showed, or that which a
	// conflict names.
	version uint64
	sum     uint64
	summed  bool // sum is known
}

// model is a register with compare-and-set: a write follows the version before it, a
// load and a conflict see the version of their moment.
var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		is, does := state.(register), input.(step)
		if does.events == 0 {
			return does.version == is.version && (!does.summed || does.sum == is.sum), is
		}
		if is.version+uint64(does.events) != does.version {
			return false, is
		}
		for range does.events {
			is.sum = Sum(is.sum, does.op)
		}
		is.version = does.version
		return true, is
	},
	Equal: func(a, b any) bool { return a.(register) == b.(register) },
}

// checkOrder asks for each aggregate whether there is an order of its operations that
// respects their times and explains what everybody was told. Where there is none, and there
// is one in which leaders that may have been deaf show what was there when they became so, they
// were behind: that is another, and smaller, finding. See [History.since].
func (h *History) checkOrder(x index) []Finding {
	operations := h.operations(x, func(op Op) time.Duration { return op.Call })
	excused := h.operations(x, h.since)
	keys := slices.Sorted(maps.Keys(operations))
	results := make([][]Finding, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() {
			text := fmt.Sprintf("%s: %d operations are not linearizable", key, len(operations[key]))
			kind := Order
			switch linearizable(operations[key]) {
			case porcupine.Ok:
				return
			case porcupine.Unknown:
				text = fmt.Sprintf("%s: whether %d operations are linearizable was not decided in %s", key, len(operations[key]), decideWithin)
			default:
				if linearizable(excused[key]) == porcupine.Ok {
					kind = Old
				}
			}
			explained := h.explain(key, x)
			if kind == Order || len(explained) == 0 {
				explained = append(explained, Finding{Kind: kind, Key: key, Text: text})
			}
			results[i] = explained
		})
	}
	all.Wait()
	return slices.Concat(results...)
}

// since is from when on an answer of a leader may be. That is the time at which it was asked,
// and only where a fault may have let a leader hear nothing of the others the time at which that fault began.
func (h *History) since(op Op) time.Duration {
	for _, f := range h.Faults {
		if f.Deaf && f.Begun <= op.Return && (f.Healed == 0 || op.Call <= f.Healed+Notices) {
			return min(op.Call, f.Begun)
		}
	}
	return op.Call
}

func linearizable(operations []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, operations, decideWithin)
}

// operations are the steps of each aggregate. A write whose outcome its client did
// not learn is one when the log has it, and may then have happened at any later time. What
// a leader showed is of no earlier time than since says.
func (h *History) operations(x index, since func(Op) time.Duration) map[string][]porcupine.Operation {
	all := map[string][]porcupine.Operation{}
	for _, op := range h.Ops {
		add := func(key string, s step, begin, end time.Duration) {
			s.op = op.ID
			all[key] = append(all[key], porcupine.Operation{ClientId: op.Client, Input: s, Call: int64(begin), Return: int64(end)})
		}
		switch {
		case op.Kind == Load && op.Shown != nil:
			add(op.Shown.Key, step{version: op.Shown.Version, sum: op.Shown.Sum, summed: true}, since(op), op.Return)
		case op.Against != nil:
			add(op.Against.Key, step{version: op.Against.Actual}, since(op), op.Return)
		}
		if !op.Kind.Writes() {
			continue
		}
		end := op.Return
		if op.Outcome != Acknowledged {
			end = math.MaxInt64
		}
		for _, w := range op.Writes {
			if c, stored := x.ops[op.ID][w.Key]; stored {
				add(w.Key, step{events: len(c.Ops), version: c.last()}, op.Call, end)
			}
		}
	}
	return all
}

// explain names operations that no order can explain: a load or a conflict of a
// version that was over before it began, or that came only after it had ended.
func (h *History) explain(key string, x index) (found []Finding) {
	begun, over := map[uint64]time.Duration{}, map[uint64]time.Duration{} // when a version was first asked for, and when known to be
	for _, op := range h.Ops {
		for _, w := range op.Writes {
			c, stored := x.ops[op.ID][w.Key]
			if w.Key != key || !stored {
				continue
			}
			begun[c.last()] = op.Call
			if op.Outcome == Acknowledged {
				over[c.last()] = op.Return
			}
		}
	}
	for _, op := range h.Ops {
		var version uint64
		switch {
		case op.Kind == Load && op.Shown != nil && op.Shown.Key == key:
			version = op.Shown.Version
		case op.Against != nil && op.Against.Key == key:
			version = op.Against.Actual
		default:
			continue
		}
		later, at := uint64(0), time.Duration(math.MaxInt64) // the first of those that were over
		for v, was := range over {
			if v > version && was < at {
				later, at = v, was
			}
		}
		if at < op.Call {
			kind := Old
			if at < h.since(op) {
				kind = Order
			}
			found = append(found, Finding{Kind: kind, Op: op.ID, Key: key, Text: fmt.Sprintf(
				"%s: a %s from %v to %v says version %d, and version %d was acknowledged at %v", key, op.Kind, op.Call, op.Return, version, later, at)})
		}
		if at, written := begun[version]; written && at > op.Return {
			found = append(found, Finding{Kind: Order, Op: op.ID, Key: key, Text: fmt.Sprintf(
				"%s: a %s until %v says version %d, which was written from %v on", key, op.Kind, op.Return, version, at)})
		}
	}
	return found
}
