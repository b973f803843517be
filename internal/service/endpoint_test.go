package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
)

// patience bounds every wait: much longer than anything takes on a loaded machine.
const patience = 3 * time.Minute

// rig is a category "jar" that is served on a real server.
type rig struct {
	env     *service.Env
	nc      *nats.Conn // of the caller
	handled atomic.Int64
	stop    func() error // ends ServeCommands and returns its error
}

type addBody struct {
	Name     string   `json:"name"`
	Quantity int      `json:"quantity"`
	Small    int8     `json:"small"`
	Tags     []string `json:"tags"`
	Inner    struct {
		Level uint16 `json:"level"`
	} `json:"inner"`
}

func newEnv(t *testing.T) (*service.Env, *nats.Conn) {
	t.Helper()
	d := esjstest.Server(t, esjstest.InProcess())
	if err := service.ProvisionQueue(t.Context(), d.Dial(), 1); err != nil {
		t.Fatal(err)
	}
	return newEnvOn(t, d, d.Dial()), d.Connect(t)
}

// newEnvOn is an environment whose own connections are made by dial.
func newEnvOn(t *testing.T, d *esjstest.Deployment, dial esjs.Dial) *service.Env {
	t.Helper()
	return &service.Env{
		Name: "jars", Dial: dial, Store: d.Store(t),
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel), Metrics: service.NewMetrics(), Health: service.NewHealth(),
	}
}

