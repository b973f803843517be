package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// assemblyRig is a deployment on which assemblies run.
type assemblyRig struct {
	*esjstest.Deployment
	store  *esjs.Store // the test's own
	seen   *journal
	spread bool // parts of an order come in any partition, and in any order
}

const (
	positions = "SUBSCRIPTIONS_assembly"
	openOnes  = "INSTANCES_assembly"
	snapshots = "SNAPSHOTS_assembly"
)

func newAssemblyRig(t *testing.T, d *esjstest.Deployment) *assemblyRig {
	t.Helper()
	ctx := contextWithPatience(t)
	r := &assemblyRig{Deployment: d, store: d.Store(t)}
	if err := esjs.ProvisionTimers(ctx, d.Dial(), d.Replicas()); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{positions, openOnes, snapshots} {
		if err := esjs.ProvisionBucket(ctx, d.Dial(), bucket, d.Replicas()); err != nil {
			t.Fatal(err)
		}
	}
	r.seen = keepJournal(t, r.store)
	return r
}

// subscription is the process's, as an operator has it.
func (r *assemblyRig) subscription() esjs.Subscription {
	return esjs.Subscription{Store: r.store, Bucket: positions, Name: "assembly"}
}

// options of one run of the process.
type options struct {
	process func(*esjs.Process[assembly, esjs.Event, esjs.Event])
	config  func(*esjs.ProcessConfig)
	runner  func(*runner)
}

type runner = esjs.ProcessRunner[assembly, esjs.Event, esjs.Event]

// assemblyRun is a process with connections of its own.
type assemblyRun struct {
	*runner
	store *esjs.Store
	ended chan error
	stop  context.CancelFunc
}

func (r *assemblyRig) start(t *testing.T, o options) *assemblyRun {
	t.Helper()
	store, err := esjs.Open(contextWithPatience(t), r.Dial(), r.Config())
	if err != nil {
		t.Fatal(err)
	}
	return r.startOn(t, store, o)
}

func (r *assemblyRig) startOn(t *testing.T, store *esjs.Store, o options) *assemblyRun {
	t.Helper()
	process := assemblyProcess(t)
	process.Handler.Snapshots = &esjs.SnapshotPolicy[assembly]{Bucket: snapshots, Every: 2}
	if o.process != nil {
		o.process(&process)
	}
	cfg := esjs.ProcessConfig{
		Service: "test", Bucket: positions, Instances: openOnes,
		Lease: 20 * time.Second, // not lost because the machine is loaded; it is released by whoever shuts down
		Retry: esjs.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond, Attempts: 3},
	}
	if o.config != nil {
		o.config(&cfg)
	}
	p, err := esjs.NewProcess(contextWithPatience(t), store, process, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if o.runner != nil {
		o.runner(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	started := &assemblyRun{runner: p, store: store, ended: make(chan error, 1), stop: cancel}
	go func() { started.ended <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); store.Close() })
	return started
}

// extend is an operator's command that sets a deadline.
type extend struct{ wait time.Duration }

// operator is another program that has the process and does not run it: commands are given to it. It calls deciding when it
// decides one.
func (r *assemblyRig) operator(t *testing.T, dial esjs.Dial, deciding func()) *runner {
	t.Helper()
	process := assemblyProcess(t)
	process.React = func(_ assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
		deciding()
		return []esjs.Event{reminded{Deadline: in.Time.Add(in.Command.(extend).wait)}}, nil
	}
	p, err := esjs.NewProcess(contextWithPatience(t), open(t, dial, r.Deployment), process, esjs.ProcessConfig{Service: "test", Bucket: positions, Instances: openOnes})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shutdown stops a run as a deployment does, and wants no error.
func (p *assemblyRun) shutdown(t *testing.T) {
	t.Helper()
	p.stop()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the process ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the process did not end")
	}
	if err := p.Close(contextWithPatience(t)); err != nil {
		t.Error(err)
	}
	p.store.Close()
}

func (r *assemblyRig) place(t *testing.T, order string, wait time.Duration) {
	t.Helper()
	r.append(t, "order", order, placed{Order: order, WaitMS: wait.Milliseconds()})
}

func (r *assemblyRig) arrive(t *testing.T, order, part string) {
	t.Helper()
	r.append(t, "part", r.key(order, part), partArrived{Order: order, Part: part})
}

// key is that of a part: in the partition of its order, so that they come in order, unless
// the test wants them in any.
func (r *assemblyRig) key(order, part string) string {
	key, n := order+" "+part, r.Config().Partitions
	for i := 2; !r.spread && esjs.Partition(key, n) != esjs.Partition(order, n); i++ {
		key = fmt.Sprint(order, " ", part, " ", i)
	}
	return key
}

