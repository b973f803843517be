package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var write = flag.Bool("write", false, "write golden files of shapes that have none")

// shapes are commits of every form that is stored; each has a golden file.
func shapes() map[string]struct {
	window []uint64
	events []Event
} {
	at := time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC)
	minimal := Event{
		ID: "0195f1a2-0000-7000-8000-000000000001", Type: "OrderCreated", Source: "/order", Subject: "o-1",
		Time: at.Truncate(time.Second), Sequence: 1, SchemaVersion: 1,
	}
	full := Event{
		ID: "5b3f6f0e-9d0a-5c39-8f5e-1a2b3c4d5e6f", Type: "OrderSubmitted", Source: "/order", Subject: "kunde@example.com/Ä \"1\"\n",
		Time: at, Sequence: 7, SchemaVersion: 3,
		CorrelationID: "o-1", CausationID: "cause", CommandID: "command", Actor: "Jürgen <j@example.com>",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", CommandHash: "c2hhMjU2",
		InputID: "in-1", InputSource: "/payment", InputPosition: "0-1871",
		Extensions: map[string]string{"tenant": "a\\b", "retries": "3", "ratio": "-1.50e+3", "test": "true", "empty": ""},
		Literals:   []string{"ratio", "retries", "test"},
		Data:       []byte(`{"total":{"amount":"24.90","currency":"EUR"},"lines":[1,2.5,null,true,"\u00e9"]}`),
	}
	second := full
	second.ID, second.Type, second.Sequence, second.SchemaVersion = "5b3f6f0e-9d0a-5c39-8f5e-1a2b3c4d5e70", "OrderPaid", 8, 1
	second.CommandHash, second.InputID, second.InputSource, second.InputPosition = "", "", "", ""
	second.Extensions, second.Literals, second.Data = nil, nil, []byte(`{}`)
	third := second
	third.ID, third.Sequence, third.Data = "5b3f6f0e-9d0a-5c39-8f5e-1a2b3c4d5e71", 9, []byte(`null`)
	window := make([]uint64, WindowSize)
	for i := range window {
		window[i] = uint64(200000 - 37*i*i)
	}
	type shape = struct {
		window []uint64
		events []Event
	}
	return map[string]shape{
		"minimal":     {nil, []Event{minimal}},
		"full":        {[]uint64{1871, 1800, 3}, []Event{full}},
		"full-window": {window, []Event{full}},
		"several":     {[]uint64{4}, []Event{full, second, third}},
	}
}

// decodeCommit reads one commit.
func decodeCommit(body []byte) ([]Event, []uint64, error) { return new(Decoder).Decode(body) }