func serve(t *testing.T, c service.Commands, prepare ...func(*service.Env)) *rig {
	t.Helper()
	r := &rig{}
	r.env, r.nc = newEnv(t)
	for _, change := range prepare {
		change(r.env)
	}
	c.Category = "jar"
	if c.Verbs == nil {
		c.Verbs = map[string]service.Answer{}
	}
	c.Verbs["add"] = func(_ context.Context, cmd service.Command) (service.Reply, error) {
		var body addBody
		if err := cmd.Decode(&body); err != nil {
			return service.Reply{}, err
		}
		r.handled.Add(1)
		return service.Reply{Version: 1, Revision: "1-1", State: map[string]string{"key": cmd.Key, "name": body.Name, "id": cmd.ID}}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.env.Health.AwaitEndpoints("jar")
	go func() { done <- r.env.ServeCommands(ctx, c) }()
	ready, giveUp := context.WithTimeout(ctx, patience)
	defer giveUp()
	if err := r.env.Health.Wait(ready); err != nil {
		t.Fatalf("endpoints: %v", err)
	}
	r.stop = func() error {
		cancel()
		select {
		case err := <-done:
			done <- nil
			return err
		case <-time.After(patience):
			return errors.New("the endpoints do not stop")
		}
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

// ask sends a request and returns the reply's body and the problem, if it is one.
func (r *rig) ask(t *testing.T, subject, body string, header nats.Header) ([]byte, *service.Problem) {
	t.Helper()
	msg, err := r.nc.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: header}, patience)
	if err != nil {
		t.Fatalf("request %s: %v", subject, err)
	}
	code := msg.Header.Get(micro.ErrorHeader)
	if code == "" {
		return msg.Data, nil
	}
	var p service.Problem
	if err := json.Unmarshal(msg.Data, &p); err != nil {
		t.Fatalf("the answer to %s is not a problem: %s", subject, msg.Data)
	}
	if p.Code != code || fmt.Sprint(p.Status) != msg.Header.Get(micro.ErrorCodeHeader) || p.Type == "" || p.Title == "" {
		t.Errorf("headers %v do not agree with the problem %+v", msg.Header, p)
	}
	return nil, &p
}

func TestBadRequestsAreRefusedInASentence(t *testing.T) {
	r := serve(t, service.Commands{})
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name, subject, body string
		header              nats.Header
		code                string
		status              int
		says                string
	}{
		{name: "broken JSON", body: `{"name":`, code: "bad_request", status: 400, says: "not valid JSON"},
		{name: "two values", body: `{} {}`, code: "bad_request", status: 400, says: "not valid JSON"},
		{name: "empty body", body: ``, code: "bad_request", status: 400, says: `the body is empty; it must be a JSON object; allowed are "name", "quantity"`},
		{name: "not an object", body: `[1]`, code: "bad_request", status: 400, says: "must be a JSON object, not a list"},
		{name: "null", body: `null`, code: "bad_request", status: 400, says: "must be a JSON object, not null"},
		{name: "unknown field", body: `{"title":"a"}`, code: "bad_request", status: 400, says: `the field "title" is not known; allowed are "name", "quantity", "small", "tags", "inner"`},
		{name: "field of another case", body: `{"Name":"a"}`, code: "bad_request", status: 400, says: `the field "Name" is not known`},
		{name: "unknown field inside", body: `{"inner":{"depth":1}}`, code: "bad_request", status: 400, says: `the field "inner.depth" is not known; allowed are "level"`},
		{name: "field twice", body: `{"name":"a","name":"b"}`, code: "bad_request", status: 400, says: `the field "name" is given twice`},
		{name: "number for a string", body: `{"name":1}`, code: "bad_request", status: 400, says: `the field "name" must be a string, not a number`},
		{name: "string for a number", body: `{"quantity":"2"}`, code: "bad_request", status: 400, says: `the field "quantity" must be a whole number, not a string`},
		{name: "number beyond all", body: `{"quantity":99999999999999999999}`, code: "bad_request", status: 400, says: `the field "quantity" must be a whole number; 99999999999999999999 is out of range`},
		{name: "fraction", body: `{"quantity":1.5}`, code: "bad_request", status: 400, says: `the field "quantity" must be a whole number, not 1.5`},
		{name: "out of range", body: `{"small":300}`, code: "bad_request", status: 400, says: `the field "small" must be a whole number from -128 to 127; 300 is out of range`},
		{name: "range inside", body: `{"inner":{"level":-1}}`, code: "bad_request", status: 400, says: `the field "inner.level" must be a whole number from 0 to 65535, not -1`},
		{name: "type inside a list", body: `{"tags":["a",2]}`, code: "bad_request", status: 400, says: `the field "tags[1]" must be a string, not a number`},
		{name: "invalid UTF-8", body: "{\"name\":\"\xff\"}", code: "bad_request", status: 400, says: "invalid UTF-8"},
		{name: "text with a NUL", body: `{"name":"a\u0000"}`, code: "field_invalid", status: 422, says: `the field "name" has control characters; only printable text is allowed`},
		{name: "text of two lines inside a list", body: `{"tags":["a","b\nc"]}`, code: "field_invalid", status: 422, says: `the field "tags[1]" has control characters`},
		{name: "body over the limit", body: `{"name":"` + strings.Repeat("x", service.MaxBody) + `"}`, code: "body_too_large", status: 413, says: "at most 65536 are allowed"},
		{name: "unknown verb", subject: "cmd.jar.j-1.ad", code: "unknown_verb", status: 404, says: `jar has no command "ad"; it has add`},
		{name: "no verb", subject: "cmd.jar.j-1", code: "bad_subject", status: 400, says: "cmd.jar.<key>.<verb>"},
		{name: "extra tokens", subject: "cmd.jar.j.1.add", code: "bad_subject", status: 400, says: "a dot inside a key is written =2E"},
		{name: "star", subject: "cmd.jar.*.add", code: "bad_subject", status: 400, says: "without wildcards"},
		{name: "star as the verb", subject: "cmd.jar.j-1.*", code: "bad_subject", status: 400, says: "without wildcards"},
		{name: "greater than", subject: "cmd.jar.>", code: "bad_subject", status: 400, says: "cmd.jar.<key>.<verb>"},
		{name: "unescaped key", subject: "cmd.jar.ä.add", code: "bad_key", status: 400, says: `the key "ä" is written =C3=A4 in a subject`},
		{name: "key with a bad escape", subject: "cmd.jar.a=2.add", code: "bad_key", status: 400, says: "=XX in upper-case hexadecimal"},
		{name: "key in another spelling", subject: "cmd.jar.=61.add", code: "bad_key", status: 400, says: `"=61" is not a key`},
		{name: "key too long", subject: "cmd.jar." + long + ".add", code: "bad_key", status: 400, says: "1 to 255 bytes"},
		{name: "key with a NUL", subject: "cmd.jar.a=00n.add", code: "bad_key", status: 400, says: `the key "a\x00n" has control characters`},
		{name: "key of two lines", subject: "cmd.jar.a=0An.add", code: "bad_key", status: 400, says: `only printable text`},
		{name: "expected version", header: nats.Header{"Expected-Version": {"-1"}}, code: "bad_request", status: 400, says: "Expected-Version"},
		{name: "command id too long", header: nats.Header{"Command-Id": {long}}, code: "bad_request", status: 400, says: "Command-Id has 256 bytes"},
		{name: "actor not UTF-8", header: nats.Header{"Actor": {"\xff"}}, code: "bad_request", status: 400, says: "Actor is not valid UTF-8"},
		{name: "correlation with a NUL", header: nats.Header{"Correlation-Id": {"a\x00n"}}, code: "bad_request", status: 400, says: "Correlation-Id has control characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.subject == "" {
				c.subject = "cmd.jar.j-1.add"
			}
			_, p := r.ask(t, c.subject, c.body, c.header)
			if p == nil {
				t.Fatal("accepted")
			}
			if p.Code != c.code || p.Status != c.status || !strings.Contains(p.Detail, c.says) {
				t.Errorf("got %d %s: %s\nwant %d %s: …%s…", p.Status, p.Code, p.Detail, c.status, c.code, c.says)
			}
			if n := r.handled.Load(); n != 0 {
				t.Errorf("%d bad requests reached the handler", n)
			}
		})
	}
	body, p := r.ask(t, "cmd.jar.=C3=A4=20=2E.add", `{"name":"ok"}`, nats.Header{"Command-Id": {"c-1"}})
	if p != nil {
		t.Fatalf("the next good command: %v", p)
	}
	const want = `{"version":1,"revision":"1-1","event_ids":[],"state":{"id":"c-1","key":"ä .","name":"ok"}}`
	if string(body) != want {
		t.Errorf("reply %s, want %s", body, want)
	}
}

