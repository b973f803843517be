package damage

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// exitUnsound is the status by which "orderflow verify" ends when something is not as it was written.
const exitUnsound = 21

// fault is something that a disk does to the files of a stopped server. lost are the sequences of the events that nobody
// reads from it any more. Nothing is lost by what the server repairs, or does not need.
type fault struct {
	name string
	do   func(*testing.T, *server) (lost []uint64)
	// The server does not know what is lost, and counts it as a message. Otherwise it counts it as deleted.
	unknown bool
}

func faults() []fault {
	return []fault{
		{name: "a bit flips in an event, in the middle", do: flip(inEvent, commits/2), unknown: true},
		{name: "a bit flips in an event, in the first block", do: flip(inEvent, 3), unknown: true},
		{name: "a bit flips in the last event", do: flip(inEvent, commits-1), unknown: true},
		{name: "a bit flips in a message's checksum", do: flip(inChecksum, commits/2), unknown: true},
		{name: "a block in the middle is cut in half", do: cutHalf(1)},
		{name: "the last block is cut in half", do: cutHalf(-1)},
		{name: "a block in the middle is gone", do: remove(1)},
		{name: "the index is gone", do: removeIndex},
		{name: "the index is damaged", do: damageIndex},
		{name: "a bit flips in an event, and the index is gone", do: func(t *testing.T, s *server) []uint64 {
			lost := flipIn(t, s, inEvent, commits/2)
			removeIndex(t, s)
			return lost // the block is read as far as it is sound
		}},
	}
}

// record is a message, and where it ends in its block.
type record struct {
	sequence uint64
	end      int
}

// records are those of a block, which is one after the other. Each begins with its length, whose highest bit tells that it
// has headers, and its sequence, and ends with eight bytes of a checksum (nats-server 2.15, server/filestore.go).
func records(block []byte) (all []record) {
	for at := 0; at < len(block); {
		length := int(binary.LittleEndian.Uint32(block[at:]) &^ (1 << 31))
		all = append(all, record{binary.LittleEndian.Uint64(block[at+4:]), at + length})
		at += length
	}
	return all
}

func sequences(of []record) (all []uint64) {
	for _, r := range of {
		all = append(all, r.sequence)
	}
	return all
}

// inEvent and inChecksum are where in a block a bit of the commit is that has its mark at mark.
func inEvent(_ record, mark int) int { return mark + 5 }

func inChecksum(r record, _ int) int { return r.end - 1 }

// flip flips a bit of a commit.
func flip(where func(r record, mark int) int, commit int) func(*testing.T, *server) []uint64 {
	return func(t *testing.T, s *server) []uint64 {
		t.Helper()
		return flipIn(t, s, where, commit)[:1]
	}
}

// flipIn flips a bit of a commit, and returns its sequence and those that are behind it in its block.
func flipIn(t *testing.T, s *server, where func(r record, mark int) int, commit int) []uint64 {
	t.Helper()
	for _, block := range s.blocks(t) {
		data := read(t, block)
		at := bytes.Index(data, []byte(mark(commit)))
		if at < 0 {
			continue
		}
		all := records(data)
		i := slices.IndexFunc(all, func(r record) bool { return at < r.end })
		data[where(all[i], at)] ^= 1
		write(t, block, data)
		return sequences(all[i:])
	}
	t.Fatalf("no block has %s", mark(commit))
	return nil
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// block finds one by its place; -1 is the last one.
func block(t *testing.T, s *server, i int) string {
	t.Helper()
	blocks := s.blocks(t)
	slices.SortFunc(blocks, func(a, b string) int { return len(a)*1000 + strings.Compare(a, b) - len(b)*1000 })
	return blocks[(i+len(blocks))%len(blocks)]
}

func cutHalf(i int) func(*testing.T, *server) []uint64 {
	return func(t *testing.T, s *server) []uint64 {
		t.Helper()
		path := block(t, s, i)
		data := read(t, path)
		half := len(data) / 2
		if err := os.Truncate(path, int64(half)); err != nil {
			t.Fatal(err)
		}
		return sequences(slices.DeleteFunc(records(data), func(r record) bool { return r.end <= half }))
	}
}

func remove(i int) func(*testing.T, *server) []uint64 {
	return func(t *testing.T, s *server) []uint64 {
		t.Helper()
		path := block(t, s, i)
		lost := sequences(records(read(t, path)))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return lost
	}
}

func index(s *server) string { return filepath.Join(s.stream(), "msgs", "index.db") }

func removeIndex(t *testing.T, s *server) []uint64 {
	t.Helper()
	if err := os.Remove(index(s)); err != nil {
		t.Fatal(err)
	}
	return nil
}

func damageIndex(t *testing.T, s *server) []uint64 {
	t.Helper()
	data := read(t, index(s))
	data[len(data)/2] ^= 1
	write(t, index(s), data)
	return nil
}

// every says how many of the faults TestDamageOfAReplica does: each is followed by a
// repair and five readings of the whole log.
var every = flag.Int("every", 3, "damage a replica by one of so many faults")

// A single server has nothing to repair an event from: what is lost is named, and a
// backup brings everything back on a new one.
func TestDamageOfASingleServer(t *testing.T) {
	s := start(t, 1)[0]
	fill(t, s, 1)
	whole := digest(t, s.must(t, "verify"))
	backup := filepath.Join(t.TempDir(), "backup")
	s.must(t, "backup", backup)
	s.stop(t)
	sound := filepath.Join(t.TempDir(), "sound")
	s.keep(t, sound)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			s.bring(t, sound)
			lost := f.do(t, s)
			s.run(t)
			defer s.stop(t)
			s.healthy(t)
			f.counted(t, s, lost)
			r := s.verify(t)
			t.Log(r.said())
			switch report := r.of(t, s); {
			case lost == nil && (r.status != 0 || report.Digest != whole):
				t.Errorf("nothing is lost, and verify says %d\n%s", r.status, r.text)
			case lost != nil && (r.status != exitUnsound || !slices.Equal(missing(t, report), lost)):
				t.Errorf("verify does not find what is lost, %s: %d\n%s", span(lost), r.status, r.text)
			}
		})
	}
	fresh := start(t, 1)[0]
	fresh.must(t, "restore", backup)
	if restored := digest(t, fresh.must(t, "verify")); restored != whole {
		t.Errorf("the restored log is another one: %s, want %s", restored, whole)
	}
}

