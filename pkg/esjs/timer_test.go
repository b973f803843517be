package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

// patience bounds every wait for a signal.
const patience = 3 * time.Minute

func contextWithPatience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openTimers(t *testing.T, d *esjstest.Deployment, service string) (*esjs.Timers, jetstream.Stream) {
	t.Helper()
	ctx := contextWithPatience(t)
	if err := esjs.ProvisionTimers(ctx, d.Dial(), d.Replicas()); err != nil {
		t.Fatal(err)
	}
	timers, err := esjs.OpenTimers(ctx, d.Store(t), service)
	if err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, d.Connect(t))
	stream, err := js.Stream(ctx, "TIMERS")
	if err != nil {
		t.Fatal(err)
	}
	return timers, stream
}

// fired reads n fired timers as the server stored them, and returns their
// subjects, and how late each one was at first.
func fired(t *testing.T, stream jetstream.Stream, filter string, n int) map[string]time.Duration {
	t.Helper()
	ctx := contextWithPatience(t)
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	if err != nil {
		t.Fatal(err)
	}
	late := map[string]time.Duration{}
	for len(late) < n {
		msg, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		if err != nil && ctx.Err() == nil {
			continue // a consumer that was lost is made again by the client
		}
		if err != nil {
			t.Fatalf("after %d of %d fired timers: %v", len(late), n, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if _, again := late[msg.Subject()]; again {
			continue
		}
		text := strings.TrimSuffix(strings.TrimPrefix(string(msg.Data()), `{"at":"`), `"}`)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatalf("the body %s holds no time: %v", msg.Data(), err)
		}
		if ttl := msg.Headers().Get("Nats-TTL"); ttl != "168h0m0s" {
			t.Errorf("%s stays for %q, want 7 days", msg.Subject(), ttl)
		}
		late[msg.Subject()] = meta.Timestamp.Sub(at)
	}
	return late
}

func TestTimersFireOnceAndNeverEarly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "saga")
		const n = 200
		start := time.Now()
		// A timer whose setting took until after its time may fire again: it was
		// set again when it had fired.
		mayFireAgain := map[string]bool{}
		for i := range n {
			timer := esjs.Timer{Name: "step", At: start.Add(time.Second + rand.N(3*time.Second)), Version: uint64(i + 1)}
			id := esjs.StreamID{Category: "fulfilment", Key: fmt.Sprintf("o %d", i%50)}
			for range 1 + i%2 {
				if err := timers.Set(contextWithPatience(t), id, timer); err != nil {
					t.Fatal(err)
				}
			}
			if time.Now().After(timer.At) {
				mayFireAgain[fmt.Sprintf("timer.saga.fired.fulfilment.o=20%d.step.%d", i%50, i+1)] = true
			}
		}
		late := fired(t, stream, "timer.saga.fired.fulfilment.>", n)
		var earliest, latest time.Duration = time.Hour, 0
		for subject, by := range late {
			if by < 0 {
				t.Errorf("%s fired %s early", subject, -by)
			}
			earliest, latest = min(earliest, by), max(latest, by)
		}
		t.Logf("fired %s to %s late", earliest, latest)
		if _, ok := late["timer.saga.fired.fulfilment.o=207.step.8"]; !ok {
			t.Error("the subject of o 7's timer is not timer.saga.fired.fulfilment.o=207.step.8")
		}
		// Every schedule went with its firing, and none fired a second time.
		t.Logf("%d timers were set too late", len(mayFireAgain))
		var wrong []string
		eventually(t, "schedules are left, or timers have fired twice", func() bool {
			info, err := stream.Info(contextWithPatience(t), jetstream.WithSubjectFilter("timer.>"))
			if err != nil {
				t.Fatal(err)
			}
			wrong = nil
			schedules := 0 // on a cluster one does not go in the same moment
			for subject, count := range info.State.Subjects {
				set := strings.Contains(subject, ".set.")
				if set {
					schedules++
				}
				if (count != 1 || set) && !mayFireAgain[strings.Replace(subject, ".set.", ".fired.", 1)] {
					wrong = append(wrong, fmt.Sprintf("%d messages on %s", count, subject))
				}
			}
			return len(wrong) == 0 || schedules == 0
		})
		if len(wrong) > 0 {
			t.Errorf("left are %q", wrong)
		}
	})
}

