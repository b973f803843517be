package esjs

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestParseDelivered(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"$JS.ACK.EVENTS.c1.1.1871.3.1700000000123456789.42",
		"$JS.ACK._.hash.EVENTS.c1.1.1871.3.1700000000123456789.42",
		"$JS.ACK.hub.hash.EVENTS.c1.1.1871.3.1700000000123456789.42.random",
		"$JS.ACK.hub.hash.EVENTS.c1.1.1871.3.1700000000123456789.42.random.and.more",
	} {
		got, ok := parseDelivered(reply)
		want, err := (&nats.Msg{Reply: reply, Sub: &nats.Subscription{}}).Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if !ok || got.stream != want.Sequence.Stream || got.consumer != want.Sequence.Consumer || got.stored != want.Timestamp.UnixNano() || got.pending != want.NumPending {
			t.Errorf("%s is read as %+v, %v; the client reads %+v", reply, got, ok, want)
		}
	}
	whole := "$JS.ACK.EVENTS.c1.1.1871.3.1700000000123456789.42"
	for _, reply := range []string{
		"", "$JS.ACK.", "_INBOX.a.b.1.1871.3.1700000000123456789.42", whole + ".43", strings.TrimSuffix(whole, ".42"), strings.TrimSuffix(whole, "42"),
		strings.Replace(whole, "1871", "18x1", 1), strings.Replace(whole, "1871", "-1", 1), strings.Replace(whole, "1871", "99999999999999999999", 1),
	} {
		if got, ok := parseDelivered(reply); ok {
			t.Errorf("%q is read as %+v", reply, got)
		}
	}
}
