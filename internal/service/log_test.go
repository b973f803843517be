package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/internal/service/servicetest"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

// written is a log, line by line.
type written chan map[string]any

func (w written) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	w <- fields
	return len(line), nil
}

// next is the next line with a message, without what it took.
func (w written) next(t *testing.T, message string) map[string]any {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case line := <-w:
			if line["message"] == message {
				maps.DeleteFunc(line, func(name string, _ any) bool { return name == "took" || name == "took_ms" })
				return line
			}
		case <-deadline:
			t.Fatalf("no line %q", message)
		}
	}
}

func (w written) expect(t *testing.T, want map[string]any) {
	t.Helper()
	if line := w.next(t, want["message"].(string)); !maps.Equal(line, want) {
		t.Errorf("the log has\n%v, want\n%v", line, want)
	}
}

// Who looks for an order in the logs finds what was not handled of it: which event, where it is stored, and the story
// that it belongs to. The event's values are not there: they may be a person's.
func TestALineNamesTheEventThatWasNotHandled(t *testing.T) {
	const bucket = "SUBSCRIPTIONS_test"
	h := servicetest.New(t, []esjs.EventType[esjs.Event]{
		esjs.TypeOf[esjs.Event, lent](), esjs.TypeOf[esjs.Event, returned](),
	}, bucket)
	env := h.Env("test")
	log := make(written, 1000)
	env.Log = zerolog.New(log)
	env.Health.AwaitSubscriptions("one", "batch", "older")
	h.Run(func(ctx context.Context) error {
		cfg := esjs.SubscriptionConfig[esjs.Event]{Name: "one", Codec: h.Codec, Bucket: bucket, Query: esjs.Query{Categories: []string{"jar"}}}
		return service.React(ctx, env, cfg, func(_ context.Context, e esjs.Recorded[esjs.Event], _ esjs.Metadata) error {
			switch {
			case e.Stream.Key == "j 2":
				panic("on purpose")
			case e.Version == 2:
				return esjs.Park(errors.New("no room"))
			}
			return nil
		})
	})
	h.Run(func(ctx context.Context) error {
		cfg := service.Subscribed(env, esjs.SubscriptionConfig[esjs.Event]{
			Name: "batch", Codec: h.Codec, Bucket: bucket, Query: esjs.Query{Categories: []string{"lid"}},
		})
		return esjs.SubscribeBatch(ctx, h.Store, cfg, 10, func(_ context.Context, commits []esjs.Delivery[esjs.Event]) []error {
			errs := make([]error, len(commits))
			for i := range errs {
				errs[i] = esjs.Park(errors.New("no jar"))
			}
			return errs
		})
	})
	older, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, lent]())
	h.Check(err)
	h.Run(func(ctx context.Context) error {
		cfg := esjs.SubscriptionConfig[esjs.Event]{Name: "older", Codec: older, Bucket: bucket, Query: esjs.Query{Categories: []string{"cup"}}}
		return service.React(ctx, env, cfg, func(context.Context, esjs.Recorded[esjs.Event], esjs.Metadata) error { return nil })
	})
	h.Ready(env)
	store := func(category, key, correlation string) esjs.Appended {
		stored, err := h.Store.AppendWrite(t.Context(), esjs.Write{
			Stream: esjs.StreamID{Category: category, Key: key}, Expect: esjs.NoStream(),
			Events: []esjs.Event{lent{Until: time.Now()}, returned{}}, Metadata: esjs.Metadata{CorrelationID: correlation},
		})
		h.Check(err)
		return stored
	}
	const unhandled = "an event was not handled; it is tried again, or its key is parked"
	line := func(subscription, category, key, correlation, id string, at esjs.Revision, why string) map[string]any {
		return map[string]any{
			"level": "warn", "message": unhandled, "subscription": subscription,
			"category": category, "key": key, "event_id": id, "position": at.Position().String(), "correlation_id": correlation, "error": why,
		}
	}
	jar := store("jar", "j 1", "shelf-1")
	log.expect(t, line("one", "jar", "j 1", "shelf-1", jar.EventIDs[1], jar.Revision, "park: no room"))
	lid := store("lid", "l-1", "")
	log.expect(t, line("batch", "lid", "l-1", "l-1", lid.EventIDs[0], lid.Revision, "park: no jar"))
	cup := store("cup", "c-1", "shelf-2")
	log.expect(t, line("older", "cup", "c-1", "shelf-2", cup.EventIDs[1], cup.Revision, "esjs: decode Returned of cup/c-1 version 2: the codec has no such type"))
	broken := store("jar", "j 2", "shelf-1")
	got := log.next(t, unhandled)
	if want := line("one", "jar", "j 2", "shelf-1", broken.EventIDs[0], broken.Revision, got["error"].(string)); !maps.Equal(got, want) {
		t.Errorf("of a handler that panics the log has\n%v, want\n%v", got, want)
	}
}

// The line about a command says whose it was and to which story it belongs, answered or queued.
func TestALineNamesTheCommandThatWasAnswered(t *testing.T) {
	log := make(written, 1000)
	verbs := map[string]service.Answer{"break": func(context.Context, service.Command) (service.Reply, error) {
		return service.Reply{}, esjs.Reject("broken", "it fell")
	}}
	r := serve(t, service.Commands{Verbs: verbs}, func(env *service.Env) { env.Log = zerolog.New(log) })
	header := nats.Header{service.HeaderCorrelationID: {"shelf-1"}}
	for _, c := range []struct {
		subject string
		header  nats.Header
		line    map[string]any
	}{
		{"cmd.jar.j=201.add", header, map[string]any{"level": "debug", "outcome": "ok", "key": "j 1", "correlation_id": "shelf-1"}},
		{"cmd.jar.j=201.add", nil, map[string]any{"level": "debug", "outcome": "ok", "key": "j 1", "correlation_id": "j 1"}},
		{"cmd.jar.j-2.break", header, map[string]any{"level": "info", "outcome": "broken", "key": "j-2", "correlation_id": "shelf-1", "error": "broken: it fell"}},
	} {
		_, _ = r.ask(t, c.subject, `{"name":"Ada"}`, c.header)
		maps.Copy(c.line, map[string]any{"message": "request answered", "subject": c.subject, "category": "jar"})
		log.expect(t, c.line)
	}
	client := service.Client{Conn: r.nc}
	if _, err := client.Enqueue(t.Context(), service.Command{Category: "jar", Key: "j 3", Verb: "break", Body: []byte("{}"), CorrelationID: "shelf-1"}); err != nil {
		t.Fatal(err)
	}
	line := log.next(t, "queued command")
	delete(line, "subject") // has the lane
	if want := map[string]any{
		"level": "warn", "message": "queued command", "category": "jar", "key": "j 3", "correlation_id": "shelf-1", "outcome": "broken", "error": "broken: it fell",
	}; !maps.Equal(line, want) {
		t.Errorf("of a queued command the log has\n%v, want\n%v", line, want)
	}
}
