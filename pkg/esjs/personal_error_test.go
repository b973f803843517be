package esjs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// called is what was said of a caller, and calledLater what a later release takes that for.
type called struct {
	Caller string                           `json:"caller"`
	Phone  esjs.Personal[string]            `json:"phone"`
	Notes  esjs.Personal[map[string]string] `json:"notes"`
}

type calledLater struct {
	Caller string                   `json:"caller"`
	Phone  esjs.Personal[time.Time] `json:"phone"`
}

type calledInClear struct {
	Notes map[string]map[string]int `json:"notes"`
}

func (called) EventType() string        { return "Called" }
func (c called) PersonID() string       { return c.Caller }
func (calledLater) EventType() string   { return "Called" }
func (c calledLater) PersonID() string  { return c.Caller }
func (calledInClear) EventType() string { return "Called" }

// Why an event does not decode is kept with the parked key, which no erasure changes:
// it names the field, and nothing of what was sealed.
func TestReasonOfAParkedKeyHoldsNoPersonalValue(t *testing.T) {
	t.Parallel()
	r := newRig(t, esjstest.Server(t))
	r.store = keyedStore(t, r.Deployment, master(1))
	event := called{"p-1", esjs.PersonalOf("+49 170 jane-doe"), esjs.PersonalOf(map[string]string{"jane-doe": "called"})}
	if _, err := r.store.Append(within(t), clock("c-1"), esjs.NoStream(), event); err != nil {
		t.Fatal(err)
	}
	upcasting, err := joinedCodec(t).WithUpcasters(esjs.Upcaster{Type: "Called", To: "Joined", Upcast: func(data []byte) ([]byte, error) {
		return nil, fmt.Errorf("what is %s?", data)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		codec *esjs.Codec[esjs.Event]
		tells string
	}{
		"another type":     {codecOf(t, esjs.TypeOf[esjs.Event, calledLater]()), `the field "phone" is no time.Time`},
		"no longer marked": {codecOf(t, esjs.TypeOf[esjs.Event, calledInClear]()), `the field "notes" is no `},
		"an upcaster":      {upcasting, "personal values"},
	} {
		s := newSignals()
		cfg := r.cfg
		cfg.Name, cfg.Codec, cfg.Observer = name, c.codec, s
		run := r.start(t, cfg, newHandled(t, 0).handle)
		s.await(t, "the key is parked", func() bool { return s.parked[name] == 1 })
		run.stopped(t)
		status, err := esjs.Subscriptions(within(t), r.store, subscriptions)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range status {
			if one.Name == name && (!strings.Contains(one.Parked[0].Reason, c.tells) || strings.Contains(one.Parked[0].Reason, "jane")) {
				t.Errorf("%s: parked because %s", name, one.Parked[0].Reason)
			}
		}
		var decode *esjs.DecodeError
		for record, err := range r.store.Read(within(t), clock("c-1"), 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.codec.Decode(record); !errors.As(err, &decode) || strings.Contains(fmt.Sprintf("%+v", err), "jane") {
				t.Errorf("%s: read: %v", name, err)
			}
		}
	}
}

func codecOf(t testing.TB, types ...esjs.EventType[esjs.Event]) *esjs.Codec[esjs.Event] {
	t.Helper()
	codec, err := esjs.NewCodec(types...)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}
