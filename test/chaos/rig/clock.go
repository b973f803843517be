//go:build linux

package rig

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// askTheKernel is what takes the place of the function by which a process learns the time without asking the
// kernel: it asks, and adds to the seconds of CLOCK_REALTIME, and to no other clock's, the number that follows it.
//
//	mov  $228, %eax     clock_gettime
//	syscall
//	test %edi, %edi     0 is CLOCK_REALTIME
//	jne  1f
//	mov  6(%rip), %rcx  the number
//	add  %rcx, (%rsi)
//	1: ret
var askTheKernel = []byte{
	0xb8, 228, 0, 0, 0,
	0x0f, 0x05,
	0x85, 0xff,
	0x75, 10,
	0x48, 0x8b, 0x0d, 6, 0, 0, 0,
	0x48, 0x01, 0x0e,
	0xc3,
	0, 0, // so that the number begins at a multiple of eight
}

// SetClock lets the process's clock be wrong; see the function of that name.
func (p *Process) SetClock(wrong time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("the clock of %s cannot be set: it was not started", p.name)
	}
	return SetClock(p.cmd.Process.Pid, wrong)
}

// SetClock lets a process's clock, and nobody else's, be wrong by whole seconds from now on; what it measures of
// passing time stays right. Linux gives every process the code by which it reads clocks (vDSO); a process
// has a copy of its own as soon as somebody writes to it, as a debugger may, and root. Started again, it has the
// right clock again.
func SetClock(pid int, wrong time.Duration) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the clock of process %d cannot be set: %w", pid, err)
		}
	}()
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the code that reads clocks is known for amd64, not for %s", runtime.GOARCH)
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	at, size, err := clockFunction(pid, memory)
	if err != nil {
		return err
	}
	number := binary.LittleEndian.AppendUint64(nil, uint64(wrong/time.Second))
	has := make([]byte, len(askTheKernel))
	if _, err := memory.ReadAt(has, at); err != nil {
		return err
	}
	if bytes.Equal(has, askTheKernel) {
		_, err := memory.WriteAt(number, at+int64(len(askTheKernel)))
		return err
	}
	if need := len(askTheKernel) + len(number); size < int64(need) {
		return fmt.Errorf("the function that reads clocks has %d bytes, and %d are needed", size, need)
	}
	return standingStill(pid, at, at+size, func() error {
		_, err := memory.WriteAt(append(bytes.Clone(askTheKernel), number...), at)
		return err
	})
}

// clockFunction finds where a process has the function that reads clocks, and how long it is.
func clockFunction(pid int, memory *os.File) (at, size int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			return 0, 0, err
		}
		image := make([]byte, to-from)
		if _, err := memory.ReadAt(image, from); err != nil {
			return 0, 0, err
		}
		file, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			return 0, 0, err
		}
		symbols, err := file.DynamicSymbols()
		if err != nil {
			return 0, 0, err
		}
		for _, s := range symbols {
			if s.Name == "__vdso_clock_gettime" {
				return from + int64(s.Value), int64(s.Size), nil
			}
		}
	}
	return 0, 0, errors.New("the kernel gave it no code that reads clocks (vDSO)")
}

// standingStill does something while a process is stopped and none of its threads is within some of its code.
func standingStill(pid int, from, to int64, do func() error) (err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		still, err := threadsOutside(pid, from, to)
		if err == nil && still {
			err = do()
		}
		if err := errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)); err != nil || still {
			return err
		}
	}
	return errors.New("its threads never stood still outside of the function that reads clocks")
}

// threadsOutside tells that all threads have stopped, and where; see proc(5) about stat and syscall.
func threadsOutside(pid int, from, to int64) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread + "/stat")
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return false, err
		}
		state := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[0]
		at, err := os.ReadFile(thread + "/syscall")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		fields := strings.Fields(string(at))
		if state != "T" || len(fields) < 2 { // it runs
			return false, nil
		}
		counter, err := strconv.ParseUint(strings.TrimPrefix(fields[len(fields)-1], "0x"), 16, 64)
		if err != nil {
			return false, err
		}
		if int64(counter) >= from && int64(counter) < to {
			return false, nil
		}
	}
	return true, nil
}
