//go:build linux

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/chaos/history"
)

// A run that is not possible is never one that passed.
func TestExitStatuses(t *testing.T) {
	sound := &history.History{
		Ops: []history.Op{{ID: "w", Kind: history.Append, Return: 1, Outcome: history.Acknowledged, Writes: []history.Write{{Key: "a", Events: 1, After: 1, Sequence: 1}}}},
		Log: history.Log{{Sequence: 1, Key: "a", First: 1, Ops: []string{"w"}, Times: []int64{1}}},
	}
	lost := &history.History{Ops: sound.Ops}
	objected := &history.History{Ops: sound.Ops, Log: sound.Log, End: history.End{Wrong: []string{"P1: a stock is negative"}, Notes: map[string]int{"a service was started again": 3}}}
	dir := t.TempDir()
	for name, h := range map[string]*history.History{"sound": sound, "lost": lost, "objected": objected, "empty": {}} {
		if err := h.Save(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir) // without the programs that it needs, whoever runs the test
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"-check", filepath.Join(dir, "sound")}, exitPassed, "PASSED"},
		{[]string{"-check", filepath.Join(dir, "lost")}, exitObjected, "lost operation w"},
		{[]string{"-check", filepath.Join(dir, "objected")}, exitObjected, "P1: a stock is negative"},
		{[]string{"-check", filepath.Join(dir, "objected")}, exitObjected, "3 times: a service was started again"},
		{[]string{"-check", filepath.Join(dir, "empty")}, exitObjected, "no write was acknowledged"},
		{[]string{"-check", filepath.Join(dir, "none")}, exitFailed, "no such file"},
		{[]string{"-faults", "kill-one,flood"}, exitFailed, `no fault "flood"`},
		{[]string{"-faults", "kill-service", "-orders=false"}, exitFailed, "kill-service needs the -orders"},
		{[]string{"-faults", "kill-one,kill-service", "-orders=false"}, exitFailed, "kill-service needs the -orders"},
		{[]string{"-minutes", "0"}, exitFailed, "no fault happens in -minutes 0"},
		{[]string{"-sync", "often"}, exitFailed, `not "often"`},
		{[]string{"-sync", "-1s"}, exitFailed, `not "-1s"`},
		{[]string{"-partitions", "0"}, exitFailed, "-partitions is from 1 to 64, not 0"},
		{[]string{"-partitions", "2"}, exitMissing, "nothing was run: "},
		{[]string{"-keep", filepath.Join(dir, "sound")}, exitFailed, "sound is no directory"},
		{nil, exitMissing, "nothing was run: "},
		{[]string{"-faults", "all", "-orders=false"}, exitFailed, "needs the -orders"},
		{[]string{"-minutes", "0", "-faults", "all"}, exitMissing, "nothing was run: "},
		{[]string{"-minutes", "0", "-faults", "kill-one"}, exitMissing, "nothing was run: "},
	} {
		var out bytes.Buffer
		status, err := command(t.Context(), c.args, &out)
		if err != nil {
			out.WriteString(err.Error())
		}
		if status != c.status || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q: %d %s, want %d with %q", c.args, status, out.String(), c.status, c.says)
		}
	}
}

// One seed is one course of faults.
func TestASeedIsTheSameNemesis(t *testing.T) {
	course := func(seed uint64) (names []string) {
		n, err := newNemesis(config{seed: seed, orders: true}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range n.random.Perm(len(n.faults)) {
			names = append(names, n.faults[i].name)
		}
		return names
	}
	if a, b := strings.Join(course(1), " "), strings.Join(course(1), " "); a != b {
		t.Errorf("one seed is %s and %s", a, b)
	}
	if a, b := strings.Join(course(1), " "), strings.Join(course(2), " "); a == b {
		t.Errorf("two seeds are both %s", a)
	}
}
