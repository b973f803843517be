package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
)

// directory is the data directory of one "orderflow up", held by a lock that
// ends with the process, however it ends.
type directory struct {
	path      string
	lock      *flock.Flock
	ephemeral bool
	made      bool // by this process
	kept      bool // it holds something to go on with
}

// lockName is the file in a data directory by which it is known as one.
const lockName = "LOCK"

// openDirectory creates dir when it is missing, makes sure that it holds nothing of
// others, that it can be written and that nobody else uses it. An ephemeral directory is a temporary
// one that is removed when it is closed.
func openDirectory(dir string, ephemeral bool) (*directory, error) {
	d := &directory{path: dir, ephemeral: ephemeral}
	if ephemeral {
		path, err := os.MkdirTemp("", "orderflow-")
		if err != nil {
			return nil, fail(exitBadDirectory, "no temporary directory can be made: %w", err)
		}
		d.path = path
	}
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		d.made = true
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fail(exitBadDirectory, "the data directory %s cannot be made: %w", d.path, err)
	}
	if err := d.requireOurs(); err != nil {
		return nil, err
	}
	d.lock = flock.New(filepath.Join(d.path, lockName))
	locked, err := d.lock.TryLock()
	switch {
	case err != nil:
		return nil, fail(exitBadDirectory, "the data directory %s cannot be written: %w", d.path, err)
	case !locked:
		return nil, fail(exitLocked, "the data directory %s is in use by another \"orderflow up\"; stop that one, or give this one its own with --data", d.path)
	}
	return d, nil
}

// ours are the names in a data directory; the root of a file system has one of its own.
var ours = []string{lockName, addressesFile, "nats", "partners", databaseFile, "lost+found"}

// requireOurs refuses a directory with files of somebody else. SQLite and the projector
// keep files beside the database.
func (d *directory) requireOurs() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fail(exitBadDirectory, "the data directory %s cannot be read: %w", d.path, err)
	}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) && !strings.HasPrefix(e.Name(), databaseFile+"-") && e.Name() != databaseFile+".lock" {
			return fail(exitBadDirectory, "the data directory %s holds files that are not orderflow's, such as %s; give --data an empty directory, or one that does not exist yet", d.path, e.Name())
		}
	}
	return nil
}

// requireSpace refuses a disk on which the server's limits could not be
// reached: a full disk stops a server until it is started again, a full stream
// only refuses.
func (d *directory) requireSpace(bytes int64) error {
	free, known := freeSpace(d.path)
	if !known {
		return nil
	}
	used, err := d.size()
	if err != nil {
		return fail(exitBadDirectory, "the data directory %s cannot be read: %w", d.path, err)
	}
	if missing := bytes - used - free; missing > 0 {
		const mb = 1 << 20
		return fail(exitBadDirectory, "the data directory %s has room for %d MB and the limits ask for %d MB: free some, or lower --events-max-bytes", d.path, (used+free)/mb, bytes/mb)
	}
	return nil
}

func (d *directory) size() (total int64, err error) {
	err = filepath.WalkDir(d.path, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// sub returns a directory inside, which it makes when it is missing.
func (d *directory) sub(name string) (string, error) {
	path := filepath.Join(d.path, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fail(exitBadDirectory, "the data directory %s cannot be written: %w", d.path, err)
	}
	return path, nil
}

// keep tells that the directory holds something to go on with.
func (d *directory) keep() { d.kept = true }

// close releases the lock. It removes an ephemeral directory, and one that was
// made for a start that was refused.
func (d *directory) close() error {
	var err error
	if d.made && !d.kept && !d.ephemeral {
		err = os.RemoveAll(d.path) // before somebody else can have the lock
	}
	err = errors.Join(err, d.lock.Unlock())
	if d.ephemeral {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	if err != nil {
		return fmt.Errorf("close the data directory %s: %w", d.path, err)
	}
	return nil
}