func TestErrorsOfHandlersBecomeProblems(t *testing.T) {
	fail := map[string]error{
		"rejected": esjs.Reject("sold_out", "there are %d left", 0),
		"conflict": &esjs.ConflictError{Stream: esjs.StreamID{Category: "jar", Key: "j-1"}, Expected: 2, Actual: 5},
		"full":     fmt.Errorf("append: %w", esjs.ErrStoreFull),
		"unknown":  esjs.ErrUnknownOutcome,
		"secret":   errors.New("password is hunter2"),
		"panic":    nil,
	}
	c := service.Commands{Verbs: map[string]service.Answer{}}
	for verb, err := range fail {
		c.Verbs[verb] = func(context.Context, service.Command) (service.Reply, error) {
			if err == nil {
				panic("on purpose")
			}
			return service.Reply{}, err
		}
	}
	r := serve(t, c)
	for verb, want := range map[string]service.Problem{
		"rejected": {Status: 409, Code: "sold_out", Detail: "there are 0 left"},
		"conflict": {Status: 409, Code: "conflict", Detail: "jar/j-1 is at version 5, not 2; read it and decide again"},
		"full":     {Status: 507, Code: "store_full", Detail: "the event store is full; nothing was stored"},
		"unknown":  {Status: 504, Code: "unknown_outcome", Detail: "the command may or may not be stored; repeat it with the same Command-Id, or read"},
		"secret":   {Status: 500, Code: "internal", Detail: "an internal error; the service's log has the details"},
		"panic":    {Status: 500, Code: "internal", Detail: "an internal error; the service's log has the details"},
	} {
		_, p := r.ask(t, "cmd.jar.j-1."+verb, `{}`, nil)
		if p == nil || p.Status != want.Status || p.Code != want.Code || p.Detail != want.Detail {
			t.Errorf("%s: got %+v, want %+v", verb, p, want)
		}
	}
	if _, p := r.ask(t, "cmd.jar.j-1.add", `{}`, nil); p != nil {
		t.Errorf("the next good command: %v", p)
	}
}