func TestTimerThatHasPassedFiresAtOnceAndOnlyOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "saga")
		id := esjs.StreamID{Category: "fulfilment", Key: "o-1"}
		timer := esjs.Timer{Name: "sla", At: time.Now().Add(-time.Hour), Version: 2}
		if err := timers.Set(contextWithPatience(t), id, timer); err != nil {
			t.Fatal(err)
		}
		fired(t, stream, "timer.saga.fired.>", 1)
		if err := timers.Set(contextWithPatience(t), id, timer); err != nil {
			t.Fatal(err)
		}
		// The schedule goes with its firing, but on a cluster not in the same moment.
		var subjects map[string]uint64
		eventually(t, "the schedule did not go", func() bool {
			info, err := stream.Info(contextWithPatience(t), jetstream.WithSubjectFilter("timer.>"))
			if err != nil {
				t.Fatal(err)
			}
			subjects = info.State.Subjects
			return len(subjects) == 1
		})
		if subjects["timer.saga.fired.fulfilment.o-1.sla.2"] != 1 {
			t.Errorf("setting a timer that had fired left %v", subjects)
		}
	})
}

func TestArmedTimerIsNotReplaced(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "payment")
		id := esjs.StreamID{Category: "payment", Key: "p-1"}
		timer := esjs.Timer{Name: "expiry", At: time.Now().Add(time.Hour), Version: 3}
		var first uint64
		for range 3 {
			if err := timers.Set(contextWithPatience(t), id, timer); err != nil {
				t.Fatal(err)
			}
			msg, err := stream.GetLastMsgForSubject(contextWithPatience(t), "timer.payment.set.payment.p-1.expiry.3")
			if err != nil {
				t.Fatal(err)
			}
			if first == 0 {
				first = msg.Sequence
			}
			if msg.Sequence != first || msg.Header.Get("Nats-TTL") != "" {
				t.Errorf("the armed timer is message %d with %v, want %d and no expiry", msg.Sequence, msg.Header, first)
			}
		}
	})
}

func TestTimerSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		timers, stream := openTimers(t, d, "saga")
		at := time.Now().Add(2 * time.Second)
		for i := range 20 {
			id := esjs.StreamID{Category: "fulfilment", Key: fmt.Sprint("o-", i)}
			if err := timers.Set(contextWithPatience(t), id, esjs.Timer{Name: "step", At: at, Version: 1}); err != nil {
				t.Fatal(err)
			}
		}
		d.Restart(t, d.Leader(t, "TIMERS"))
		for subject, by := range fired(t, stream, "timer.saga.fired.>", 20) {
			if by < 0 {
				t.Errorf("%s fired %s early", subject, -by)
			}
		}
	})
}

func TestTimersThatTheServerCouldNotCarryAreRefused(t *testing.T) {
	t.Parallel()
	timers, _ := openTimers(t, esjstest.Server(t), "saga")
	ctx := contextWithPatience(t)
	good := esjs.StreamID{Category: "fulfilment", Key: "o-1"}
	at := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		id    esjs.StreamID
		timer esjs.Timer
	}{
		"no name":            {good, esjs.Timer{At: at, Version: 1}},
		"a name with a dot":  {good, esjs.Timer{Name: "a.b", At: at, Version: 1}},
		"no time":            {good, esjs.Timer{Name: "step", Version: 1}},
		"a time after 2262":  {good, esjs.Timer{Name: "step", At: time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC), Version: 1}},
		"no version":         {good, esjs.Timer{Name: "step", At: at}},
		"no key":             {esjs.StreamID{Category: "fulfilment"}, esjs.Timer{Name: "step", At: at, Version: 1}},
		"a strange category": {esjs.StreamID{Category: "a.b", Key: "k"}, esjs.Timer{Name: "step", At: at, Version: 1}},
	} {
		if err := timers.Set(ctx, c.id, c.timer); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if err := timers.Set(ctx, esjs.StreamID{Category: "fulfilment", Key: "ö.*>" + strings.Repeat("x", 240)},
		esjs.Timer{Name: "step", At: at, Version: 1}); err != nil {
		t.Errorf("a long key with every kind of byte: %v", err)
	}
}

func TestProvisionTimers(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	ctx := contextWithPatience(t)
	store := d.Store(t)
	if _, err := esjs.OpenTimers(ctx, store, "saga"); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("without the stream: %v, want ErrConfig", err)
	}
	for range 2 {
		if err := esjs.ProvisionTimers(ctx, d.Dial(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := esjs.OpenTimers(ctx, store, "Saga!"); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a service that is not a token: %v, want ErrConfig", err)
	}

	js := jetStream(t, d.Connect(t))
	if err := js.DeleteStream(ctx, "TIMERS"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "TIMERS", Subjects: []string{"timer.>"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"provision": esjs.ProvisionTimers(ctx, d.Dial(), 1),
		"open":      func() error { _, err := esjs.OpenTimers(ctx, store, "saga"); return err }(),
	} {
		if !errors.Is(err, esjs.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
			continue
		}
		for _, field := range []string{"storage is memory, needed file", "allow_msg_schedules is false, needed true"} {
			if !strings.Contains(strings.ToLower(err.Error()), field) {
				t.Errorf("%s: %v does not name %q", name, err, field)
			}
		}
	}
}
