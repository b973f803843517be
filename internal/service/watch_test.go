package service_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// A service that runs is not ready while its store differs from what it needs, is gone or cannot be
// written, says what is wrong, and is ready again when that is over.
func TestAServiceKnowsWhatItsStoreIs(t *testing.T) {
	server := esjstest.Server(t)
	if err := esjs.Provision(t.Context(), server.Dial(), esjs.Config{MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := esjs.ProvisionBucket(t.Context(), server.Dial(), "SUBSCRIPTIONS_test", 1); err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	env := &service.Env{Name: "test", Log: zerolog.New(log), Metrics: service.NewMetrics(), Health: service.NewHealth()}
	env.Store = server.StoreWith(t, env.Observed(esjs.Config{MaxBytes: 64 << 20}))
	codec, err := esjs.NewCodec[happened]()
	if err != nil {
		t.Fatal(err)
	}
	env.Health.AwaitSubscriptions("reactions")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- service.Group(ctx, env.WatchStore, func(ctx context.Context) error {
			return service.React(ctx, env, esjs.SubscriptionConfig[happened]{
				Name: "reactions", Bucket: "SUBSCRIPTIONS_test", Lease: time.Second, Codec: codec,
			}, func(context.Context, esjs.Recorded[happened], esjs.Metadata) error { return nil })
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
	ready := func() {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		if err := env.Health.Wait(limited); err != nil {
			t.Fatal(err)
		}
	}
	unready := func(says string) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); ; {
			if err := env.Health.Err(); err != nil && strings.Contains(err.Error(), says) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("it is %v, want …%s…", env.Health.Err(), says)
			}
			<-time.After(20 * time.Millisecond) // it is asked again
		}
	}
	ready()

	nc, err := server.Dial()("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	right := stream.CachedInfo().Config
	wrong := right
	wrong.MaxAge, wrong.Discard = time.Hour, jetstream.DiscardOld
	if _, err := js.UpdateStream(ctx, wrong); err != nil {
		t.Fatal(err)
	}
	unready("event store: esjs: configuration: stream EVENTS: discard is DiscardOld, needed DiscardNew; max_age is 1h0m0s, needed 0s")
	if !strings.Contains(log.String(), `"error":"esjs: configuration: stream EVENTS: discard is DiscardOld, needed DiscardNew; max_age is 1h0m0s, needed 0s"`) {
		t.Errorf("the log does not say what differs:\n%s", log)
	}
	if _, err := js.UpdateStream(ctx, right); err != nil {
		t.Fatal(err)
	}
	ready()

	server.Stop(0)
	unready("event store: esjs: no server can be reached")
	unready("reactions subscription: its lease was not renewed in time")
	server.Start(t, 0)
	ready()
	if !strings.Contains(log.String(), "the event store can be used again") {
		t.Errorf("the log does not say that it is over:\n%s", log)
	}
}

// A connection that is lost and there again at once does not make a service unready; one that stays lost does.
func TestAConnectionThatComesBackAtOnceIsNoLoss(t *testing.T) {
	server := esjstest.Server(t)
	env := &service.Env{Name: "test", Log: zerolog.New(zerolog.NewTestWriter(t)), Metrics: service.NewMetrics(), Health: service.NewHealth()}
	env.Store = server.Store(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked, lost, told := 0, 0, 0
	err := env.Watch(ctx, "event store", func(ctx context.Context) error {
		if env.Health.Err() != nil {
			told++
		}
		if asked++; asked == 1 {
			if err := env.Store.Conn().ForceReconnect(); err != nil {
				t.Error(err)
			}
		}
		err := env.Store.Check(ctx)
		if err != nil {
			lost++
		}
		if err == nil && asked > 1 || told > 0 {
			stop()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if lost == 0 || told > 0 {
		t.Errorf("the connection was seen lost %d times, and the service not ready %d times; want some, and none", lost, told)
	}

	// A server that goes while it is asked is told of, and not waited for.
	ended := make(chan error, 1)
	go func() {
		err := env.CheckStore(t.Context())
		for err == nil {
			err = env.CheckStore(t.Context())
		}
		ended <- err
	}()
	server.Stop(0)
	select {
	case <-ended:
	case <-time.After(3 * time.Minute):
		t.Error("who asks is not told that the connection was lost")
	}
}

type happened struct{}

func (happened) EventType() string { return "Happened" }

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