// TestGolden proves that what was stored once is read for ever, and that the
// same bytes are still written.
func TestGolden(t *testing.T) {
	for name, shape := range shapes() {
		file := filepath.Join("testdata", name+".json")
		if *write {
			body, err := AppendCommit(nil, shape.window, shape.events)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(body) {
			t.Errorf("%s is not JSON", file)
		}
		events, window, err := decodeCommit(body)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !reflect.DeepEqual(events, shape.events) || !reflect.DeepEqual(window, shape.window) {
			t.Errorf("%s is read as\n%+v %v\nwant\n%+v %v", file, events, window, shape.events, shape.window)
		}
		if again, err := AppendCommit(nil, window, events); err != nil || !bytes.Equal(again, body) {
			t.Errorf("%s is written again as\n%s, %v\nwant\n%s", file, again, err, body)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "\t", "  "); err != nil {
			t.Fatal(err)
		}
		events, _, err = decodeCommit(append([]byte(" \r\n"), append(indented.Bytes(), ' ', '\n')...))
		if err != nil {
			t.Fatalf("%s indented: %v", file, err)
		}
		for i := range events {
			var compact bytes.Buffer
			if events[i].Data != nil {
				if err := json.Compact(&compact, events[i].Data); err != nil {
					t.Fatal(err)
				}
				events[i].Data = compact.Bytes()
			}
		}
		if !reflect.DeepEqual(events, shape.events) {
			t.Errorf("%s indented is read as %+v", file, events)
		}
	}
}

const required = `"specversion":"1.0","id":"i","source":"/o","type":"T","subject":"k","time":"2026-01-01T00:00:00Z","sequence":"1"`

func TestDecodeCommitReadsOtherLayouts(t *testing.T) {
	body := "\t[ { \"data\" : {\"a\":[ ]} , \"sequence\":\"41\",\"time\":\"2026-01-01T02:00:00.5+02:00\"," +
		`"subject":"\u006b\/\ud83d\ude00","type":"T","s\u006furce":"/o","id":"i","specversion":"1.0","schemaversion":null,"n":-0.5E-7,"b":false,"dataschema":"x"}` + "\n]\n"
	events, window, err := decodeCommit([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := []Event{{
		ID: "i", Source: "/o", Type: "T", Subject: "k/😀", Sequence: 41, SchemaVersion: 1,
		Time:       time.Date(2026, 1, 1, 0, 0, 0, 500000000, time.UTC),
		Extensions: map[string]string{"n": "-0.5E-7", "b": "false", "dataschema": "x"},
		Literals:   []string{"b", "n"}, Data: []byte(`{"a":[ ]}`),
	}}
	if !reflect.DeepEqual(events, want) || window != nil {
		t.Errorf("got %+v, %v, want %+v", events, window, want)
	}
}

// What an event has in common with the one before is taken from there, and nothing
// else is.
func TestDecodeCommitTellsWhatIsTheSame(t *testing.T) {
	event := func(id, typ, sequence, version, actor string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"/o","type":"` + typ + `","subject":"k","time":"2026-01-01T00:00:01Z","sequence":"` + sequence +
			`","sequencetype":"Integer","datacontenttype":"application/json",` + actor + `"schemaversion":` + version + `,"data":{}}`
	}
	for name, c := range map[string]struct {
		events []string
		want   []Event // id, type, schema version and actor
		refuse bool
	}{
		"all the same": {[]string{event("a", "T", "1", "2", `"actor":"x",`), event("b", "T", "2", "2", `"actor":"x",`), event("c", "T", "3", "2", `"actor":"x",`)},
			[]Event{{ID: "a", Type: "T", SchemaVersion: 2, Actor: "x"}, {ID: "b", Type: "T", SchemaVersion: 2, Actor: "x"}, {ID: "c", Type: "T", SchemaVersion: 2, Actor: "x"}}, false},
		"another one and back": {[]string{event("a", "T", "1", "2", ""), event("b", "U", "2", "2", `"actor":"x",`), event("c", "T", "3", "2", "")},
			[]Event{{ID: "a", Type: "T", SchemaVersion: 2}, {ID: "b", Type: "U", SchemaVersion: 2, Actor: "x"}, {ID: "c", Type: "T", SchemaVersion: 2}}, false},
		"a number goes on": {[]string{event("a", "T", "1", "1", ""), event("b", "T", "2", "12", "")},
			[]Event{{ID: "a", Type: "T", SchemaVersion: 1}, {ID: "b", Type: "T", SchemaVersion: 12}}, false},
		"null is nothing": {[]string{event("a", "T", "1", "2", `"actor":null,`), event("b", "T", "2", "2", `"actor":null,`)},
			[]Event{{ID: "a", Type: "T", SchemaVersion: 2}, {ID: "b", Type: "T", SchemaVersion: 2}}, false},
		"twice, after null": {[]string{event("a", "T", "1", "2", `"actor":null,`), event("b", "T", "2", `2,"actor":"x"`, `"actor":null,`)}, nil, true},
		"twice, before":     {[]string{event("a", "T", "1", "2", `"actor":"x",`), strings.Replace(event("b", "T", "2", "2", `"actor":"x",`), `"id"`, `"actor":"x","id"`, 1)}, nil, true},
		"twice, behind":     {[]string{event("a", "T", "1", "2", `"actor":"x",`), event("b", "T", "2", `2,"actor":"x"`, `"actor":"x",`)}, nil, true},
	} {
		got, _, err := decodeCommit([]byte("[" + strings.Join(c.events, ",") + "]"))
		if c.refuse {
			if err == nil {
				t.Errorf("%s: read as %+v, want an error", name, got)
			}
			continue
		}
		for i := range c.want {
			w := &c.want[i]
			w.Source, w.Subject, w.Sequence, w.Data = "/o", "k", uint64(i+1), []byte("{}")
			w.Time = time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: read as\n%+v, %v, want\n%+v", name, got, err, c.want)
		}
	}
}

func TestDecodeCommitRefuses(t *testing.T) {
	second := strings.Replace(required, `"sequence":"1"`, `"sequence":"2"`, 1)
	for _, body := range []string{
		``, ` `, `null`, `{}`, `[]`, `[`, `[{`, `[{}]`, `[{` + required + `}`, `[{` + required + `]`, `[{` + required + `},]`,
		`[{` + required + `}] x`, `[{` + required + `}][]`, `[{` + required + `,}]`, `[{` + required + `,"id":"i"}]`,
		`[{` + required + `,"x":"1","x":"2"}]`, `[{` + required + `,"x":{}}]`, `[{` + required + `,"x":[]}]`, `[{` + required + `,"X":"1"}]`,
		`[{` + required + `,"a_b":"1"}]`, `[{` + required + `,"":"1"}]`, `[{` + required + `,"data_base64":"AA"}]`, `[{` + required + `,"x":"\ud800"}]`,
		`[{` + required + `,"x":"\q"}]`, `[{` + required + `,"x":"\u12"}]`, "[{" + required + ",\"x\":\"a\nb\"}]", "[{" + required + ",\"x\":\"\xff\"}]",
		`[{` + required + `,"x":01}]`, `[{` + required + `,"x":-}]`, `[{` + required + `,"x":1.}]`, `[{` + required + `,"x":1e}]`, `[{` + required + `,"x":tru}]`,
		`[{` + required + `,"x":nul}]`, `[{` + required + `,"data":}]`, `[{` + required + `,"data":{]}}]`, `[{` + required + `,"data":{"a"}}]`,
		`[{` + required + `,"data":[1,]}]`, `[{` + required + `,"data":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}]`,
		`[{` + required + `,"schemaversion":"2"}]`, `[{` + required + `,"schemaversion":0}]`, `[{` + required + `,"schemaversion":1.5}]`,
		`[{` + required + `,"schemaversion":99999999999}]`, `[{` + required + `,"sequencetype":"Random"}]`, `[{` + required + `,"datacontenttype":"text/plain"}]`,
		`[{` + required + `,"esjsprev":"!"}]`, `[{` + required + `,"esjsprev":3}]`, `[{` + required + `},{` + required + `}]`,
		`[{` + required + `},{` + second + `,"commandhash":"h"}]`, `[{` + required + `},{` + second + `,"esjsprev":"AQ"}]`,
		`[{` + required + `},{` + strings.Replace(second, `"k"`, `"l"`, 1) + `}]`, `[{` + required + `},{` + strings.Replace(second, `"/o"`, `"/p"`, 1) + `}]`,
		`[{` + strings.Replace(required, `"1.0"`, `"0.3"`, 1) + `}]`, `[{` + strings.Replace(required, `"id":"i"`, `"id":""`, 1) + `}]`,
		`[{` + strings.Replace(required, `"id":"i"`, `"id":null`, 1) + `}]`, `[{` + strings.Replace(required, `"sequence":"1"`, `"sequence":"0"`, 1) + `}]`,
		`[{` + strings.Replace(required, `"sequence":"1"`, `"sequence":"01"`, 1) + `}]`, `[{` + strings.Replace(required, `"sequence":"1"`, `"sequence":1`, 1) + `}]`,
		`[{` + strings.Replace(required, `"sequence":"1"`, `"sequence":""`, 1) + `}]`, `[{` + strings.Replace(required, `"specversion":"1.0",`, ``, 1) + `}]`,
		`[{` + strings.Replace(required, `2026-01-01T00:00:00Z`, `2026-01-01`, 1) + `}]`, `[{` + strings.Replace(required, `"time"`, `"thyme"`, 1) + `}]`,
		`[{` + strings.Replace(required, `2026-01-01T00:00:00Z`, `9999-12-31T23:59:59-01:00`, 1) + `}]`,
	} {
		if events, _, err := decodeCommit([]byte(body)); err == nil {
			t.Errorf("%.200s is read as %+v, want an error", body, events)
		}
	}
	whole := []byte(`[{` + required + `,"x":"\u00e9","data":{"a":[1.5e3,true,null]}},{` + second + `}]`)
	if _, _, err := decodeCommit(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if _, _, err := decodeCommit(whole[:i]); err == nil {
			t.Errorf("the commit cut after %d bytes is read without an error", i)
		}
	}
}

func TestAppendCommitRefuses(t *testing.T) {
	good := shapes()["full"].events[0]
	change := func(f func(*Event)) []Event { e := good; f(&e); return []Event{e} }
	for name, c := range map[string]struct {
		window []uint64
		events []Event
	}{
		"no events":           {nil, nil},
		"ascending window":    {[]uint64{1, 2}, []Event{good}},
		"zero in window":      {[]uint64{1, 0}, []Event{good}},
		"no id":               {nil, change(func(e *Event) { e.ID = "" })},
		"no type":             {nil, change(func(e *Event) { e.Type = "" })},
		"no source":           {nil, change(func(e *Event) { e.Source = "" })},
		"no subject":          {nil, change(func(e *Event) { e.Subject = "" })},
		"no sequence":         {nil, change(func(e *Event) { e.Sequence = 0 })},
		"gap":                 {nil, []Event{good, good}},
		"not UTF-8":           {nil, change(func(e *Event) { e.Actor = "\xff" })},
		"year 10000":          {nil, change(func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		"extension's name":    {nil, change(func(e *Event) { e.Extensions = map[string]string{"A": ""} })},
		"own extension":       {nil, change(func(e *Event) { e.Extensions = map[string]string{"id": "x"} })},
		"extension not UTF-8": {nil, change(func(e *Event) { e.Extensions = map[string]string{"a": "\xff"} })},
	} {
		dst := []byte("kept")
		if got, err := AppendCommit(dst, c.window, c.events); err == nil || string(got) != "kept" {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestCheckExtension(t *testing.T) {
	for name, ok := range map[string]bool{
		"tenant": true, "a1": true, "": false, "Tenant": false, "a-b": false, "esjsprev": false, "id": false, "data": false,
		strings.Repeat("a", 20): true, strings.Repeat("a", 21): false,
	} {
		if err := CheckExtension(name); (err == nil) != ok {
			t.Errorf("CheckExtension(%q) = %v", name, err)
		}
	}
}

func TestDataAndStringsDoNotShareTheBody(t *testing.T) {
	body := []byte(`[{` + required + `,"data":{"a":1}}]`)
	events, _, err := decodeCommit(body)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(events[0].Data, "overwritten"...)
	if !bytes.HasSuffix(body, []byte(`{"a":1}}]`)) {
		t.Errorf("appending to the data changed the body: %s", body)
	}
	clear(body)
	if events[0].ID != "i" || events[0].Subject != "k" {
		t.Errorf("the strings changed with the body: %+v", events[0])
	}
}

func FuzzDecodeCommit(f *testing.F) {
	for _, shape := range shapes() {
		body, err := AppendCommit(nil, shape.window, shape.events)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`[{` + required + `,"x":1e400,"y":"\ud83d\ude00","data":[[],{}]}]`))
	var used Decoder
	f.Fuzz(func(t *testing.T, body []byte) {
		events, window, err := decodeCommit(body)
		same, sameWindow, sameErr := used.Decode(body)
		if (err == nil) != (sameErr == nil) || err == nil && !(reflect.DeepEqual(events, same) && slices.Equal(window, sameWindow)) {
			t.Fatalf("%s is read as\n%+v, %v, %v\nand by a decoder that was used before as\n%+v, %v, %v", body, events, window, err, same, sameWindow, sameErr)
		}
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%s is read and is not JSON", body)
		}
		written, err := AppendCommit(nil, window, events)
		if err != nil {
			t.Fatalf("%s is read as %+v and not written: %v", body, events, err)
		}
		again, pointers, err := decodeCommit(written)
		if err != nil || !reflect.DeepEqual(again, events) || !reflect.DeepEqual(pointers, window) {
			t.Fatalf("%s is read as\n%+v\nwritten as %s and read as\n%+v, %v", body, events, written, again, err)
		}
	})
}

func benchmarkCommit(n int) ([]uint64, []Event) {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{
			ID: fmt.Sprintf("5b3f6f0e-9d0a-5c39-8f5e-1a2b3c4d%04x", i), Type: "OrderSubmitted", Source: "/order", Subject: "0195f1a2-7000-8000-000000000001",
			Time: time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC), Sequence: uint64(i + 1), SchemaVersion: 1,
			CorrelationID: "0195f1a2-7000-8000-000000000001", CausationID: "0195f1a2-7000-8000-000000000002", CommandID: "0195f1a2-7000-8000-000000000003",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			Data:        []byte(`{"order_id":"0195f1a2-7000-8000-000000000001","total":{"amount":"24.90","currency":"EUR"},"lines":[{"sku":"A-1","quantity":2}]}`),
		}
	}
	return []uint64{1871, 1800, 1700, 3}, events
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			window, events := benchmarkCommit(n)
			var body []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if body, err = AppendCommit(body[:0], window, events); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(body)))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			window, events := benchmarkCommit(n)
			body, err := AppendCommit(nil, window, events)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				if _, _, err := d.Decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
