package history

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// sound is a history in which everything is as it must be: each thing that the
// checks look at is in it.
func sound() *History {
	log := Log{
		{Sequence: 1, Key: "a", First: 1, Ops: []string{"w1"}, Times: []int64{10}},
		{Sequence: 2, Key: "a", First: 2, Ops: []string{"w2", "w2"}, Times: []int64{11, 11}},
		{Sequence: 3, Key: "a", First: 4, Ops: []string{"both"}, Times: []int64{12}},
		{Sequence: 4, Key: "b", First: 1, Ops: []string{"both"}, Times: []int64{12}},
		{Sequence: 5, Key: "b", First: 2, Ops: []string{"unheard"}, Times: []int64{13}},
	}
	h := &History{
		Log:    log,
		Faults: []Fault{{Name: "kill-one", Target: "n1", Begun: 25 * ms, Healed: 30 * ms, Served: 35 * ms}},
		Ops: []Op{
			{ID: "w1", Kind: Append, Call: 0, Return: 10 * ms, Outcome: Acknowledged, Writes: []Write{{Key: "a", Events: 1, Expected: 0, After: 1, Sequence: 1}}},
			{ID: "w2", Client: 1, Kind: Any, Call: 5 * ms, Return: 20 * ms, Outcome: Acknowledged, Writes: []Write{{Key: "a", Events: 2, Expected: Open, After: 3, Sequence: 2}}},
			{ID: "beaten", Client: 2, Kind: Version, Call: 6 * ms, Return: 22 * ms, Outcome: Conflict, Error: "conflict",
				Writes: []Write{{Key: "a", Events: 1, Expected: 1}}, Against: &Against{Key: "a", Expected: 1, Actual: 3}},
			{ID: "both", Kind: Batch, Call: 30 * ms, Return: 40 * ms, Outcome: Acknowledged, Fault: "kill-one",
				Writes: []Write{{Key: "a", Events: 1, Expected: 3, After: 4, Sequence: 3}, {Key: "b", Events: 1, Expected: 0, After: 1, Sequence: 4}}},
			{ID: "unheard", Client: 1, Kind: Append, Call: 41 * ms, Return: 50 * ms, Outcome: Unknown, Fault: "kill-one", Writes: []Write{{Key: "b", Events: 1, Expected: 1}}},
			{ID: "unstored", Client: 2, Kind: Append, Call: 41 * ms, Return: 50 * ms, Outcome: Unknown, Fault: "kill-one", Writes: []Write{{Key: "b", Events: 1, Expected: 1}}},
			{ID: "full", Client: 3, Kind: Append, Call: 41 * ms, Return: 50 * ms, Outcome: Refused, Fault: "kill-one", Writes: []Write{{Key: "b", Events: 1, Expected: 1}}},
			{ID: "seen", Client: 4, Kind: Load, Call: 60 * ms, Return: 70 * ms, Outcome: Acknowledged, Shown: &Shown{Key: "a", Version: 4, Sum: fold("w1", "w2", "w2", "both")}},
			{ID: "read", Client: 4, Store: 1, Kind: Read, Call: 71 * ms, Return: 72 * ms, Outcome: Acknowledged, Shown: &Shown{Key: "a", Version: 3, Newest: []string{"w2", "w2", "w1"}}},
		},
		Orders: []PlacedOrder{
			{ID: "o-1", Placed: 15 * ms, End: Completed},
			{ID: "o-2", Placed: 45 * ms, Fault: "kill-one", End: "Cancelled"},
		},
		Sessions: map[string][]int{"turns": {0}, "each": {1}},
		End:      End{Stopped: 80 * ms, Wrong: []string{"a service is gone"}, Notes: map[string]int{"a service was started again": 2}},
	}
	for _, c := range log {
		for i, op := range c.Ops {
			h.Deliveries = append(h.Deliveries,
				Delivery{Subscription: "turns", Key: c.Key, Version: c.First + uint64(i), Op: op},
				Delivery{Subscription: "each", Session: 1, Key: c.Key, Version: c.First + uint64(i), Op: op})
		}
	}
	h.Deliveries = append(h.Deliveries, Delivery{Subscription: "turns", Key: "b", Version: 1, Op: "both"}) // taken over
	h.Rows = []Row{
		{Projection: "sums"},
		{Projection: "sums", Key: "a", Version: 4, Events: 4, Sum: fold("w1", "w2", "w2", "both")},
		{Projection: "sums", Key: "b", Version: 2, Events: 2, Sum: fold("both", "unheard")},
	}
	return h
}

