package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What nobody answers is asked again, each time with more time, until there is an answer, whatever it is.
func TestWhatNobodyAnswersIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		says := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
		for name, c := range map[string]struct {
			asked []func(context.Context) error
			want  error
			took  time.Duration // about
		}{
			"at once":                      {[]func(context.Context) error{says(nil)}, nil, 0},
			"a refusal":                    {[]func(context.Context) error{says(refused)}, refused, 0},
			"after silence":                {[]func(context.Context) error{silent, silent, says(nil)}, nil, 5*time.Second + 10*time.Second},
			"a refusal after silence":      {[]func(context.Context) error{silent, says(refused)}, refused, 5 * time.Second},
			"a cluster that elects":        {[]func(context.Context) error{says(nats.ErrNoResponders), says(jetstream.ErrNoStreamResponse), says(nats.ErrTimeout), says(nil)}, nil, 0},
			"a cluster that has no server": {[]func(context.Context) error{says(&jetstream.APIError{ErrorCode: 10005}), says(&jetstream.APIError{ErrorCode: 10008}), says(nil)}, nil, 0},
			"the same, said by jsm.go":     {[]func(context.Context) error{says(api.ApiError{ErrCode: 10008}), says(nil)}, nil, 0},
			"another answer of the server": {[]func(context.Context) error{says(jetstream.ErrStreamNotFound)}, jetstream.ErrStreamNotFound, 0},
		} {
			begun, n := time.Now(), 0
			err := service.Answered(t.Context(), func(ctx context.Context) error { n++; return c.asked[n-1](ctx) })
			if took := time.Since(begun); !errors.Is(err, c.want) || n != len(c.asked) || took < c.took || took > c.took+time.Second {
				t.Errorf("%s: %v after %d tries in %v", name, err, n, took)
			}
		}
	})
}

// Who is never answered is told so after a minute, or when his own time is over.
func TestNobodyIsAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for name, ask := range map[string]func(context.Context) error{
			"silence": silent, "nobody is there": func(context.Context) error { return nats.ErrNoResponders },
		} {
			begun := time.Now()
			err := service.Answered(t.Context(), ask)
			if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrNoResponders) || took != time.Minute {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			begun = time.Now()
			err = service.Answered(ctx, ask)
			if took := time.Since(begun); err == nil || took != 3*time.Second {
				t.Errorf("%s with 3 s: %v after %v", name, err, took)
			}
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(7*time.Second, cancel)
		begun := time.Now()
		if err := service.Answered(ctx, silent); !errors.Is(err, context.Canceled) || time.Since(begun) != 7*time.Second {
			t.Errorf("stopped: %v after %v", err, time.Since(begun))
		}
	})
}

// A command that was parked, released or dropped, and of which only the answer was lost, is that once.
func TestADecisionWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	d := esjstest.Server(t)
	if err := service.ProvisionQueue(t.Context(), d.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	faults := d.Faults()
	s := &shelf{t: t, came: make(chan struct{}, 100), nc: d.Connect(t)}
	s.client = service.Client{Conn: s.nc}
	s.env = newEnvOn(t, d, faults.Dial())
	s.verbs = map[string]service.Answer{"refuse": func(context.Context, service.Command) (service.Reply, error) {
		return service.Reply{}, &esjs.Rejection{Code: "jar_is_full", Message: "the jar is full", Status: http.StatusConflict}
	}}
	faults.LoseAcks(1)
	s.run()
	number := s.enqueue(service.Command{Key: "k", Verb: "refuse", ID: "mine"})
	if p := s.status(0, 1).Parked[0]; p.Number != number {
		t.Errorf("parked is %+v", p)
	}
	if n := faults.Armed(); n != 0 {
		t.Fatalf("the answer to the parking was not lost")
	}
	for i, verb := range []string{"release", "drop"} {
		faults.LoseAcks(1)
		if err := s.decide(number, verb, fmt.Sprintf(`{"reason":"decision %d"}`, i)); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		if n := faults.Armed(); n != 0 {
			t.Fatalf("the answer to the %s was not lost", verb)
		}
		if verb == "release" { // it is refused, and parked, again
			number = s.status(0, 1).Parked[0].Number
		}
	}
	if status := s.status(0, 0); len(status.Dropped) != 1 || status.Dropped[0].Number != number {
		t.Errorf("dropped are %+v", status.Dropped)
	}
}
