package esjs_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// A filtered reader notices what a damaged replica leaves out, because the next
// commit of the aggregate points to it, and reads it from the leader.
func TestFollowDeliversLateWhatTheConsumerLeftOut(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	for range 5 {
		r.tick(t, "a")
		r.tick(t, "b")
	}
	r.tick(t, "end")
	for name, c := range map[string]struct {
		lose  func(version uint64) bool
		after uint64 // position
		want  string
	}{
		"nothing":                    {func(uint64) bool { return false }, 0, "1 2 3 4 5"},
		"one in the middle":          {func(v uint64) bool { return v == 3 }, 0, "1 2 3 4 5"},
		"the first ones":             {func(v uint64) bool { return v < 4 }, 0, "1 2 3 4 5"},
		"the first ones of a resume": {func(v uint64) bool { return v < 5 }, 4, "3 4 5"},
		"those before the start":     {func(v uint64) bool { return false }, 4, "3 4 5"},
	} {
		t.Run(name, func(t *testing.T) {
			position, err := esjs.ParsePosition(fmt.Sprintf("0-%d", c.after))
			if err != nil {
				t.Fatal(err)
			}
			got := newHandled(t, 0)
			err = esjs.FollowWithLoss(within(t), r.store, position,
				func(commit esjs.Commit) bool { return commit.Stream.Key == "a" && c.lose(commit.Records[0].Version) },
				func(commit esjs.Commit) error {
					got.add(esjs.Recorded[esjs.Event]{Record: commit.Records[0]})
					if commit.Stream.Key == "end" {
						return errEnough
					}
					return nil
				})
			if !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			if got.versions("a") != c.want {
				t.Errorf("a: %s, want %s", got.versions("a"), c.want)
			}
		})
	}
}

// What is no commit is delivered as such, and a subscription parks its key.
func TestSubscribeParksWhatIsNoCommit(t *testing.T) {
	r := newRig(t, esjstest.Server(t))
	r.tick(t, "good")
	if err := r.Connect(t).PublishMsg(&nats.Msg{Subject: "ev.clock.bad", Data: []byte("not a commit")}); err != nil {
		t.Fatal(err)
	}
	got := newHandled(t, 2)
	run := r.start(t, r.cfg, got.handle)
	r.tick(t, "good")
	got.wait()
	r.waitForParked(t, "clock/bad", 1)
	run.stopped(t)
}
