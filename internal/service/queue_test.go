package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// shelf takes queued commands of the category "jar" on a real server and notes what
// it is given.
type shelf struct {
	t       *testing.T
	env     *service.Env
	nc      *nats.Conn
	client  service.Client
	verbs   map[string]service.Answer
	mu      sync.Mutex
	handled []string // "<key> <body>"
	came    chan struct{}
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, came: make(chan struct{}, 10_000)}
	s.env, s.nc = newEnv(t)
	s.client = service.Client{Conn: s.nc}
	s.verbs = map[string]service.Answer{"fill": s.note}
	return s
}

func (s *shelf) note(_ context.Context, cmd service.Command) (service.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = append(s.handled, cmd.Key+" "+string(cmd.Body))
	s.came <- struct{}{}
	return service.Reply{}, nil
}

// run takes commands until stop.
func (s *shelf) run() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s.env.Health = service.NewHealth()
	s.env.Health.AwaitEndpoints("jar", "jar-queue")
	go func() { done <- s.env.ServeCommands(ctx, service.Commands{Category: "jar", Verbs: s.verbs}) }()
	ready, giveUp := context.WithTimeout(ctx, patience)
	defer giveUp()
	if err := s.env.Health.Wait(ready); err != nil {
		s.t.Errorf("not ready: %v", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("ended with %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *shelf) enqueue(cmd service.Command) uint64 {
	s.t.Helper()
	cmd.Category = "jar"
	if cmd.Verb == "" {
		cmd.Verb = "fill"
	}
	if cmd.Body == nil {
		cmd.Body = []byte("{}")
	}
	number, err := s.client.Enqueue(s.t.Context(), cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	return number
}

// await waits until so many commands were handled.
func (s *shelf) await(n int) {
	s.t.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-s.came:
		case <-deadline:
			s.t.Fatalf("not handled within %s: %d of %d", patience, n-len(s.came), n)
		}
	}
}

// status waits until the queue is as it should be.
func (s *shelf) status(waiting uint64, parked int) service.QueueStatus {
	s.t.Helper()
	var status service.QueueStatus
	tick, deadline := time.Tick(10*time.Millisecond), time.Now().Add(patience)
	for ; time.Now().Before(deadline); <-tick {
		var err error
		if status, err = service.ReadQueue(s.t.Context(), s.nc); err != nil {
			s.t.Fatal(err)
		}
		if status.Waiting["jar"] == waiting && len(status.Parked) == parked {
			return status
		}
	}
	s.t.Fatalf("the queue has %v waiting and %+v parked, not %d and %d", status.Waiting, status.Parked, waiting, parked)
	return status
}

// counted is how often a verb had an outcome.
func (s *shelf) counted(outcome, verb string) (n float64) {
	s.t.Helper()
	families, err := s.env.Metrics.Registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			l := one.GetLabel() // category, outcome, verb
			if f.GetName() == "queued_commands_total" && l[1].GetValue() == outcome && l[2].GetValue() == verb {
				n += one.GetCounter().GetValue()
			}
		}
	}
	return n
}

