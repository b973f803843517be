package jsonbench

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/internal/wire"
)

// envelope is a stored event for a library that reads it whole.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	Sequence        string          `json:"sequence"`
	SequenceType    string          `json:"sequencetype"`
	DataContentType string          `json:"datacontenttype"`
	SchemaVersion   int             `json:"schemaversion"`
	CorrelationID   string          `json:"correlationid"`
	CausationID     string          `json:"causationid"`
	CommandID       string          `json:"commandid"`
	Actor           string          `json:"actor"`
	TraceParent     string          `json:"traceparent"`
	CommandHash     string          `json:"commandhash"`
	Window          string          `json:"esjsprev"`
	Data            json.RawMessage `json:"data"`
}

// BenchmarkCommit decodes commits of 1, 5 and 100 events, envelope and data,
// in two ways: both by a library, and the envelope by esjs.
func BenchmarkCommit(b *testing.B) {
	for _, events := range []int{1, 5, 100} {
		body := commit(events)
		for _, l := range libraries() {
			run := func(how string, decode func() (int, error)) {
				b.Run(fmt.Sprintf("events=%d/%s/%s", events, l.name, how), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if n, err := decode(); n != events || err != nil {
							b.Fatalf("%d events, %v", n, err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
				})
			}
			run("whole", func() (int, error) {
				var all []envelope
				if err := l.unmarshal(body, &all); err != nil {
					return 0, err
				}
				for i := range all {
					if err := decodeData(l, all[i].Data); err != nil {
						return i, err
					}
				}
				return len(all), nil
			})
			var decoder wire.Decoder
			run("data", func() (int, error) {
				all, _, err := decoder.Decode(body)
				if err != nil {
					return 0, err
				}
				for i := range all {
					if err := decodeData(l, all[i].Data); err != nil {
						return i, err
					}
				}
				return len(all), nil
			})
		}
	}
}

func decodeData(l library, data []byte) error {
	var o ordered
	if err := l.unmarshal(data, &o); err != nil {
		return err
	}
	if o.Total != order.Total {
		return fmt.Errorf("%s: the total is %d", l.name, o.Total)
	}
	return nil
}

// TestStrictness shows what each library refuses of what an event store must
// not let pass: who reads it in another way sees another event.
func TestStrictness(t *testing.T) {
	bad := map[string]string{
		"invalid UTF-8":          "{\"customer\":\"a\xffb\"}",
		"a name twice":           `{"total":1,"total":2}`,
		"a name of another case": `{"TOTAL":3}`,
	}
	for _, l := range libraries() {
		var whole ordered
		if err := decodeData(l, dataOf(t)); err != nil {
			t.Errorf("%s does not read a good event: %v", l.name, err)
		}
		for name, data := range bad {
			whole = ordered{}
			err := l.unmarshal([]byte(data), &whole)
			refused := err != nil || name == "a name of another case" && whole.Total == 0
			if refused != slices.Contains(l.refuses, name) {
				t.Errorf("%s: %s: refused is %t (%v, %+v): the decision says something else", l.name, name, refused, err, whole)
			}
		}
		if err := l.unmarshal([]byte(`{"total":1} x`), &whole); err == nil {
			t.Errorf("%s takes what comes after an event", l.name)
		}
	}
}

func dataOf(t *testing.T) []byte {
	t.Helper()
	var decoder wire.Decoder
	all, _, err := decoder.Decode(commit(1))
	if err != nil {
		t.Fatal(err)
	}
	return all[0].Data
}
