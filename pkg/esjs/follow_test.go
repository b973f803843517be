package esjs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go/jetstream"
)

var errEnough = errors.New("the test has read enough")

// within is a context that bounds one step of a test.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// consumers returns the names of a stream's consumers.
func consumers(t testing.TB, js jetstream.JetStream, stream string) []string {
	t.Helper()
	s, err := js.Stream(within(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	all, err := esjs.Answered(within(t), func(ctx context.Context) (all []string, err error) {
		names := s.ConsumerNames(ctx)
		for name := range names.Name() {
			all = append(all, name)
		}
		return all, names.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// numbered publishes n messages that say their number, on two subjects in turn.
func numbered(t testing.TB, js jetstream.JetStream, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if _, err := js.Publish(within(t), fmt.Sprintf("raw.%d.x", i%2), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func rawStream(t testing.TB, js jetstream.JetStream, replicas int) {
	t.Helper()
	_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "RAW", Subjects: []string{"raw.>"}, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	d := esjstest.Server(t)
	store := d.Store(t)
	js := jetStream(t, d.Connect(t))
	rawStream(t, js, 1)
	numbered(t, js, 1, 1500)

	t.Run("history and then what comes, each once and in order", func(t *testing.T) {
		next, live := uint64(1), false
		err := esjs.FollowStream(within(t), store, "RAW", nil, false, 0, func(m esjs.FollowedMessage) error {
			if m.Sequence != next {
				t.Errorf("got %d, want %d", m.Sequence, next)
			}
			next++
			if m.Sequence == 1510 {
				return errEnough
			}
			return nil
		}, func(sequence, _ uint64) error {
			if !live && sequence == 1500 {
				live = true
				numbered(t, js, 1501, 10)
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if !live {
			t.Error("the end of the history was not told")
		}
	})
	t.Run("a filter reads its subjects only, and tells the end of the stream where nothing matches", func(t *testing.T) {
		var got []uint64
		err := esjs.FollowStream(within(t), store, "RAW", []string{"raw.1.>", "raw.7.>"}, false, 1500,
			func(m esjs.FollowedMessage) error { got = append(got, m.Sequence); return nil },
			func(sequence, _ uint64) error {
				if sequence == 1510 {
					return errEnough
				}
				return nil
			})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != "[1501 1503 1505 1507 1509]" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a consumer that is lost is replaced without a gap", func(t *testing.T) {
		next := uint64(1)
		err := esjs.FollowStream(within(t), store, "RAW", nil, false, 0, func(m esjs.FollowedMessage) error {
			if m.Sequence != next {
				t.Errorf("got %d, want %d", m.Sequence, next)
			}
			if next == 200 {
				for _, name := range consumers(t, js, "RAW") {
					if err := js.DeleteConsumer(within(t), "RAW", name); err != nil {
						t.Error(err)
					}
				}
			}
			next++
			if m.Sequence == 1510 {
				return errEnough
			}
			return nil
		}, nil)
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	})
	t.Run("nothing is left behind", func(t *testing.T) {
		if left := consumers(t, js, "RAW"); len(left) > 0 {
			t.Errorf("consumers left: %v", left)
		}
	})
	t.Run("a gap in a stream from which nothing is deleted is a corrupt log", func(t *testing.T) {
		raw, err := js.Stream(within(t), "RAW")
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.DeleteMsg(within(t), 700); err != nil {
			t.Fatal(err)
		}
		last := uint64(0)
		err = esjs.FollowStream(within(t), store, "RAW", nil, true, 0, func(m esjs.FollowedMessage) error {
			last = m.Sequence
			return nil
		}, nil)
		var corrupt *esjs.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Position.Sequence() != 700 || last != 699 {
			t.Errorf("after %d: %v", last, err)
		}
	})
	t.Run("a large message passes", func(t *testing.T) {
		if _, err := js.Publish(within(t), "raw.large.x", make([]byte, 1<<20-100)); err != nil {
			t.Fatal(err)
		}
		err := esjs.FollowStream(within(t), store, "RAW", []string{"raw.large.>"}, false, 0,
			func(m esjs.FollowedMessage) error { return errEnough }, nil)
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	})
}

func TestFollowSurvivesLeaderChanges(t *testing.T) {
	d := esjstest.Cluster(t)
	store := d.Store(t)
	js := jetStream(t, d.Connect(t))
	rawStream(t, js, 3)
	publishing := within(t)
	publish := func(subject string, data []byte) {
		for publishing.Err() == nil { // an answer may be lost, then the message is there twice
			attempt, end := context.WithTimeout(publishing, 5*time.Second)
			_, err := js.Publish(attempt, subject, data)
			end()
			if err == nil {
				return
			}
		}
	}
	go func() {
		for i := range 2000 {
			publish("raw.1.x", []byte(fmt.Sprint(i)))
		}
		publish("raw.end.x", nil)
	}()
	restarted := make(chan struct{})
	next := uint64(1)
	err := esjs.FollowStream(within(t), store, "RAW", nil, true, 0, func(m esjs.FollowedMessage) error {
		if m.Sequence != next {
			t.Errorf("got %d, want %d", m.Sequence, next)
		}
		next++
		switch {
		case m.Subject == "raw.end.x":
			return errEnough
		case next == 300:
			d.StepDown(t, "RAW")
		case next == 900:
			leader := d.Leader(t, "RAW")
			d.Stop(leader)
			go func() {
				defer close(restarted)
				d.Start(t, leader)
			}()
		}
		return nil
	}, nil)
	<-restarted
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
}
