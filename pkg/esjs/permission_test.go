package esjs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// denied is the user "denied", who may do everything but publish to what is given.
func denied(subjects ...string) rights {
	return rights{"denied": {Publish: &server.SubjectPermission{Deny: subjects}}}
}

// limited is the user "limited", who may append to accounts only, and publish to what else is given; without more he
// may read no snapshots.
func limited(more ...string) rights {
	return rights{"limited": {
		Publish:   &server.SubjectPermission{Allow: append(more, "ev.account.*", "$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS.ev.account.>")},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
}

// The server answers nothing to what a user may not ask. A caller is told at
// once and does not wait until its context ends.
func TestWhatIsNotPermittedIsRefused(t *testing.T) {
	url := startGuarded(t, limited()).url
	if err := esjs.Provision(testContext(t), esjs.DialURL(url("admin")), esjs.Config{MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var told atomic.Int64
	store, err := esjs.Open(testContext(t), esjs.DialURL(url("limited"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { told.Add(1) })), esjs.Config{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	secret := esjs.StreamID{Category: "secret", Key: "a"}
	one, err := store.Append(testContext(t), account("a"), esjs.NoStream(), deposited{Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"append": func() error { _, err := store.Append(testContext(t), secret, esjs.NoStream(), closed{}); return err },
		"append all, first": func() error {
			_, err := store.AppendAll(testContext(t), put(secret, esjs.NoStream(), 1), put(account("b"), esjs.NoStream(), 1))
			return err
		},
		"append all, last": func() error {
			_, err := store.AppendAll(testContext(t), put(account("b"), esjs.NoStream(), 1), put(secret, esjs.NoStream(), 1))
			return err
		},
		"guard": func() error {
			_, err := store.AppendAll(testContext(t), put(account("b"), esjs.NoStream(), 1), esjs.Unchanged(account("a"), one.Revision))
			return err
		},
	} {
		if err := call(); !errors.Is(err, esjs.ErrRefused) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, esjs.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
	if _, err := versions(store.Read(testContext(t), secret, 0, 0)); err == nil || errors.Is(err, esjs.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v, want that it is not permitted", err)
	}
	if told.Load() == 0 {
		t.Error("the connection's own error handler was not told")
	}
	// The others on the same connections have noticed nothing.
	if _, err := store.Append(testContext(t), account("a"), esjs.AtRevision(one.Revision), deposited{Amount: 2}); err != nil {
		t.Error(err)
	}
}

func put(id esjs.StreamID, expect esjs.Expectation, amount int) esjs.Write {
	return esjs.Write{Stream: id, Expect: expect, Events: []esjs.Event{deposited{Amount: amount}}}
}

// Who is denied what an earlier attempt may have stored does not know that nothing was.
func TestABatchThatIsDeniedLaterIsOfUnknownOutcome(t *testing.T) {
	g := startGuarded(t, denied())
	cfg := esjs.Config{MaxBytes: 1 << 20}
	if err := esjs.Provision(testContext(t), esjs.DialURL(g.url("admin")), cfg); err != nil {
		t.Fatal(err)
	}
	f := esjstest.NewFaults(g.url("denied"))
	store, err := esjs.Open(testContext(t), f.Dial(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	f.BeforeAppend(func() { g.deny(t, "ev.account.a") })
	f.LoseAppends(1)
	_, err = store.AppendAll(testContext(t), put(account("a"), esjs.NoStream(), 1), put(account("b"), esjs.NoStream(), 1))
	if !errors.Is(err, esjs.ErrUnknownOutcome) || errors.Is(err, esjs.ErrRefused) {
		t.Errorf("the attempt after one whose answer was lost is denied: %v", err)
	}
	_, err = store.AppendAll(testContext(t), put(account("a"), esjs.NoStream(), 1), put(account("b"), esjs.NoStream(), 1))
	if !errors.Is(err, esjs.ErrRefused) {
		t.Errorf("the first attempt is denied: %v", err)
	}
}
