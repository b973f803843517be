package fulfilment

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// Every input finds the order that it belongs to.
func TestEveryInputHasItsOrder(t *testing.T) {
	m := newTale(t).machine
	missing := map[string]bool{}
	for _, input := range m.Inputs() {
		missing[input] = true
	}
	s := State{OrderID: orderID, PaymentID: "p-1", ShipmentID: "s-1"}
	for word, of := range words(t) {
		e := of(s)
		r := esjs.Recorded[events.Event]{Record: esjs.Record{Stream: streamOf(s, e)}, Event: e}
		if got := order(r); got != orderID {
			t.Errorf("%s belongs to %q, not to %q", word, got, orderID)
		}
		delete(missing, e.EventType())
	}
	if len(missing) != 0 {
		t.Errorf("inputs without a word: %v", missing)
	}
}

func recorded(e events.Event, id esjs.StreamID) esjs.Input[events.Event] {
	return esjs.Input[events.Event]{Time: submittedAt, Event: &esjs.Recorded[events.Event]{Record: esjs.Record{ID: "e-1", Stream: id}, Event: e}}
}

func unexpected(err error) bool {
	var u *esjs.UnexpectedError
	return errors.As(err, &u)
}

// An answer to an order that was never submitted is tried again some times and
// then counted (F0).
func TestAnswerToNothing(t *testing.T) {
	m, waiting := newTale(t).machine, newOrphans()
	in := recorded(events.PaymentAuthorized{OrderID: orderID}, esjs.StreamID{Category: events.CategoryPayment, Key: "p-1"})
	for n := range orphanAttempts {
		if out, err := m.handle(waiting, State{}, in); err == nil || unexpected(err) || len(out) != 0 {
			t.Fatalf("attempt %d: %v, %v", n+1, out, err)
		}
	}
	if out, err := m.handle(waiting, State{}, in); !unexpected(err) || len(out) != 0 {
		t.Errorf("at last: %v, %v", out, err)
	}
	if d, again := newOrphans().wait("e-2"); !again || d != time.Second {
		t.Errorf("the first wait is %v, %v", d, again)
	}
	for n := range 3 * maxOrphans {
		waiting.wait(fmt.Sprint(n))
	}
	if len(waiting.seen) > maxOrphans {
		t.Errorf("%d orphans are remembered", len(waiting.seen))
	}
}

