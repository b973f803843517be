package esjs_test

import (
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

// An instance whose events would say something about a person who was erased, or whose
// key is broken, is set aside and keeps others from nothing. What it would keep of
// that itself is left out when it cannot be stored either.
func TestInstanceThatCannotSealIsQuarantined(t *testing.T) {
	t.Parallel()
	d := esjstest.Server(t)
	r := newAssemblyRig(t, d)
	store := keyedStore(t, d, master(1))
	if err := store.ErasePerson(testContext(t), "erased"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(testContext(t), member("m-1"), esjs.NoStream(), ada("m-1")); err != nil {
		t.Fatal(err)
	}
	kv, err := jetStream(t, d.Connect(t)).KeyValue(testContext(t), keyBucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(testContext(t), "person.m-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(testContext(t), "person.broken", entry.Value()); err != nil {
		t.Fatal(err)
	}
	for order, o := range map[string]options{
		// No attempt helps, so none is waited for.
		"erased": {config: func(c *esjs.ProcessConfig) { c.Retry.First, c.Retry.Max = time.Hour, time.Hour }},
		"broken": {},
	} {
		o.process = func(p *esjs.Process[assembly, esjs.Event, esjs.Event]) {
			p.Name, p.Out, p.Timers = order, joinedCodec(t), nil
			p.Inputs = esjs.Query{Streams: []esjs.StreamID{{Category: "order", Key: order}, {Category: "order", Key: order + "-not"}}}
			p.React = func(_ assembly, in esjs.Input[esjs.Event]) ([]esjs.Event, error) {
				return []esjs.Event{ada(in.Event.Event.(placed).Order)}, nil
			}
			p.Quarantined = func(_ assembly, q esjs.Quarantine) esjs.Event { return ada(q.Key) }
		}
		p := r.startOn(t, keyedStore(t, d, master(1)), o)
		r.place(t, order, 0)
		r.place(t, order+"-not", 0)
		eventually(t, "the others do not go on", func() bool { return typesOf(r.history(t, order+"-not")) == "Joined" })
		p.quarantined(t, order+": 1")
		p.shutdown(t)
		r.check(t, order)
	}
}
