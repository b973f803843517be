package service_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A command that is refused, that is none, or that fails each time, is parked with the
// reason, and holds up no other one.
func TestWhatCannotBeCarriedOutIsParkedAndHoldsUpNobody(t *testing.T) {
	s := newShelf(t)
	s.verbs["refuse"] = func(context.Context, service.Command) (service.Reply, error) {
		return service.Reply{}, &esjs.Rejection{Code: "jar_is_full", Message: "the jar is full", Status: 409}
	}
	s.verbs["panic"] = func(context.Context, service.Command) (service.Reply, error) { panic("glass breaks") }
	s.verbs["break"] = func(context.Context, service.Command) (service.Reply, error) {
		return service.Reply{}, errors.New("the shelf is broken")
	}
	s.verbs["strict"] = func(_ context.Context, cmd service.Command) (service.Reply, error) {
		var body struct{}
		return service.Reply{}, cmd.Decode(&body)
	}
	numbers := map[uint64]struct {
		code  string
		tries uint64
	}{}
	for _, c := range []struct {
		cmd   service.Command
		code  string
		tries uint64
	}{
		{service.Command{Verb: "refuse"}, "jar_is_full", 1},
		{service.Command{Verb: "unheard-of"}, "unknown_verb", 1},
		{service.Command{Verb: "strict", Body: []byte("{")}, "bad_request", 1},
		{service.Command{Verb: "strict", Body: []byte{0xff}}, "bad_request", 1},
		{service.Command{Verb: "panic"}, "internal", 5},
		{service.Command{Verb: "break"}, "internal", 5},
	} {
		c.cmd.Key = "same" // all in one lane
		numbers[s.enqueue(c.cmd)] = struct {
			code  string
			tries uint64
		}{c.code, c.tries}
	}
	// What no client of ours would send.
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	for subject, header := range map[string]nats.Header{
		"cmdq.jar.=ZZ.fill":  nil,
		"cmdq.jar.same.fill": {service.HeaderExpectedVersion: {"minus one"}},
	} {
		ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: header, Data: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		code := map[string]string{"cmdq.jar.=ZZ.fill": "bad_key", "cmdq.jar.same.fill": "bad_request"}[subject]
		numbers[ack.Sequence] = struct {
			code  string
			tries uint64
		}{code, 1}
	}
	s.enqueue(service.Command{Key: "same", Body: []byte(`"after all of them"`)})
	s.run()
	s.await(1)
	status := s.status(0, len(numbers))
	for _, p := range status.Parked {
		want := numbers[p.Number]
		if p.Code != want.code || p.Tries != want.tries || p.Category != "jar" || p.Detail == "" || p.QueuedAt.IsZero() || p.ParkedAt.Before(p.QueuedAt) {
			t.Errorf("parked is %+v, want %+v", p, want)
		}
		if p.Code == "internal" && strings.Contains(p.Subject, "break") && p.Detail != "the shelf is broken" {
			t.Errorf("operators are not told why: %q", p.Detail)
		}
	}
	if n := s.counted("jar_is_full", "refuse"); n != 1 {
		t.Errorf("%v refusals are counted", n)
	}
	if n := s.counted("internal", "break"); n != 5 {
		t.Errorf("%v failures are counted", n)
	}
}

// A command that takes too long is tried again, but not for ever: the twentieth time it is
// parked, although its own time is over then, and those behind it go on.
func TestWhatAlwaysTakesTooLongIsParked(t *testing.T) {
	t.Parallel() // a command's time is 10 s
	s := newShelf(t)
	s.run()() // the lanes are there now
	s.verbs["hang"] = func(ctx context.Context, _ service.Command) (service.Reply, error) {
		<-ctx.Done()
		return service.Reply{}, ctx.Err()
	}
	last := s.enqueue(service.Command{Key: "a", Verb: "hang"})
	s.giveBack("a", 19)
	s.enqueue(service.Command{Key: "b", Verb: "hang"}) // in another lane
	s.giveBack("b", 18)
	s.enqueue(service.Command{Key: "a", Body: []byte(`"behind it"`)})
	s.run()
	s.await(1)
	status := s.status(1, 1)
	if p := status.Parked[0]; p.Number != last || p.Code != "timeout" || p.Status != 504 || p.Tries != 20 {
		t.Errorf("parked is %+v", p)
	}
	for tick := time.Tick(10 * time.Millisecond); s.counted("timeout", "hang") < 2; <-tick {
		if t.Context().Err() != nil {
			t.Fatal("the other one was not tried")
		}
	}
	s.status(1, 1) // its nineteenth time is not the last one
}

