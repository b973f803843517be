//go:build linux && amd64

package rig

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tells makes the test binary a program that tells, every few milliseconds, what its clock says, and how much
// time has passed since its start.
const tells = "RIG_TELLS_THE_TIME"

func TestMain(m *testing.M) {
	if os.Getenv(tells) != "" {
		begun := time.Now()
		for range time.Tick(5 * time.Millisecond) {
			fmt.Println(time.Now().UnixNano(), time.Since(begun).Nanoseconds())
		}
	}
	os.Exit(m.Run())
}

// A process's clock jumps and comes back; ours does not, nor what it measures of passing time.
func TestAClockOfOneProcessJumps(t *testing.T) {
	if os.Geteuid() != 0 {
		//nolint:forbidigo // whoever is not root can test everything else
		t.Skip("NOT RUN: only root may write to another process's memory")
	}
	t.Setenv(tells, "1")
	log := filepath.Join(t.TempDir(), "log")
	p := NewProcess("clock", log, os.Args[0])
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.End(t.Context(), syscall.SIGKILL) })
	for _, wrong := range []time.Duration{time.Hour, -time.Minute, 24 * time.Hour, 0} {
		if err := p.SetClock(wrong); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(3 * time.Minute)
		for {
			clock, err := newest(log)
			if off := time.Until(clock) - wrong; err == nil && off.Abs() < 20*time.Second {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("by %s: the process says %s (%v), it is %s", wrong, clock, err, time.Now())
			}
			if err := Pause(t.Context(), 10*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.End(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	passed := int64(0)
	for _, line := range lines(t, log) {
		if line[1] < passed || line[1]-passed > int64(time.Hour/2) {
			t.Fatalf("after %s the process says that %s have passed", time.Duration(passed), time.Duration(line[1]))
		}
		passed = line[1]
	}
}

func newest(log string) (time.Time, error) {
	data, err := os.ReadFile(log)
	whole := strings.Split(string(data), "\n")
	if err != nil || len(whole) < 2 {
		return time.Time{}, fmt.Errorf("it has said nothing: %w", err)
	}
	said, _, _ := strings.Cut(whole[len(whole)-2], " ")
	ns, err := strconv.ParseInt(said, 10, 64)
	return time.Unix(0, ns), err
}

func lines(t *testing.T, log string) (all [][2]int64) {
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line [2]int64
		if _, err := fmt.Sscan(s.Text(), &line[0], &line[1]); err == nil {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		t.Fatal("it said nothing")
	}
	return all
}