// giveBack is an instance that takes the first command of a key so many times, and
// gives it back each time.
func (s *shelf) giveBack(key string, times int) {
	s.t.Helper()
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(s.t.Context(), "COMMANDS")
	if err != nil {
		s.t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(s.t.Context(), "cmdq.*.jar."+key+".*")
	if err != nil {
		s.t.Fatal(err)
	}
	from, err := stream.Consumer(s.t.Context(), "jar-"+strings.Split(msg.Subject, ".")[1])
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range times {
		msg, err := from.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			s.t.Fatal(err)
		}
		if meta, err := msg.Metadata(); err != nil || meta.NumDelivered != uint64(n+1) || !strings.Contains(msg.Subject(), ".jar."+key+".") {
			s.t.Fatalf("delivery %d is of %s, %+v, %v", n+1, msg.Subject(), meta, err)
		}
		if err := msg.Nak(); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *shelf) decide(number uint64, verb, body string) error {
	_, err := s.client.Send(s.t.Context(), service.Command{Category: "queue.jar", Key: fmt.Sprint(number), Verb: verb, Body: []byte(body), Actor: "anna"})
	return err
}

// What was queued while nobody took commands is carried out when somebody does, each
// key's in their order.
func TestCommandsAreQueuedWhileTheirServiceIsAway(t *testing.T) {
	const keys, each = 20, 10
	s := newShelf(t)
	want := map[string][]string{}
	for n := range each {
		for k := range keys {
			key := fmt.Sprint("jar.", k) // a dot, which a subject cannot have
			body := fmt.Sprintf(`{"n":%d}`, n)
			want[key] = append(want[key], body)
			s.enqueue(service.Command{Key: key, Body: []byte(body)})
		}
	}
	s.status(keys*each, 0)
	stop := s.run()
	s.await(keys * each)
	s.status(0, 0)
	stop()
	got := map[string][]string{}
	for _, line := range s.handled {
		key, body, _ := strings.Cut(line, " ")
		got[key] = append(got[key], body)
	}
	for key, list := range want {
		if !slices.Equal(got[key], list) {
			t.Errorf("%s was given %v, not %v", key, got[key], list)
		}
	}

	s.enqueue(service.Command{Key: "late"})
	s.run()
	s.await(1)
	s.status(0, 0)
}

// What passes is waited for, and what is behind it in its key waits too.
func TestAQueuedCommandIsTriedUntilItIsDecided(t *testing.T) {
	s := newShelf(t)
	tries := 0
	s.verbs["fill"] = func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		if string(cmd.Body) == `{"n":0}` {
			if tries++; tries < 4 {
				return service.Reply{}, fmt.Errorf("try %d: %w", tries, esjs.ErrUnavailable)
			}
		}
		return s.note(ctx, cmd)
	}
	for n := range 3 {
		s.enqueue(service.Command{Key: "k", Body: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	s.run()
	s.await(3)
	s.status(0, 0)
	if want := []string{`k {"n":0}`, `k {"n":1}`, `k {"n":2}`}; !slices.Equal(s.handled, want) {
		t.Errorf("handled %v, want %v", s.handled, want)
	}
}

// Who took a command and ended before it left the queue has decided it for good: it
// comes again with the same id, and one that was parked is not decided once more.
func TestACommandThatComesAgainIsTheSame(t *testing.T) {
	s := newShelf(t)
	stop := s.run()
	stop() // the lanes are there now
	refused := s.enqueue(service.Command{Key: "a", Verb: "refuse"})
	s.enqueue(service.Command{Key: "b"})
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	// An instance that takes each, and ends without a word.
	taken := 0
	for lane := range 4 {
		consumer, err := js.Consumer(t.Context(), "COMMANDS", fmt.Sprint("jar-", lane))
		if err != nil {
			t.Fatal(err)
		}
		if config := consumer.CachedInfo().Config; config.MaxAckPending != 1 || config.AckWait <= 10*time.Second {
			t.Errorf("lane %d has %+v", lane, config)
		}
		batch, err := consumer.FetchNoWait(1)
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			taken++
			meta, err := msg.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			if meta.Sequence.Stream == refused { // and was parked
				value := fmt.Sprintf(`{"number":%d,"category":"jar","subject":"cmdq.jar.a.refuse","body":"e30=","status":409,"code":"jar_is_full","detail":"full","tries":1,"queued_at":%q,"parked_at":%[2]q}`,
					refused, meta.Timestamp.UTC().Format(time.RFC3339Nano))
				kv, err := js.KeyValue(t.Context(), "COMMANDS_PARKED")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := kv.PutString(t.Context(), fmt.Sprint("jar.", refused), value); err != nil {
					t.Fatal(err)
				}
			}
			if err := msg.Nak(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if taken == 0 {
		t.Fatal("nothing was taken")
	}
	ids := make(chan string, 10)
	s.verbs["refuse"] = func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		t.Error("a refused command is carried out when it comes again")
		return service.Reply{}, nil
	}
	s.verbs["fill"] = func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		ids <- cmd.ID
		if len(ids) < 2 {
			return service.Reply{}, esjs.ErrUnavailable
		}
		return s.note(ctx, cmd)
	}
	s.run()
	s.await(1)
	s.status(0, 1)
	if first, second := <-ids, <-ids; first == "" || first != second {
		t.Errorf("the same command has the ids %q and %q", first, second)
	}
}

func TestTheQueueRefusesWhatNobodyWillTake(t *testing.T) {
	s := newShelf(t)
	for range 2 { // it may be provisioned again
		if err := service.ProvisionQueue(t.Context(), s.env.Dial, 1, "jar", "lid"); err != nil {
			t.Fatal(err)
		}
	}
	for code, cmd := range map[string]service.Command{
		"no_queue":       {Category: "spoon", Key: "k", Verb: "fill"},
		"bad_key":        {Category: "jar", Key: "", Verb: "fill"},
		"unknown_verb":   {Category: "jar", Key: "k", Verb: "fill.up"},
		"body_too_large": {Category: "jar", Key: "k", Verb: "fill", Body: make([]byte, service.MaxBody+1)},
	} {
		var p *service.Problem
		if _, err := s.client.Enqueue(t.Context(), cmd); !errors.As(err, &p) || p.Code != code {
			t.Errorf("%+v is answered %v, want %s", cmd, err, code)
		}
	}
	first := s.enqueue(service.Command{Key: "k", ID: "once"})
	if again := s.enqueue(service.Command{Key: "k", ID: "once"}); again != first {
		t.Errorf("the same command is queued as %d and %d", first, again)
	}
	if other := s.enqueue(service.Command{Key: "l", ID: "once"}); other == first {
		t.Error("the same id for another key is another command")
	}
	s.status(2, 0)
	if err := (func() error {
		nc, err := s.env.Dial("test")
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		return js.DeleteStream(t.Context(), "COMMANDS")
	})(); err != nil {
		t.Fatal(err)
	}
	if err := s.env.ServeCommands(t.Context(), service.Commands{Category: "jar", Verbs: s.verbs}); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("without a queue it ends with %v", err)
	}
}
