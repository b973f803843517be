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
)

// exitUnsound is the status by which "orderflow verify" ends when something is not as it was written.
const exitUnsound = 21

// fault is something that a disk does to the files of a stopped server.
type fault struct {
	name string
	do   func(*testing.T, *server)
	// On a single server, what verify must say; "" where nothing is lost.
	alone string
	// On one of three replicas: whether it has something else than the others
	// afterwards, for ever. Otherwise the server repairs it, or does not need it.
	differs bool
}

func faults() []fault {
	return []fault{
		{name: "a bit flips in an event, in the middle", do: flip(inEvent, commits/2), alone: "missing", differs: true},
		{name: "a bit flips in an event, in the first block", do: flip(inEvent, 3), alone: "missing", differs: true},
		{name: "a bit flips in the last event", do: flip(inEvent, commits-1), alone: "missing", differs: true},
		{name: "a bit flips in a message's checksum", do: flip(inChecksum, commits/2), alone: "missing", differs: true},
		{name: "a block in the middle is cut in half", do: cutHalf(1), alone: "missing", differs: true},
		{name: "the last block is cut in half", do: cutHalf(-1), alone: "missing", differs: true},
		{name: "a block in the middle is gone", do: remove(1), alone: "missing", differs: true},
		{name: "the index is gone", do: removeIndex},
		{name: "the index is damaged", do: damageIndex},
		{name: "a bit flips in an event, and the index is gone", do: func(t *testing.T, s *server) {
			flip(inEvent, commits/2)(t, s)
			removeIndex(t, s)
		}, alone: "missing", differs: true},
	}
}

// inEvent and inChecksum are where in a block file a bit of the commit is that has its mark at mark.
func inEvent(_ []byte, mark int) int { return mark + 5 }

// A block is one record after the other, each with its length in front, whose highest bit tells that it has headers, and
// with eight bytes of a checksum at the end (nats-server 2.15, server/filestore.go).
func inChecksum(block []byte, mark int) int {
	for end := 0; ; {
		end += int(binary.LittleEndian.Uint32(block[end:]) &^ (1 << 31))
		if end > mark {
			return end - 1
		}
	}
}

// flip flips a bit of a commit.
func flip(where func(block []byte, mark int) int, commit int) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		t.Helper()
		for _, block := range s.blocks(t) {
			data, err := os.ReadFile(block)
			if err != nil {
				t.Fatal(err)
			}
			if at := bytes.Index(data, []byte(mark(commit))); at >= 0 {
				data[where(data, at)] ^= 1
				write(t, block, data)
				return
			}
		}
		t.Fatalf("no block has %s", mark(commit))
	}
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

func cutHalf(i int) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		t.Helper()
		path := block(t, s, i)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()/2); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(i int) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		t.Helper()
		if err := os.Remove(block(t, s, i)); err != nil {
			t.Fatal(err)
		}
	}
}

func index(s *server) string { return filepath.Join(s.stream(), "msgs", "index.db") }

func removeIndex(t *testing.T, s *server) {
	t.Helper()
	if err := os.Remove(index(s)); err != nil {
		t.Fatal(err)
	}
}

func damageIndex(t *testing.T, s *server) {
	t.Helper()
	data, err := os.ReadFile(index(s))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	write(t, index(s), data)
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
			f.do(t, s)
			s.run(t)
			defer s.stop(t)
			s.healthy(t)
			state := s.state(t)
			r := s.tool(t, "verify")
			t.Logf("| %s | healthy; %d messages, %d deleted, last %d | %s |", f.name, state.Messages, state.Deleted, state.Last, said(r))
			switch {
			case f.alone == "" && (r.status != 0 || digest(t, r.text) != whole):
				t.Errorf("nothing is lost, and verify says %d\n%s", r.status, r.text)
			case f.alone != "" && (r.status != exitUnsound || !strings.Contains(r.text, "\n  "+f.alone)):
				t.Errorf("verify does not find what is %s: %d\n%s", f.alone, r.status, r.text)
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
			f.do(t, s)
			s.run(t)
			s.healthy(t)
			state := s.state(t)
			r := other.tool(t, "verify", "--each-replica")
			t.Logf("| %s | healthy; %d messages, %d deleted, last %d | %s |", f.name, state.Messages, state.Deleted, state.Last, said(r))
			if !f.differs {
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

// said is what verify found, in a line.
func said(r result) string {
	_, found, _ := strings.Cut(r.text, "\nfound ")
	var lines []string
	for line := range strings.Lines(found) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "server ") {
			lines = append(lines, line)
		}
	}
	if len(lines) > 4 {
		lines = append(lines[:4], "…")
	}
	return fmt.Sprintf("status %d: %s", r.status, strings.Join(lines, "; "))
}
