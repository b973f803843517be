package esjs_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// rawCommit is the body of an aggregate's last commit as it is stored.
func rawCommit(t *testing.T, d *esjstest.Deployment, subject string) []byte {
	t.Helper()
	stream, err := jetStream(t, d.Connect(t)).Stream(testContext(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(testContext(t), subject)
	if err != nil {
		t.Fatal(err)
	}
	return m.Data
}

func TestNothingPersonalIsStoredInClear(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	m := esjs.Metadata{Extensions: map[string]string{"tenant": "t-1"}}
	h := clubHandler(t, store, esjs.HandlerConfig[club]{})
	if _, err := h.Handle(testContext(t), "m-1", ada("m-1"), esjs.WithMetadata(m)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.AppendAll(testContext(t),
		esjs.Write{Stream: member("m-2"), Events: []esjs.Event{ada("m-2")}},
		esjs.Write{Stream: member("m-3"), Events: []esjs.Event{noted{}, ada("m-3")}}); err != nil {
		t.Fatal(err)
	}
	for _, person := range []string{"m-1", "m-2", "m-3"} {
		body := string(rawCommit(t, d, "ev.member."+person))
		for _, text := range []string{`"Ada"`, `"Main Street"`, `"London"`, `"Anne"`, `:true`} { // what is sealed has neither mark
			if strings.Contains(body, text) {
				t.Errorf("%s is stored in clear: %s", text, body)
			}
		}
		if n := strings.Count(body, `{"$sealed":"`); n != 8 {
			t.Errorf("%d sealed values: %s", n, body)
		}
		if !strings.Contains(body, `"esjsperson":"`+person+`"`) || !strings.Contains(body, `"plan":"gold"`) {
			t.Errorf("what is not personal: %s", body)
		}
	}
	for r, err := range store.Read(testContext(t), member("m-1"), 0, 0) {
		if err != nil || r.Person != "m-1" || len(r.Metadata.Extensions) != 1 || r.Metadata.Extensions["tenant"] != "t-1" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// A commit that is repeated is recognised by its bytes, which are those of the first time.
func TestARepeatedCommitWithPersonalValuesIsStoredOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *esjstest.Deployment) {
		store := keyedStore(t, d, master(1))
		for _, expect := range []esjs.Expectation{esjs.NoStream(), esjs.Any(), esjs.ExpectVersion(0)} {
			write := esjs.Write{
				Stream: member("m-1"), Expect: expect, Events: []esjs.Event{ada("m-1"), noted{}},
				Metadata: esjs.Metadata{CommandID: "c-1", CommandHash: "h"},
			}
			if stored, err := store.AppendWrite(testContext(t), write); err != nil || stored.Revision.Version() != 2 {
				t.Errorf("%+v: %+v, %v", expect, stored, err)
			}
		}
	})
}

func TestPersonalValuesThatCannotBeStored(t *testing.T) {
	d := esjstest.Server(t)
	store := keyedStore(t, d, master(1))
	erased, err := joinedCodec(t).Erased(ada("m-1"))
	if err != nil {
		t.Fatal(err)
	}
	forged := ada("m-1")
	forged.Extra = map[string]any{"a": map[string]any{"$sealed": "AQID"}}
	broken := ada("m-1")
	broken.Extra = map[string]any{"a": map[string]any{"$sealed": 1}}
	hidden := ada("m-1")
	hidden.Extra = map[string]any{"a": hiding{Name: esjs.PersonalOf("Ada")}}
	for name, event := range map[string]esjs.Event{
		"an erased value":              erased,
		"nobody's":                     ada(""),
		"a person with a long name":    ada(strings.Repeat("m", 256)),
		"what looks sealed":            forged,
		"what looks sealed and is not": broken,
		"hidden without a PersonID":    nobodys{Name: esjs.PersonalOf("Ada")},
		"hidden where nobody can see":  wrapping{Any: nobodys{Name: esjs.PersonalOf("Ada")}},
		"a value that is null":         nulled{Name: esjs.PersonalOf(null{})},
	} {
		if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), event); !errors.Is(err, esjs.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := d.Store(t).Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("without keys: %v", err)
	}
	m := esjs.Metadata{Extensions: map[string]string{"esjsperson": "m-2"}}
	_, err = store.AppendWrite(testContext(t), esjs.Write{Stream: member("m-1"), Events: []esjs.Event{noted{}}, Metadata: m})
	if !errors.Is(err, esjs.ErrInvalid) {
		t.Errorf("a person who is claimed: %v", err)
	}
	// A personal value that an interface holds is sealed with the event's others.
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), hidden); err != nil {
		t.Error(err)
	}
	if body := rawCommit(t, d, "ev.member.m-1"); bytes.Contains(body, []byte(`"Ada"`)) {
		t.Errorf("stored in clear: %s", body)
	}
}

