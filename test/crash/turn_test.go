package crash

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
)

// customer gives the order a command that has to succeed.
func customer(verb, body string) func(*lane, string) {
	return func(l *lane, id string) {
		l.t.Helper()
		l.must("cmd.order."+id+"."+verb, "%s", body)
	}
}

// cancels may come too late.
func cancels(l *lane, id string) {
	l.t.Helper()
	switch code := l.send("cmd.order."+id+".cancel", `{"reason":"changed_mind"}`); code {
	case "", "too_late", "already_ended":
	default:
		l.t.Errorf("cancel of %s: %s", id, code)
	}
}

// decides gives an operator's decision; more is JSON beyond the reason. The
// fulfilment may have gone on by itself meanwhile.
func (l *lane) decides(id, verb, more string) {
	l.t.Helper()
	switch code := l.send("cmd.saga."+id+"."+verb, `{"reason":"it was looked at"`+more+`}`); code {
	case "", "wrong_state":
	default:
		l.t.Errorf("%s of %s: %s", verb, id, code)
	}
}

// fulfilment is the order's, as it stands.
func (l *lane) fulfilment(id string) fulfilment.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shop.Fulfilments[id]
}

// carrierTells lets something happen to the order's last parcel.
func (l *lane) carrierTells(id, news string) {
	l.t.Helper()
	l.asks("/admin/shipments/"+l.fulfilment(id).ShipmentID+"/"+news, "", "")
}

// asks lets the partners do what the services know nothing of.
func (l *lane) asks(path, key, body string) {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.ledger+path, strings.NewReader(body))
	l.check(err)
	request.Header.Set("Idempotency-Key", "a person for "+key)
	answer, err := http.DefaultClient.Do(request)
	l.check(err)
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		l.t.Errorf("%s: %s", path, answer.Status)
	}
}

// setsAside lets somebody stop a fulfilment by hand, as an input does that cannot be
// handled.
func (l *lane) setsAside(id string) {
	l.t.Helper()
	l.check(l.runner.Quarantine(l.t.Context(), id, errors.New("a bug was found")))
}

// inputWaits waits until something has come for a fulfilment that is set aside.
func (l *lane) inputWaits(id string) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) { // nothing announces it
		all, err := l.runner.Quarantined(l.t.Context())
		l.check(err)
		for _, q := range all {
			if q.Key == id && q.Count > 0 {
				return
			}
		}
	}
	l.t.Fatalf("nothing waits for %s, which is set aside", id)
}

// newRunner returns a runner of the fulfilments that does not run them.
func (l *lane) newRunner() *esjs.ProcessRunner[fulfilment.State, events.Event, events.Event] {
	codec, err := esjs.NewCodecFrom(events.Types)
	l.check(err)
	machine, err := fulfilment.NewMachine(policy())
	l.check(err)
	runner, err := esjs.NewProcess(context.Background(), l.store, fulfilment.Process(machine, codec, saga.BucketSnapshots), esjs.ProcessConfig{
		Service: "saga", Bucket: saga.BucketSubscriptions, Instances: saga.BucketInstances,
	})
	l.check(err)
	return runner
}
