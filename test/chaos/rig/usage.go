//go:build linux

package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Usage is what a process has of its machine.
type Usage struct {
	Resident int64 // bytes of memory
	Handles  int   // open files, sockets and the like
}

// UsageOf asks the kernel about a process that lives.
func UsageOf(pid int) (u Usage, err error) {
	handles, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	u.Handles = len(handles)
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return u, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return u, fmt.Errorf("/proc/%d/statm: %w", pid, err)
	}
	u.Resident = resident * int64(os.Getpagesize())
	return u, nil
}

// DiskOf is how many bytes of disk files take: a directory's, all of them, or those whose names begin with a path.
// What is removed meanwhile takes none.
func DiskOf(path string) (bytes int64, err error) {
	dir, prefix := path, ""
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		dir, prefix = filepath.Dir(path), path
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !strings.HasPrefix(path, prefix) {
			return err
		}
		var stat syscall.Stat_t
		if err := syscall.Lstat(path, &stat); err == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
			bytes += stat.Blocks * 512 // whatever the file system's blocks are: see stat(2)
		}
		return nil
	})
	return bytes, err
}