type hiding struct{ Name esjs.Personal[string] }

type wrapping struct {
	Any any `json:"any"`
}

type nulled struct {
	Name esjs.Personal[null] `json:"name"`
}

type null struct{}

func (wrapping) EventType() string        { return "Wrapping" }
func (nulled) EventType() string          { return "Nulled" }
func (nulled) PersonID() string           { return "m-1" }
func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestWithoutKeysPersonalValuesAreNotRead(t *testing.T) {
	d := esjstest.Server(t)
	keyed, plain := keyedStore(t, d, master(1)), d.Store(t)
	stored, err := keyed.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1"))
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range plain.Read(testContext(t), member("m-1"), 0, 0) {
		if err != nil || bytes.Contains(r.Data, []byte(`"Ada"`)) || r.Person != "m-1" {
			t.Fatalf("%s, %v", r.Data, err)
		}
		var undecodable *esjs.DecodeError
		if e, err := joinedCodec(t).Decode(r); !errors.As(err, &undecodable) {
			t.Errorf("%#v, %v", e.Event, err)
		}
		// Who does not declare the personal fields reads the rest.
		codec, err := esjs.NewCodec(esjs.TypeOf[esjs.Event, planned]())
		if err != nil {
			t.Fatal(err)
		}
		if e, err := codec.Decode(r); err != nil || e.Event != (planned{Member: "m-1", Plan: "gold"}) {
			t.Errorf("%#v, %v", e.Event, err)
		}
	}
	_, err = esjs.NewCommandHandler(testContext(t), plain, esjs.Aggregate[club, esjs.Event, esjs.Event]{
		Category: "member", Codec: joinedCodec(t), Apply: applyClub, Decide: func(club, esjs.Event) ([]esjs.Event, error) { return nil, nil },
	}, esjs.HandlerConfig[club]{})
	if !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a handler: %v", err)
	}
	err = esjs.Subscribe(testContext(t), plain, esjs.SubscriptionConfig[esjs.Event]{Name: "x", EveryInstance: true, Codec: joinedCodec(t)},
		func(context.Context, esjs.Recorded[esjs.Event]) error { return nil })
	if !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a subscription: %v", err)
	}
	if err := plain.ErasePerson(testContext(t), "m-1"); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("an erasure: %v", err)
	}
	if _, err := plain.RotateMasterKey(testContext(t)); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a rotation: %v", err)
	}
	if _, err := esjs.VerifyErased(testContext(t), plain, joinedCodec(t), "m-1"); !errors.Is(err, esjs.ErrConfig) {
		t.Errorf("a verification: %v", err)
	}
	if stored.Revision.Version() != 1 {
		t.Errorf("version %d", stored.Revision.Version())
	}
}

// planned is what a reader sees of [joined] that wants nothing personal.
type planned struct {
	Member string `json:"member"`
	Plan   string `json:"plan"`
}

func (planned) EventType() string { return "Joined" }