// A replica that is damaged is found when each is read, and has what the others have
// when its copy was taken away.
func TestDamageOfAReplica(t *testing.T) {
	all := start(t, 3)
	fill(t, all[0], 3)
	whole := digest(t, all[0].must(t, "verify"))
	s, other := all[1], all[0]
	for i, f := range faults() {
		if i%*every != 0 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			s.stop(t)
			lost := f.do(t, s)
			s.run(t)
			s.healthy(t)
			f.counted(t, s, lost)
			r := other.verify(t, "--each-replica")
			t.Log(r.said())
			for _, one := range all {
				want := lost
				if one != s {
					want = nil
				}
				if found := missing(t, r.of(t, one)); !slices.Equal(found, want) {
					t.Errorf("verify finds %s missing on %s, want %s\n%s", span(found), one.name, span(want), r.text)
				}
			}
			if lost == nil {
				if r.status != 0 {
					t.Errorf("nothing is lost, and verify says %d\n%s", r.status, r.text)
				}
				return
			}
			if r.status != exitUnsound || !strings.Contains(r.text, "n2 has something else than n") && !strings.Contains(r.text, "has something else than n2") {
				t.Errorf("verify does not find that %s differs: %d\n%s", s.name, r.status, r.text)
			}
			s.stop(t)
			if err := os.RemoveAll(s.stream()); err != nil {
				t.Fatal(err)
			}
			s.run(t)
			s.healthy(t)
			if repaired := digest(t, other.must(t, "verify", "--each-replica")); repaired != whole {
				t.Errorf("the log is another one: %s, want %s", repaired, whole)
			}
		})
	}
}

// counted checks what the server itself says of what it has, and prints it.
func (f fault) counted(t *testing.T, s *server, lost []uint64) {
	t.Helper()
	state := s.state(t)
	t.Logf("| %s | healthy; %d messages, %d deleted, last %d |", f.name, state.Messages, state.Deleted, state.Last)
	deleted := len(lost)
	if f.unknown {
		deleted = 0
	}
	if state.Deleted != deleted || state.Messages != commits-uint64(deleted) {
		t.Errorf("%s counts %d messages and %d deleted ones of %d; lost are %s", s.name, state.Messages, state.Deleted, commits, span(lost))
	}
}

// missing are the sequences that a report says are missing.
func missing(t *testing.T, r esjs.VerifyReport) (all []uint64) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Kind != esjs.FindingMissing {
			continue
		}
		n := uint64(1)
		if strings.Contains(f.Reason, " commits ") {
			if _, err := fmt.Sscanf(f.Reason, "the leader does not have the %d commits", &n); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
		}
		for i := range n {
			all = append(all, f.Position.Sequence()+i)
		}
	}
	return all
}

// span is how many sequences there are, and from where to where.
func span(sequences []uint64) string {
	if len(sequences) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d from %d to %d", len(sequences), sequences[0], sequences[len(sequences)-1])
}