func (r *assemblyRig) append(t *testing.T, category, key string, events ...esjs.Event) {
	t.Helper()
	if _, err := r.store.Append(contextWithPatience(t), esjs.StreamID{Category: category, Key: key}, esjs.Any(), events...); err != nil {
		t.Fatal(err)
	}
}

// inTime does what has to be done before a deadline, and undoes it and does it again for
// another order with a later one where the machine was too slow. What a timer has begun may
// come later than it is looked, so the clock says whether it was in time.
func inTime(order string, do func(order string, wait time.Duration), undo func(order string)) string {
	name, wait := order, 2*time.Second
	for n := 2; ; n++ {
		due := time.Now().Add(wait) // the order's own time is later, and no timer fires early
		do(name, wait)
		if time.Now().Before(due) {
			return name
		}
		undo(name)
		name, wait = fmt.Sprint(order, "-", n), min(2*wait, patience/3)
	}
}

// journal is what the assemblies stored, as a subscription sees it.
type journal struct {
	mu       sync.Mutex
	records  map[string][]esjs.Record
	changed  chan struct{} // closed and replaced with every record
	anyOrder bool          // of what is awaited
}

// spreadParts lets parts of an order come in any partition, and so in any order.
func (r *assemblyRig) spreadParts() { r.spread, r.seen.anyOrder = true, true }

func keepJournal(t *testing.T, store *esjs.Store) *journal {
	t.Helper()
	j := &journal{records: map[string][]esjs.Record{}, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- esjs.Subscribe(ctx, store, esjs.SubscriptionConfig[esjs.Event]{
			Name: "journal", EveryInstance: true, Codec: assemblyCodec(t), Query: esjs.Query{Categories: []string{"assembly"}}, SkipUnknown: true,
		}, func(_ context.Context, e esjs.Recorded[esjs.Event]) error {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.records[e.Stream.Key] = append(j.records[e.Stream.Key], e.Record)
			close(j.changed)
			j.changed = make(chan struct{})
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the journal ended with %v", err)
		}
	})
	return j
}

// await waits until the events of an assembly are types. More may follow meanwhile: on a
// slow machine a deadline comes before it is looked.
func (j *journal) await(t *testing.T, order string, types ...string) []esjs.Record {
	t.Helper()
	records := j.until(order, len(types))
	records = records[:min(len(records), len(types))]
	if got, want := j.inOrder(typesOf(records)), j.inOrder(strings.Join(types, " ")); got != want {
		t.Fatalf("%s: %s, want %s", order, got, want)
	}
	return records
}

// until waits until an assembly has n events, as long as patience lasts.
func (j *journal) until(order string, n int) []esjs.Record {
	deadline := time.After(patience)
	for {
		j.mu.Lock()
		records, changed := slices.Clone(j.records[order]), j.changed
		j.mu.Unlock()
		if len(records) >= n {
			return records
		}
		select {
		case <-changed:
		case <-deadline:
			return records
		}
	}
}

// has tells whether an assembly has n events.
func (j *journal) has(order string, n int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.records[order]) >= n
}

func typesOf(records []esjs.Record) string {
	var types []string
	for _, r := range records {
		types = append(types, r.Type)
	}
	return strings.Join(types, " ")
}

// inOrder is the same for what need not be told apart.
func (j *journal) inOrder(types string) string {
	if !j.anyOrder {
		return types
	}
	return strings.Join(slices.Sorted(strings.FieldsSeq(types)), " ")
}

// check reads an assembly from the store and verifies that nothing came after
// what is wanted, and that no input caused two commits.
func (r *assemblyRig) check(t *testing.T, order string, types ...string) {
	t.Helper()
	if got, want := r.seen.inOrder(typesOf(r.history(t, order))), r.seen.inOrder(strings.Join(types, " ")); got != want {
		t.Errorf("%s: %s, want %s", order, got, want)
	}
}

func (r *assemblyRig) history(t *testing.T, order string) []esjs.Record {
	t.Helper()
	var records []esjs.Record
	inputs := map[string]esjs.Position{}
	for record, err := range r.store.Read(contextWithPatience(t), esjs.StreamID{Category: "assembly", Key: order}, 1, 0) {
		if errors.Is(err, esjs.ErrNotFound) {
			return nil
		}
		if err != nil {
			t.Fatalf("%s: %v", order, err)
		}
		records = append(records, record)
		if id := record.Metadata.Input.ID; id != "" {
			if at, ok := inputs[id]; ok && at != record.Position {
				t.Errorf("%s: input %s caused the commits %s and %s", order, id, at, record.Position)
			}
			inputs[id] = record.Position
		}
	}
	return records
}
