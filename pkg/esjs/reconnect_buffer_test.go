package esjs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/nats-io/nats.go"
)

// While a connection is lost the client keeps what is to be sent, up to a limit.
// What is beyond it waits for the server as everything else does.
func TestAppendsWaitForALostConnectionThatKeepsNoMore(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	d.Store(t) // provisions
	var appends *nats.Conn
	store, err := esjs.Open(testContext(t), func(purpose string) (*nats.Conn, error) {
		nc, err := esjs.DialURL(d.URL(), nats.ReconnectBufSize(10<<10))(purpose)
		if purpose == "append" {
			appends = nc
		}
		return nc, err
	}, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	large := deposited{Note: strings.Repeat("x", 20<<10)}
	d.Stop(0)
	eventually(t, "the connection is lost", appends.IsReconnecting)
	var waiting sync.WaitGroup
	stored := func(append func() error) {
		waiting.Go(func() {
			if err := append(); err != nil {
				t.Error(err)
			}
		})
	}
	stored(func() error {
		_, err := store.Append(testContext(t), account("kept"), esjs.NoStream(), large)
		return err
	})
	eventually(t, "the connection keeps no more", func() bool {
		n, err := appends.Buffered()
		return err == nil && n > 10<<10
	})

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, alone := store.Append(short, account("given up"), esjs.NoStream(), deposited{})
	_, together := store.AppendAll(short, put(account("given up"), esjs.NoStream(), 1), put(account("too"), esjs.NoStream(), 1))
	for _, err := range []error{alone, together} {
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, esjs.ErrUnknownOutcome) || errors.Is(err, esjs.ErrRefused) {
			t.Errorf("the caller gave up before anything was sent: %v", err)
		}
	}

	stored(func() error {
		_, err := store.Append(testContext(t), account("waits"), esjs.NoStream(), large)
		return err
	})
	stored(func() error {
		_, err := store.AppendAll(testContext(t),
			esjs.Write{Stream: account("a"), Events: []esjs.Event{large}}, esjs.Write{Stream: account("b"), Events: []esjs.Event{large}})
		return err
	})
	d.Start(t, 0)
	waiting.Wait()
	for key, want := range map[string]int{"kept": 1, "waits": 1, "a": 1, "b": 1, "given up": 0, "too": 0} {
		if got, err := versions(store.Read(testContext(t), account(key), 0, 0)); len(got) != want || err != nil && !errors.Is(err, esjs.ErrNotFound) {
			t.Errorf("%s: stored are %v, %v, want %d", key, got, err, want)
		}
	}
}
