package esjs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// What is decoded from the store, from a URL or from a header is refused, or is
// what was written: nothing panics, and nothing is read in two ways.

func FuzzRevisionText(f *testing.F) {
	for _, seed := range []string{"0-0", "3-1871", "03-1", "+1-1", "1-1-1", "18446744073709551615-18446744073709551615", "4294967296-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRevision(text); err == nil && (r.String() != text || (r.version == 0) != (r.sequence == 0)) {
			t.Errorf("the revision %q is read as %s", text, r)
		} else if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzPositionText(f *testing.F) {
	for _, seed := range []string{"0-0", "0-1871", "00-1", "3-0", "4294967295-1", "4294967296-1", "-", "0x1-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		var again Position
		if err := again.UnmarshalText([]byte(p.String())); err != nil || p.String() != text || again != p || p.IsZero() != (p == Position{}) {
			t.Errorf("the position %q is read as %s, and that as %s, %v", text, p, again, err)
		}
	})
}

func FuzzInputPlace(f *testing.F) {
	for _, seed := range []string{"0-1871/3", "/7", "0-0/3", "3-0/0", "//", "0-1/-1", "0-1871/3/4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again InputRef
		if r.parsePlace(text) != nil {
			return
		}
		if err := again.parsePlace(r.place()); err != nil || again.Position != r.Position || again.Version != r.Version {
			t.Errorf("%q is read as %+v, written as %q and read as %+v, %v", text, r, r.place(), again, err)
		}
	})
}

// A lease that is read stands where its owner stood: nothing that was not
// finished is taken for finished.
func FuzzLeaseEntry(f *testing.F) {
	for _, seed := range []string{
		`{"subscription":"s","owner":"o","token":"t","stream":"EVENTS","floor":"0-7","ranges":[[9,12],[14,14]],"lease_ms":20000}`,
		`{"floor":"0-0","ranges":[[0,1]]}`, `{"floor":"0-9","ranges":[[3,4]]}`, `{"ranges":[[5,4]]}`, `{"ranges":[[1,2],[2,3]]}`, `{}`, `{"floor":"1-1"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var e leaseEntry
		if e.decode(value) != nil {
			return
		}
		p := newProgress(place{Floor: e.Floor, Ranges: append([]span(nil), e.Ranges...)})
		if at := p.place(); at.Floor.sequence != e.Floor.sequence || len(at.Ranges) != len(e.Ranges) || at.check() != nil {
			t.Fatalf("%s is the place %+v", value, at)
		}
		for i, r := range e.Ranges { // ascending, as deliveries are
			before := e.Floor.sequence
			if i > 0 {
				before = e.Ranges[i-1][1]
			}
			if r[0]-1 > before && p.finished(r[0]-1) || !p.finished(r[0]) || !p.finished(r[1]) {
				t.Fatalf("%s: the range %v is not what is finished", value, r)
			}
		}
		if top := e.top(); top+1 != 0 && p.finished(top+1) {
			t.Fatalf("%s: %d counts as finished", value, top+1)
		}
		written, err := jsonv2.Marshal(e)
		var again leaseEntry
		if err == nil {
			err = again.decode(written)
		}
		if err != nil || !again.Renewed.Equal(e.Renewed) || again.Floor != e.Floor || !slices.Equal(again.Ranges, e.Ranges) {
			t.Fatalf("%s is written as %s and read as %+v, %v", value, written, again, err)
		}
	})
}

func FuzzParkedEntry(f *testing.F) {
	for _, seed := range []string{
		`{"subscription":"s","key":"order/o-1","reason":"r","since":"2026-01-01T00:00:00Z","sequences":[3,7],"more_from":9,"released":true,"more_to":12}`,
		`{"sequences":[7,3]}`, `{"more_to":1}`, `{}`,
	} {
		f.Add([]byte(seed), uint64(8))
	}
	f.Fuzz(func(t *testing.T, value []byte, sequence uint64) {
		var e parkedEntry
		if jsonv2.Unmarshal(value, &e) != nil {
			return
		}
		before, _ := jsonv2.Marshal(e)
		if grown := e.add([]uint64{sequence}); !grown.covers(sequence) && sequence > 0 && grown.MoreFrom != sequence {
			t.Errorf("%s: %d was added and is not held: %+v", value, sequence, grown)
		}
		if len(e.Sequences) > 0 {
			if rest := e.after(e.Sequences[0]); len(rest.Sequences) != len(e.Sequences)-1 {
				t.Errorf("%s: after the first one there are %v", value, rest.Sequences)
			}
		}
		if after, _ := jsonv2.Marshal(e); !bytes.Equal(before, after) {
			t.Errorf("%s was changed to %s", before, after)
		}
	})
}

// A snapshot is never trusted: it is used as it was written, or not at all.
func FuzzSnapshot(f *testing.F) {
	type state struct {
		Sum  int               `json:"sum"`
		Tags map[string]string `json:"tags,omitempty"`
	}
	store := &Store{}
	store.parts = []*Store{store}
	s := &snapshotter[state]{store: store, policy: SnapshotPolicy[state]{StateVersion: 2}}
	id := StreamID{Category: "account", Key: "a"}
	body, err := s.encode(context.Background(), id, &folded[state]{
		state:    state{Sum: 7, Tags: map[string]string{"a": "b"}},
		revision: Revision{version: 3, sequence: 1871},
		commands: commandLog{}.add("c", "h", 3, 1871, 1),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"form":1,"state_version":2,"inputs":{"events":{"position":"0-1","version":1}},"state":null}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		read := s.decode(id, &nats.Msg{Data: value})
		if read == nil || len(read.persons.ids) > 0 { // none, or one that is sealed with keys
			return
		}
		written, err := s.encode(t.Context(), id, read)
		if err != nil {
			t.Fatalf("%s is read as %+v and not written: %v", value, read, err)
		}
		again := s.decode(id, &nats.Msg{Data: written})
		if again == nil {
			t.Fatalf("%s is written as %s, which is not read", value, written)
		}
		if rewritten, err := s.encode(t.Context(), id, again); err != nil || !bytes.Equal(rewritten, written) {
			t.Fatalf("%s is written as %s and then as %s, %v", value, written, rewritten, err)
		}
	})
}

// The short way of reading an acknowledgement says what the long one says.
func FuzzAck(f *testing.F) {
	for _, seed := range []string{
		`{"stream":"EVENTS","seq":1871}`, `{"stream":"E","error":{"err_code":10071},"x":"","seq":5}`, `{"stream":"E","seq":007}`,
		`{"stream":"E","seq":1,"duplicate":true}`, `{"error":{"code":400}}`, `{"stream":"","seq":18446744073709551616}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sequence, ok := plainAck(data)
		if !ok || !json.Valid(data) {
			_, _ = parseAck(data)
			return
		}
		var ack struct {
			Sequence uint64          `json:"seq"`
			Error    json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(data, &ack); err != nil || ack.Sequence != sequence || ack.Error != nil {
			t.Errorf("%s is read as %d and is %+v, %v", data, sequence, ack, err)
		}
	})
}