// An operator queues a parked command again, when the reason is gone, or gives it up.
func TestParkedCommandsAreReleasedOrDropped(t *testing.T) {
	s := newShelf(t)
	stop := s.run()
	released := s.enqueue(service.Command{Key: "k", Verb: "paint", Body: []byte(`{"colour":"red"}`), ID: "mine"})
	dropped := s.enqueue(service.Command{Key: "k", Verb: "paint"})
	status := s.status(0, 2)
	stop()
	if p := status.Parked[0]; p.Number != released || string(p.Body) != `{"colour":"red"}` || p.Subject != "cmdq.jar.k.paint" {
		t.Errorf("parked is %+v", p)
	}
	ids := make(chan string, 10)
	s.verbs["paint"] = func(ctx context.Context, cmd service.Command) (service.Reply, error) { // a newer version
		ids <- cmd.ID + " " + string(cmd.Body)
		return s.note(ctx, cmd)
	}
	s.run()
	for body, code := range map[string]string{`{}`: "field_required", `{"reason":"x","colour":"red"}`: "bad_request"} {
		var p *service.Problem
		if err := s.decide(released, "release", body); !errors.As(err, &p) || p.Code != code {
			t.Errorf("%s is answered %v, want %s", body, err, code)
		}
	}
	if err := s.decide(released, "release", `{"reason":"paint is there now"}`); err != nil {
		t.Fatal(err)
	}
	s.await(1)
	if got := <-ids; got != `mine {"colour":"red"}` {
		t.Errorf("released as %s", got)
	}
	var anonymous *service.Problem
	_, err := s.client.Send(t.Context(), service.Command{Category: "queue.jar", Key: fmt.Sprint(dropped), Verb: "drop", Body: []byte(`{"reason":"x"}`)})
	if !errors.As(err, &anonymous) || anonymous.Code != "actor_required" {
		t.Errorf("a drop by nobody is answered %v", err)
	}
	if err := s.decide(dropped, "drop", `{"reason":"nobody wants it"}`); err != nil {
		t.Fatal(err)
	}
	gone := s.status(0, 0).Dropped
	if len(gone) != 1 || gone[0].Number != dropped || gone[0].By != "anna" || gone[0].Reason != "nobody wants it" || gone[0].Code != status.Parked[1].Code ||
		gone[0].Subject != "cmdq.jar.k.paint" || gone[0].DroppedAt.Before(gone[0].ParkedAt) {
		t.Errorf("of what was dropped is kept %+v", gone)
	}
	for _, verb := range []string{"release", "drop"} {
		var p *service.Problem
		if err := s.decide(dropped, verb, `{"reason":"again"}`); !errors.As(err, &p) || p.Code != "not_found" {
			t.Errorf("%s of what is not parked: %v", verb, err)
		}
	}
	if len(ids) != 0 {
		t.Errorf("the dropped one was carried out: %s", <-ids)
	}
}

// A queue that took the place of another one counts anew. What is parked of the old one stays
// until somebody has decided about it, and the command of the same number waits for that.
func TestNothingParkedIsOverwritten(t *testing.T) {
	s := newShelf(t)
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "COMMANDS_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	tried := make(chan struct{}, 100)
	s.verbs["refuse"] = func(context.Context, service.Command) (service.Reply, error) {
		tried <- struct{}{}
		return service.Reply{}, &esjs.Rejection{Code: "jar_is_full", Message: "the jar is full", Status: 409}
	}
	number := s.enqueue(service.Command{Key: "k", Verb: "refuse"})
	queued := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old, err := json.Marshal(service.ParkedCommand{Number: number, Category: "jar", Subject: "cmdq.jar.k.old", Code: "of_before", QueuedAt: queued})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), fmt.Sprint("jar.", number), old); err != nil {
		t.Fatal(err)
	}
	s.run()
	for range 2 { // the second time it was given back after the first one
		select {
		case <-tried:
		case <-time.After(patience):
			t.Fatal("it was not tried")
		}
	}
	if p := s.status(1, 1).Parked[0]; p.Code != "of_before" || !p.QueuedAt.Equal(queued) {
		t.Fatalf("parked is %+v", p)
	}
	if err := s.decide(number, "drop", `{"reason":"of a queue that is gone"}`); err != nil {
		t.Fatal(err)
	}
	status := s.status(0, 1)
	if p := status.Parked[0]; p.Code != "jar_is_full" || p.Number != number {
		t.Errorf("parked is %+v", p)
	}
	if len(status.Dropped) != 1 || status.Dropped[0].Code != "of_before" {
		t.Errorf("dropped are %+v", status.Dropped)
	}
}