func fold(ops ...string) (sum uint64) {
	for _, op := range ops {
		sum = Sum(sum, op)
	}
	return sum
}

func (h *History) op(id string) *Op {
	return &h.Ops[slices.IndexFunc(h.Ops, func(op Op) bool { return op.ID == id })]
}

func TestASoundHistoryHasNoFindings(t *testing.T) {
	if found := sound().Check(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// parted moves one of two aggregates to another partition.
func (h *History) parted() {
	h.Log[3].Partition, h.Log[3].Sequence = 1, 1
	h.Log[4].Partition, h.Log[4].Sequence = 1, 2
	h.op("both").Writes[1].Partition, h.op("both").Writes[1].Sequence = 1, 1
}

// Each partition has sequences of its own, in whatever order they are read.
func TestASoundHistoryOfTwoPartitions(t *testing.T) {
	h := sound()
	h.parted()
	h.Log = Log{h.Log[0], h.Log[3], h.Log[1], h.Log[4], h.Log[2]}
	if found := h.Check(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// Each check objects to what it is for: one thing is wrong at a time.
func TestTheChecksObject(t *testing.T) {
	for name, c := range map[string]struct {
		kind  FindingKind
		text  string
		spoil func(*History)
	}{
		"an acknowledged commit is not stored": {Lost, "is not stored", func(h *History) {
			h.Ops = append(h.Ops, Op{ID: "gone", Kind: Append, Call: 80 * ms, Return: 81 * ms, Outcome: Acknowledged, Writes: []Write{{Key: "a", Events: 1, Expected: 4, After: 5, Sequence: 6}}})
		}},
		"a commit is stored twice": {Twice, "is also at 5", func(h *History) {
			h.Log = append(h.Log, Commit{Sequence: 6, Key: "b", First: 3, Ops: []string{"unheard"}, Times: []int64{14}})
		}},
		"versions have a gap": {Gap, "version 3 follows 1", func(h *History) { h.Log[4].First = 3 }},
		"a version is there twice": {Gap, "version 1 follows 1", func(h *History) {
			h.Log[4].First = 1
		}},
		"a sequence is missing": {Gap, "sequence 6 follows 4", func(h *History) { h.Log[4].Sequence = 6 }},
		"a sequence is missing in partition 1": {Gap, "in partition 1 sequence 3 follows 1", func(h *History) {
			h.parted()
			h.Log[4].Sequence = 3
		}},
		"a commit is in another partition than acknowledged": {Untruthful, "at 4 was acknowledged, and is version 1 at 1-4", func(h *History) { h.Log[3].Partition = 1 }},
		"time runs backward": {Gap, "earlier time", func(h *History) { h.Log[4].Times[0] = 1 }},
		"a commit has no events": {Gap, "no events", func(h *History) {
			h.Log = append(h.Log, Commit{Sequence: 6, Key: "b", First: 3})
		}},
		"a refused commit is stored":         {Untruthful, `told "refused"`, func(h *History) { h.op("unheard").Outcome = Refused }},
		"a commit that conflicted is stored": {Untruthful, `told "conflict"`, func(h *History) { h.op("unheard").Outcome = Conflict }},
		"a commit is elsewhere than acknowledged": {Untruthful, "and is version", func(h *History) {
			h.op("w2").Writes[0].Sequence = 7
		}},
		"a commit has another version than acknowledged": {Untruthful, "and is version", func(h *History) {
			h.op("w2").Writes[0].After = 4
		}},
		"a commit follows another version than expected": {Untruthful, "it expected version 0", func(h *History) {
			h.op("unheard").Writes[0].Expected = 0
		}},
		"a conflict names the expected version":            {Untruthful, "which was expected", func(h *History) { h.op("beaten").Against.Expected = 3 }},
		"of a batch one commit is stored":                  {Torn, "of 2 commits 1", func(h *History) { h.op("unheard").Writes = append(h.op("unheard").Writes, Write{Key: "c", Events: 1}) }},
		"of a commit one event is stored":                  {Torn, "of 2 events 1", func(h *History) { h.op("unheard").Writes[0].Events = 2 }},
		"nobody wrote what is stored":                      {Invented, "by nobody", func(h *History) { h.op("unheard").ID = "another" }},
		"a conflict names a version that was not expected": {Untruthful, "version 2 was expected, and it was not", func(h *History) { h.op("beaten").Against.Expected = 2 }},
		"a conflict is with what was not written":          {Untruthful, "version 1 was expected, and it was not", func(h *History) { h.op("beaten").Against.Key = "c" }},
		"an append without an expectation conflicts":       {Untruthful, "version 1 was expected, and it was not", func(h *History) { h.op("beaten").Writes[0].Expected = Open }},
		"a load of the leader is old, and no leader was deaf": {Order, "version 4 was acknowledged at 40ms", func(h *History) {
			h.loadedOld()
			h.Faults[0].Deaf = false
		}},
		"a load of a leader that was deaf is old": {Old, "version 4 was acknowledged at 40ms", (*History).loadedOld},
		"a load of the leader is old, long after it was deaf": {Order, "version 4 was acknowledged at 40ms", func(h *History) {
			h.loadedOld()
			h.op("seen").Call, h.op("seen").Return = h.Faults[0].Healed+Notices+1, h.Faults[0].Healed+Notices+2
		}},
		"a load of the leader is old, before it was deaf": {Order, "version 3 was acknowledged at 20ms", func(h *History) {
			h.loadedOld()
			h.op("seen").Call, h.op("seen").Return = 21*ms, 22*ms
			h.op("seen").Shown = &Shown{Key: "a", Version: 1, Sum: fold("w1")}
		}},
		"a load of the leader is older than that it was deaf": {Order, "version 3 was acknowledged at 20ms", func(h *History) {
			h.loadedOld()
			h.op("seen").Shown = &Shown{Key: "a", Version: 1, Sum: fold("w1")}
		}},
		"a load shows other events":       {Order, "not linearizable", func(h *History) { h.op("seen").Shown.Sum++ }},
		"a load shows what comes later":   {Order, "written from 30ms on", func(h *History) { h.op("seen").Call, h.op("seen").Return = 23*ms, 24*ms }},
		"a conflict is with what is over": {Order, "version 4 was acknowledged", func(h *History) { h.op("beaten").Call, h.op("beaten").Return = 45*ms, 46*ms }},
		"a conflict of a leader that was deaf is with what is over": {Old, "version 4 was acknowledged", func(h *History) {
			h.op("beaten").Call, h.op("beaten").Return = 45*ms, 46*ms
			h.Faults[0].Deaf = true
		}},
		"the order of commits is not that of their writers": {Order, "not linearizable", func(h *History) {
			h.op("w1").Call, h.op("w1").Return = 21*ms, 22*ms
		}},
		"a read is older than what its store had seen": {Stale, "had seen version 4", func(h *History) { h.op("read").Store = 0 }},
		"a load is older than what its store had seen": {Stale, "a load says version 3, of a store that had seen version 4", (*History).loadedOld},
		"a conflict is older than what its store had stored": {Stale, "a version says version 3, of a store that had seen version 4", func(h *History) {
			h.op("beaten").Call, h.op("beaten").Return = 45*ms, 46*ms
			h.Faults[0].Deaf = true
		}},
		"a read shows what is not stored": {Stale, "the last one is 4", func(h *History) { h.op("read").Shown.Version = 9 }},
		"a read shows another event":      {Stale, "and it is w2", func(h *History) { h.op("read").Shown.Newest[1] = "w1" }},
		"an event was not handled": {Delivered, "up to version 1 of 2", func(h *History) {
			h.Deliveries = slices.DeleteFunc(h.Deliveries, func(d Delivery) bool { return d.Session == 1 && d.Op == "unheard" })
		}},
		"an event was passed over": {Delivered, "version 4 was handled after version 2", func(h *History) {
			h.Deliveries = slices.DeleteFunc(h.Deliveries, func(d Delivery) bool { return d.Session == 0 && d.Key == "a" && d.Version == 3 })
		}},
		"every instance has an event twice": {Delivered, "again", func(h *History) {
			h.Deliveries = append(h.Deliveries, Delivery{Subscription: "each", Session: 1, Key: "b", Version: 1, Op: "both"})
		}},
		"another event was handled": {Delivered, "and it is w1", func(h *History) { h.Deliveries[0].Op = "w2" }},
		"an event was handled, and is gone": {Delivered, "the last one is 2", func(h *History) {
			h.Deliveries = append(h.Deliveries, Delivery{Subscription: "turns", Key: "b", Version: 3, Op: "w"})
		}},
		"a row was applied twice":                      {Projected, "5 events applied", func(h *History) { h.Rows[1].Events = 5 }},
		"a row is behind":                              {Projected, "at version 1", func(h *History) { h.Rows[2] = Row{"sums", "b", 1, 1, fold("both")} }},
		"a row is of other events":                     {Projected, "is at version 4", func(h *History) { h.Rows[1].Sum++ }},
		"a row is missing":                             {Projected, "no row for b", func(h *History) { h.Rows = h.Rows[:2] }},
		"a projection has no rows":                     {Projected, "no row for a", func(h *History) { h.Rows = h.Rows[:1] }},
		"nothing was acknowledged":                     {Unserved, "no write was acknowledged", func(h *History) { h.Ops = h.Ops[2:3] }},
		"after the last fault nothing is acknowledged": {Unserved, "until 80ms", func(h *History) { h.Faults[0].Served = 41 * ms }},
		"after a fault nothing is acknowledged for long": {Unserved, "until 1m1s", func(h *History) {
			h.Faults = append(h.Faults, Fault{Name: "slow", Begun: 61 * time.Second, Healed: 62 * time.Second, Served: 63 * time.Second})
			h.op("both").Call, h.op("both").Return = 63*time.Second, 64*time.Second
		}},
		"of what is ordered under a fault nothing is completed": {Fruitless, "of 10 orders", (*History).ordered},
	} {
		h := sound()
		c.spoil(h)
		found := h.Check()
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Kind == c.kind && strings.Contains(f.Text, c.text) }) {
			t.Errorf("%s: found %v, want %s with %q", name, found, c.kind, c.text)
		}
	}
}

// loadedOld lets a leader that the fault has made deaf show a version that was over.
func (h *History) loadedOld() {
	h.Faults[0].Deaf = true
	h.op("seen").Shown = &Shown{Key: "a", Version: 3, Sum: fold("w1", "w2", "w2")}
}

// ordered lets ten orders be placed under the fault, which are all rejected.
func (h *History) ordered() {
	for range enoughOrders {
		h.Orders = append(h.Orders, PlacedOrder{ID: "o-3", Placed: 40 * ms, Fault: "kill-one", Plain: true, End: "Rejected"})
	}
}

// That no order of a fault is completed is no finding where they are few, where there are not enough goods, where
// deadlines were wrong, or where nobody was served for long.
func TestOrdersThatMayFail(t *testing.T) {
	for what, change := range map[string]func(*History){
		"one is completed":  func(h *History) { h.Orders[5].End = Completed },
		"one is fewer":      func(h *History) { h.Orders = h.Orders[1:] },
		"one could not be":  func(h *History) { h.Orders[5].Plain = false },
		"nobody asked":      func(h *History) { h.Orders[5].End = "" },
		"a clock was wrong": func(h *History) { h.Faults[0].Untimely = true },
		"nobody could place any for long": func(h *History) {
			for i := range h.Orders {
				h.Orders[i].Placed = time.Minute
			}
		},
		"they are of another time": func(h *History) { h.Orders[5].Fault = "" },
	} {
		h := sound()
		h.Orders = nil
		h.ordered()
		change(h)
		if found := h.Check(); len(found) > 0 {
			t.Errorf("%s: found %v", what, found)
		}
	}
}

// A history that was kept is judged as it was when it happened.
func TestAHistoryIsReadAsItWasSaved(t *testing.T) {
	unread, parted := spoilt(), sound()
	unread.Unread = "no answer"
	parted.parted()
	for _, h := range []*History{sound(), spoilt(), unread, parted} {
		path := filepath.Join(t.TempDir(), "history")
		if err := h.Save(path); err != nil {
			t.Fatal(err)
		}
		read, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := read.Check(), h.Check(); !slices.Equal(got, want) {
			t.Errorf("read, it is found %v; before, %v", got, want)
		}
		if !reflect.DeepEqual(read.End, h.End) || !slices.Equal(read.Orders, h.Orders) {
			t.Errorf("read, it ends with %+v, %+v; before, %+v, %+v", read.End, read.Orders, h.End, h.Orders)
		}
		gotRows, gotAll := read.Figures(read.Check())
		wantRows, wantAll := h.Figures(h.Check())
		if !slices.Equal(gotRows, wantRows) || gotAll != wantAll {
			t.Errorf("read, the figures are %v %v; before, %v %v", gotRows, gotAll, wantRows, wantAll)
		}
	}
}

// What was not read is not taken for lost: nothing is compared with a log that nobody has read to its end.
func TestALogThatWasNotReadIsNotCompared(t *testing.T) {
	h := spoilt()
	h.Unread = "no answer"
	h.op("beaten").Against.Expected = 3 // this needs no log
	want := []Finding{
		{Kind: Untruthful, Op: "beaten", Key: "a", Text: "a: a conflict says that it is at version 3, which was expected"},
		{Kind: Untruthful, Op: "beaten", Key: "a", Text: "a: a conflict says that version 3 was expected, and it was not"},
		{Kind: Unread, Text: "the log was not read: no answer"},
	}
	found := h.Check()
	if !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	var out bytes.Buffer
	_, all := h.Figures(found)
	if err := WriteTable(&out, []Figures{all}); err != nil || !strings.Contains(out.String(), "| ? | ? | ? | ? | 3 |") {
		t.Errorf("the table is %q, %v", out.String(), err)
	}
}

// spoilt has lost one acknowledged commit and one that follows it.
func spoilt() *History {
	h := sound()
	h.Log = h.Log[:2]
	return h
}

func TestFiguresCountByFault(t *testing.T) {
	h := spoilt()
	h.Orders = append(h.Orders, PlacedOrder{ID: "o-3", Placed: 50 * ms, Fault: "kill-one", End: NotStored})
	rows, all := h.Figures(h.Check())
	want := []Figures{
		{Fault: "kill-one", Runs: 1, Writes: 4, Acknowledged: 1, Refused: 1, Unknown: 2, Lost: 2, Silence: 15 * ms, Orders: 2, LostOrders: 1, OrderSilence: 20 * ms},
		{Fault: NoFault, Reads: 2, Writes: 3, Acknowledged: 2, Conflicts: 1, Silence: 40 * ms, Orders: 1, Completed: 1, OrderSilence: 30 * ms},
	}
	for i := range rows {
		rows[i].Other = 0 // readers, handlers and rows miss what is lost, too
	}
	if !slices.Equal(rows, want) || all.Writes != 7 || all.Reads != 2 || all.Lost != 2 || all.Orders != 3 || all.Silence != 40*ms {
		t.Errorf("the rows are %+v, want %+v; all %+v", rows, want, all)
	}
	var out bytes.Buffer
	if err := WriteTable(&out, rows); err != nil || !strings.Contains(out.String(), "kill-one") || !strings.Contains(out.String(), "completed") {
		t.Errorf("the table is %q, %v", out.String(), err)
	}
}

// One silence is that of each fault that happens within it, as long as both last; it ends when the run does.
func TestASilenceIsOfEachFaultInIt(t *testing.T) {
	const s = time.Second
	h := &History{
		Faults: []Fault{
			{Name: "cut-leader", Begun: 10 * s, Healed: 20 * s, Served: 21 * s},
			{Name: "kill-all", Begun: 22 * s, Healed: 23 * s, Served: 25 * s},
			{Name: "slow", Begun: 40 * s, Healed: 45 * s, Served: 46 * s},
		},
		End: End{Stopped: 60 * s},
	}
	for _, at := range []time.Duration{5 * s, 11 * s, 30 * s, 39 * s, 41 * s} {
		h.Ops = append(h.Ops, Op{Kind: Append, Call: at - 2*s, Return: at, Outcome: Acknowledged})
	}
	rows, all := h.Figures(nil)
	got := map[string]time.Duration{"all": all.Silence}
	for _, r := range rows {
		got[r.Fault] = r.Silence
	}
	want := map[string]time.Duration{
		"cut-leader": 11 * s, // from 11 to 22
		"kill-all":   8 * s,  // from 22 to 30
		"slow":       19 * s, // from 41 to the end
		NoFault:      9 * s,  // from 30 to 39
		"all":        19 * s,
	}
	if !maps.Equal(got, want) {
		t.Errorf("the silences are %v, want %v", got, want)
	}
}

// What has no end may lack what was objected to.
func TestAHistoryWithoutItsEndIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := sound().Save(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(lines[:len(lines)-2], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("read without its last line: %v", err)
	}
}
