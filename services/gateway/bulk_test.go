package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway"
	"github.com/b144f99b/orderflow/services/gateway/desk"
)

// sagas answer what a bulk retry asks and sends: each waits for an operator at version 7
// until it is retried. A command with an id that was carried out is answered as the first
// time.
type sagas struct {
	mu       sync.Mutex
	versions map[string]uint64
	done     map[string]bool // ids of commands
	hanging  map[string]bool // orders about which no command is answered
	end      chan struct{}   // closed when those may end
}

func (s *sagas) get(_ context.Context, q queries.SagaRequest) (queries.Saga, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return queries.Saga{
		Kind: queries.SagaFulfilment, SagaID: q.OrderID, OrderID: q.OrderID, State: "CAPTURING", Attention: "capture_refused", Version: 7 + s.versions[q.OrderID],
	}, nil
}

func (s *sagas) retry(_ context.Context, cmd service.Command) (service.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := service.Reply{Version: 8, Revision: "8-1", EventIDs: []string{"e"}, State: desk.SagaState{}}
	switch at := 7 + s.versions[cmd.Key]; {
	case s.hanging[cmd.Key]:
		s.mu.Unlock()
		<-s.end
		s.mu.Lock()
		return service.Reply{}, context.DeadlineExceeded
	case s.done[cmd.ID]:
		return reply, nil
	case *cmd.ExpectedVersion != at:
		return service.Reply{}, &esjs.ConflictError{Stream: esjs.StreamID{Category: "saga", Key: cmd.Key}, Expected: *cmd.ExpectedVersion, Actual: at}
	}
	s.done[cmd.ID] = true
	s.versions[cmd.Key]++
	return reply, nil
}

// bulk sends the form of a bulk retry and returns the outcome of each, and the page.
func (r *rig) bulk(t *testing.T, form url.Values) (outcomes map[string]string, page string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/console/sagas/bulk", strings.NewReader(form.Encode()))
	r.Check(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	r.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.Check(err)
	page = string(body)
	outcomes = map[string]string{}
	for _, m := range regexp.MustCompile(`data-item="fulfilment ([^"]+)" data-outcome="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		outcomes[m[1]] = m[2]
	}
	return outcomes, page
}

// next is the form of a page of a bulk retry, filled in.
func next(page string) url.Values {
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		form.Add(m[1], m[2])
	}
	form.Del("here")
	return form
}

// What became of each saga of a bulk retry is said as far as it is known: sent twice it
// was already done, what was refused says why, and a timeout is not a refusal.
func TestABulkRetrySaysWhatIsKnown(t *testing.T) {
	t.Parallel() // two commands take all of their time
	r := newRig(t, gateway.Config{Timeout: 10 * time.Second})
	s := &sagas{versions: map[string]uint64{}, done: map[string]bool{}, hanging: map[string]bool{}, end: make(chan struct{})}
	env := r.Env("saga")
	env.Health.AwaitEndpoints("saga", "projector")
	r.Run(func(ctx context.Context) error {
		return env.ServeCommands(ctx, service.Commands{Category: "saga", Verbs: map[string]service.Answer{"retry": s.retry}})
	})
	r.Run(func(ctx context.Context) error {
		return env.ServeQueries(ctx, service.Queries{Name: "projector", Handlers: map[string]service.Query{
			queries.SagaGet.Subject: service.Answering(s.get),
		}})
	})
	r.Ready(env)
	expect := func(what string, got map[string]string, page string, want map[string]string) {
		t.Helper()
		for id, outcome := range want {
			if got[id] != outcome {
				t.Errorf("%s: %s is %q, want %q", what, id, got[id], outcome)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: the page tells of %v: %s", what, got, page)
		}
	}

	picks := url.Values{"reason": {"the provider is well again"}, "pick": {"fulfilment o-1", "fulfilment o-2", "fulfilment o-3", "fulfilment o-4", "fulfilment o-5"}}
	got, dry := r.bulk(t, picks)
	const tbr = "to be retried"
	expect("dry run", got, dry, map[string]string{"o-1": tbr, "o-2": tbr, "o-3": tbr, "o-4": tbr, "o-5": tbr})

	s.mu.Lock()
	s.versions["o-2"]++ // somebody else has decided
	s.hanging["o-3"], s.hanging["o-4"] = true, true
	s.mu.Unlock()
	got, page := r.bulk(t, next(dry))
	if got["o-4"] == "not done" { // the time was up before it was sent
		got["o-4"] = "not known"
	}
	expect("run", got, page, map[string]string{"o-1": "retried", "o-2": "left alone", "o-3": "not known", "o-4": "not known", "o-5": "not done"})
	if !strings.Contains(page, "1 of 5 was retried, 1 left alone, ") || !strings.Contains(page, "Send 3 again") || !strings.Contains(page, "no time left") {
		t.Errorf("the page says %s", page)
	}

	// The same form again, as a reload sends it; the service answers by now.
	s.mu.Lock()
	clear(s.hanging)
	close(s.end)
	s.mu.Unlock()
	again := next(dry)
	got, second := r.bulk(t, again)
	expect("the form again", got, second, map[string]string{"o-1": "already retried", "o-2": "left alone", "o-3": "retried", "o-4": "retried", "o-5": "retried"})
	// And what the page offers to send again.
	got, third := r.bulk(t, next(page))
	expect("the rest again", got, third, map[string]string{"o-3": "already retried", "o-4": "already retried", "o-5": "already retried"})
	if n := len(s.done); n != 4 {
		t.Errorf("%d retries were carried out, want 4", n)
	}
}
