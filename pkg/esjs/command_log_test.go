package esjs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// The newest commands are found, as they are and as a snapshot has them, whatever
// their ids look like.
func TestTheNewestCommandsAreFound(t *testing.T) {
	var l commandLog
	ids := make([]string, commandLogSize+20)
	for i := range ids {
		switch u := uuid.NewString(); i % 4 {
		case 0:
			ids[i] = u
		case 1:
			ids[i] = strings.ToUpper(u)
		case 2:
			ids[i] = "urn:uuid:" + u
		default:
			ids[i] = strings.Repeat("é", i) // one is longer than a byte can say
		}
		l = l.with(&Metadata{CommandID: ids[i], CommandHash: CommandHash("do", []byte(ids[i]))}, Revision{version: uint64(3 * (i + 1)), sequence: uint64(1000 * (i + 1))}, 3)
	}
	body, err := jsonv2.Marshal(l)
	var read commandLog
	if err == nil {
		err = jsonv2.Unmarshal(body, &read)
	}
	if err != nil || read.n != commandLogSize || !bytes.Equal(read.raw, l.raw) {
		t.Fatalf("%s is read with %d commands, %v", body, read.n, err)
	}
	for i, id := range ids {
		got, ok := read.find(id)
		if old := i < len(ids)-commandLogSize; ok == old {
			t.Fatalf("command %d, %q, is found: %v", i, id, ok)
		} else if old {
			continue
		}
		want := handledCommand{ID: id, fingerprint: fingerprintOf(CommandHash("do", []byte(id))), Version: uint64(3 * (i + 1)), Sequence: uint64(1000 * (i + 1)), Events: 3}
		if got != want {
			t.Errorf("command %d is read as %+v, want %+v", i, got, want)
		}
	}
	if _, ok := read.find(uuid.NewString()); ok {
		t.Error("a command is found that never was")
	}
}

// Snapshots of earlier releases have a list of objects.
func TestCommandsOfEarlierSnapshotsAreFound(t *testing.T) {
	var l commandLog
	if err := jsonv2.Unmarshal([]byte(`[{"id":"a","hash":"h","version":3,"sequence":17,"events":2},{"id":"b","version":4,"sequence":19,"events":1}]`), &l); err != nil {
		t.Fatal(err)
	}
	a, _ := l.find("a")
	b, _ := l.find("b")
	if (a != handledCommand{"a", fingerprintOf("h"), 3, 17, 2} || b != handledCommand{"b", fingerprint{}, 4, 19, 1}) {
		t.Errorf("read are %+v and %+v", a, b)
	}
	for _, damaged := range []string{`""`, `"AA"`, `"****"`, `[{"id":"a","version":1,"events":2}]`, `7`, `{}`} {
		if err := json.Unmarshal([]byte(damaged), &l); err == nil {
			t.Errorf("%s is read as %+v", damaged, l)
		}
	}
}

// What is stored of 128 commands with the usual ids and hashes is loaded with every
// aggregate, so its size is bounded.
func TestALogOfCommandsIsSmall(t *testing.T) {
	var l commandLog
	for i := range commandLogSize {
		l = l.add(uuid.NewString(), CommandHash("do", fmt.Append(nil, i)), uint64(1e6+i), uint64(1e9+i), 1)
	}
	if body, err := jsonv2.Marshal(l); err != nil || len(body) > 48*commandLogSize {
		t.Errorf("%d commands take %d bytes, %v, at most 48 for each are allowed", l.n, len(body), err)
	}
}