func TestWhatIsCountedAsUnexpected(t *testing.T) {
	ta := newTale(t)
	for _, word := range []string{"submitted", "reserved", "authorized", "order-confirmed", "booked", "captured"} {
		ta.happens(t, word)
	}
	order := esjs.StreamID{Category: events.CategoryOrder, Key: orderID}
	for name, in := range map[string]esjs.Input[events.Event]{
		"a pair without a row": recorded(events.OrderConfirmationRefused{}, order),
		"a late deadline":      {Time: ta.now, Timer: &esjs.Fired{Name: "sla"}},
		"an unknown command":   {Time: ta.now, Command: "rewind"},
		"another shipment":     recorded(events.ShipmentLost{OrderID: orderID}, esjs.StreamID{Category: events.CategoryShipment, Key: "another"}),
	} {
		if out, err := ta.machine.handle(newOrphans(), ta.state, in); !unexpected(err) || len(out) != 0 {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	// A duplicate is expected.
	if out, err := ta.machine.handle(newOrphans(), ta.state, recorded(submitted(t), order)); err != nil || len(out) != 0 {
		t.Errorf("a second submission: %v, %v", out, err)
	}
}

// A fulfilment keeps the policy that it was started under.
func TestPolicies(t *testing.T) {
	old, hasty := DefaultPolicy(), DefaultPolicy()
	hasty.Version, hasty.Authorize = 2, Patience{First: time.Second, Max: time.Second, Attempts: 1}

	started := newTale(t, old)
	started.happens(t, "submitted")
	var err error
	if started.machine, err = NewMachine(old, hasty); err != nil {
		t.Fatal(err)
	}
	started.happens(t, "reserved")
	if wait := started.state.Step.At.Sub(started.now); wait != 30*time.Second {
		t.Errorf("an old fulfilment waits %v for the authorisation", wait)
	}
	fresh := newTale(t, old, hasty)
	fresh.happens(t, "submitted")
	fresh.happens(t, "reserved")
	if wait := fresh.state.Step.At.Sub(fresh.now); wait != time.Second {
		t.Errorf("a new fulfilment waits %v for the authorisation", wait)
	}

	changed := hasty
	changed.SLA++
	m, err := NewMachine(old, changed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.React(fresh.state, Input{Timer: "step", At: fresh.now})
	if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "has other numbers") {
		t.Errorf("a version whose numbers were changed: %v", err)
	}
	before := fresh.state
	before.PolicyDigest = ""
	if r, err := m.React(before, Input{Timer: "step", At: fresh.now}); err != nil || r.Row == nil || r.Row.ID != "F15" {
		t.Errorf("what was started before there were digests: %+v, %v", r, err)
	}

	lost := newTale(t, old)
	if _, err := lost.machine.React(fresh.state, Input{Timer: "step", At: fresh.now}); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a policy that is not configured: %v", err)
	}
	if _, err := NewMachine(old, old); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("two policies of one version: %v", err)
	}
	for name, spoil := range map[string]func(*Policy){
		"no version":        func(p *Policy) { p.Version = 0 },
		"no wait":           func(p *Policy) { p.Reserve.First = 0 },
		"max below first":   func(p *Policy) { p.Capture.Max = 1 },
		"no attempts":       func(p *Policy) { p.Compensate.Attempts = 0 },
		"no sla":            func(p *Policy) { p.SLA = 0 },
		"a negative window": func(p *Policy) { p.MethodWindow = -1 },
		"no method":         func(p *Policy) { p.MethodAttempts = 0 },
	} {
		p := DefaultPolicy()
		spoil(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Digests are stored: that of the same numbers is the same for ever, under every
// version, and each number enters it.
func TestDigest(t *testing.T) {
	p := DefaultPolicy()
	if got := p.Digest(); got != "e3b0c44298fc1c14" {
		t.Errorf("version 1 has the digest %s", got)
	}
	p.Book.Attempts, p.MethodWindow = 9, 0
	if got := p.Digest(); got != "8b4b9f350e2c81fd" {
		t.Errorf("a policy has the digest %s", got)
	}
	// A release that changes version 1 by mistake is found out by every digest.
	first := DefaultPolicy()
	if got := first.numbers(); got != numbersOfVersion1 {
		t.Errorf("version 1 has the numbers %s, and had %s", got, numbersOfVersion1)
	}
	first.Compensate.Attempts++
	if first.digestBeside(first) == DefaultPolicy().Digest() || p.digestBeside(first) == p.Digest() {
		t.Error("nobody notices that version 1 has other numbers")
	}
	other := p
	if other.Version = 7; other.Digest() != p.Digest() {
		t.Error("the same numbers under another version have another digest")
	}
	digests := map[string]string{DefaultPolicy().Digest(): "no number"}
	value := reflect.TypeFor[Policy]()
	for _, field := range reflect.VisibleFields(value) {
		names, numbers := []string{field.Name}, [][]int{field.Index}
		if field.Type == reflect.TypeFor[Patience]() {
			names, numbers = nil, nil
			for _, inner := range reflect.VisibleFields(field.Type) {
				names = append(names, field.Name+"."+inner.Name)
				numbers = append(numbers, append(slices.Clone(field.Index), inner.Index...))
			}
		}
		for i, name := range names {
			if name == "Version" {
				continue
			}
			changed := DefaultPolicy()
			number := reflect.ValueOf(&changed).Elem().FieldByIndex(numbers[i])
			number.SetInt(number.Int() + 1)
			digest := changed.Digest()
			if same, ok := digests[digest]; ok {
				t.Errorf("another %s has the digest of another %s", name, same)
			}
			digests[digest] = name
		}
	}
	if len(digests) != 38 {
		t.Errorf("%d digests, want those of 37 numbers and of none", len(digests))
	}
}

func TestPatienceGrowsAndIsBounded(t *testing.T) {
	p := DefaultPolicy().Compensate
	last := time.Duration(0)
	for n := 1; n <= 100; n++ {
		d, j := p.wait(n), p.Jittered(n, "o-1")
		if d < last || d > 10*time.Minute || (n == 1 && d != 5*time.Second) {
			t.Errorf("attempt %d waits %v after %v", n, d, last)
		}
		if j < d || j > d+d/10+time.Millisecond || j != p.Jittered(n, "o-1") {
			t.Errorf("attempt %d waits %v with jitter, %v without", n, j, d)
		}
		last = d
	}
	if last != 10*time.Minute {
		t.Errorf("at last it waits %v", last)
	}
	if p.Jittered(3, "o-1") == p.Jittered(3, "o-2") {
		t.Error("two orders ask in the same moment")
	}
}
