package esjs

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// What a message brings beside a commit, by whomever it was sent: a subject, a reply subject, a trace
// context and a projection's name.

func FuzzFired(f *testing.F) {
	timers := &Timers{service: "sales"}
	armed := timers.subject("fired", StreamID{Category: "quote", Key: "q 1"}, Timer{Name: "end", Version: 3})
	f.Add(armed, []byte(`{"at":"2026-03-01T12:00:00.000000005Z"}`))
	f.Add(armed, []byte(`{"at":"2026-03-01T12:00:00Z","traceparent":"00-1-2-3"}`))
	for _, subject := range []string{"timer.sales.set.quote.q.end.3", "timer.sales.fired.quote.=2e.end.3", "timer.sales.fired.quote..end.03", "timer.a.fired.b.c.d.-1"} {
		f.Add(subject, []byte(`{"at":7}`))
	}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		at := time.Now()
		fired, err := parseFired(subject, data, at)
		if parts := firedParts(message{subject: subject, data: data, stored: at}); len(parts) != 1 || parts[0].key == "" && subject != "" || (parts[0].err == nil) != (err == nil) {
			t.Errorf("%q is delivered as %+v", subject, parts)
		}
		if err != nil {
			return
		}
		again := &Timers{service: strings.Split(subject, ".")[1]}
		timer := Timer{Name: fired.Name, Version: fired.Version}
		if same := again.subject("fired", fired.Stream, timer); same != subject || fired.ID() != subject || !fired.is(timer) || !fired.FiredAt.Equal(at) {
			t.Errorf("%q is read as %+v, which is written as %q", subject, fired, same)
		}
	})
}

func FuzzDelivered(f *testing.F) {
	for _, reply := range []string{
		"$JS.ACK.EVENTS.c.1.1871.5.1767225600000000000.42", "$JS.ACK._.ACCOUNT.EVENTS.c.1.1871.5.1767225600000000000.42.token",
		"$JS.ACK.EVENTS.c.1.99999999999999999999.5.1.42", "$JS.ACK.EVENTS.c.1..5.1.42", "$JS.ACK.......", "$JS.ACK", "_INBOX.x",
	} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		d, ok := parseDelivered(reply)
		if !ok {
			return
		}
		// What is understood is what the client understands.
		m := &nats.Msg{Reply: reply, Sub: &nats.Subscription{}}
		meta, err := m.Metadata()
		if err != nil {
			return // the client wants a consumer's subscription, and refuses what has too many tokens for it
		}
		if d.stream != meta.Sequence.Stream || d.consumer != meta.Sequence.Consumer || d.stored != meta.Timestamp.UnixNano() || d.pending != meta.NumPending {
			t.Errorf("%q is read as %+v, by the client as %+v", reply, d, meta)
		}
	})
}

func FuzzTraceParent(f *testing.F) {
	const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, s := range []string{valid, valid + "-more", "01" + valid[2:] + "-more", "ff" + valid[2:], strings.ToUpper(valid), "00-00000000000000000000000000000000-b7ad6b7169203331-01", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kept := checkTraceParent(s)
		if kept == "" {
			return
		}
		if len(kept) != len(valid) || !strings.HasPrefix(kept, "00-") || kept[3:] != s[3:len(valid)] || checkTraceParent(kept) != kept {
			t.Errorf("%q is kept as %q", s, kept)
		}
	})
}

func FuzzFullName(f *testing.F) {
	for _, name := range []string{"orders_v1", "orders_v_v2", "_v1", "orders_v01", "orders_v0", "orders_v-1", "orders_v99999999999999999999"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, fullName string) {
		name, version, err := SplitFullName(fullName)
		if err != nil {
			return
		}
		if again := (Projection[int, Event]{Name: name, Version: version}).FullName(); again != fullName || version < 1 {
			t.Errorf("%q is read as %q and %d, which is %q", fullName, name, version, again)
		}
	})
}