func TestFullPoolAnswersBusyAndDrainFinishesWhatRuns(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	r := serve(t, service.Commands{
		Concurrency: 2,
		Verbs: map[string]service.Answer{
			"wait": func(ctx context.Context, _ service.Command) (service.Reply, error) {
				begun <- struct{}{}
				<-release
				return service.Reply{Version: 7}, ctx.Err()
			},
		},
	})
	answers := make(chan string, 2)
	for range 2 {
		go func() {
			msg, err := r.nc.Request("cmd.jar.j-1.wait", []byte(`{}`), patience)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(msg.Data)
		}()
		<-begun
	}
	if _, p := r.ask(t, "cmd.jar.j-1.add", `{}`, nil); p == nil || p.Code != "busy" || p.Status != http.StatusServiceUnavailable {
		t.Errorf("a full pool answers %+v, want busy", p)
	}

	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	// Once draining has begun nobody else takes the subject.
	for {
		_, err := r.nc.Request("cmd.jar.j-1.add", []byte(`{}`), patience)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	for range 2 {
		if got := <-answers; !strings.HasPrefix(got, `{"version":7,`) {
			t.Errorf("a command that ran while the service stopped got %s", got)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestQueries(t *testing.T) {
	env, nc := newEnv(t)
	r := &rig{env: env, nc: nc}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	env.Health.AwaitEndpoints("reader")
	go func() {
		type jar struct {
			Key string `json:"key"`
		}
		done <- env.ServeQueries(ctx, service.Queries{Name: "reader", Handlers: map[string]service.Query{
			"query.jars.get": service.Answering(func(_ context.Context, q jar) (jar, error) {
				if q.Key == "none" {
					return jar{}, fmt.Errorf("jar %s: %w", q.Key, esjs.ErrNotFound)
				}
				return q, nil
			}),
		}, Metadata: map[string]map[string]string{"query.jars.get": {"summary": "one jar"}}})
	}()
	if err := env.Health.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if body, p := r.ask(t, "query.jars.get", `{"key":"a"}`, nil); p != nil || string(body) != `{"key":"a"}` {
		t.Errorf("got %s, %v", body, p)
	}
	if body, p := r.ask(t, "query.jars.get", ``, nil); p != nil || string(body) != `{"key":""}` {
		t.Errorf("an empty body: got %s, %v", body, p)
	}
	if msg, err := nc.Request("$SRV.INFO.reader", nil, patience); err != nil || !strings.Contains(string(msg.Data), `"metadata":{"summary":"one jar"}`) {
		t.Errorf("micro info: %s, %v", msg.Data, err)
	}
	for body, code := range map[string]string{
		`{"key":"none"}`:                       "not_found",
		`{"kee":"a"}`:                          "bad_request",
		strings.Repeat(" ", service.MaxBody+1): "body_too_large",
	} {
		if _, p := r.ask(t, "query.jars.get", body, nil); p == nil || p.Code != code {
			t.Errorf("got %v, want %s", p, code)
		}
	}
	// The services framework shows the endpoint and what it answered.
	msg, err := nc.Request("$SRV.STATS.reader", nil, patience)
	if err != nil || !strings.Contains(string(msg.Data), `"query.jars.get"`) || !strings.Contains(string(msg.Data), `"refused":3`) {
		t.Errorf("micro stats: %s, %v", msg.Data, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}
