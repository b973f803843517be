package live

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// taker is a client; what it has taken is in the recorder.
type taker struct{ *httptest.ResponseRecorder }

func (taker) SetReadDeadline(time.Time) error  { return nil }
func (taker) SetWriteDeadline(time.Time) error { return nil }

// A client who is in the middle of taking something while the hub is interrupted,
// and begins again further on, is not moved over what he has not been given.
func TestAStalledClientIsNotMovedOverWhatHeMissed(t *testing.T) {
	at := func(text string) esjs.Position {
		p, err := esjs.ParsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	h := &Hub{cfg: Config{}.withDefaults(), listeners: map[*listener]struct{}{}, at: at("0-5"), following: true}
	l, from, leave := h.listen(Topic{})
	defer leave()
	beat := func() string {
		client := taker{httptest.NewRecorder()}
		out, err := begin(client, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.beat(out, l, from); err != nil {
			t.Fatal(err)
		}
		return client.Body.String()
	}
	h.at = at("0-7") // by what he did not ask for
	if got := beat(); !strings.Contains(got, "id: 0-7\n") {
		t.Errorf("a beat while he listens is %q", got)
	}
	h.endAll(errInterrupted)
	h.at, h.following = at("0-9"), true
	if got := beat(); got == "" || strings.Contains(got, "id:") {
		t.Errorf("a beat when the hub has gone on without him is %q", got)
	}
	<-l.ended
}
