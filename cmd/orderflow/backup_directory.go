package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

// backupDirectory has backups that are named for the time at which they were begun, of
// which the newest are kept. It is held by a lock that ends with the process.
type backupDirectory struct {
	path string
	lock *flock.Flock
}

const (
	// backupName is the layout of a backup's name; in the order of names the last one is the newest.
	backupName = "orderflow-20060102T150405Z.backup"
	// backupTemporary is what is not a backup yet.
	backupTemporary = ".backup-*"
)

// openBackups locks a directory that is there, and removes what a backup that was killed
// has left in it.
func openBackups(path string) (*backupDirectory, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("it is a file; with --keep a directory is named")
		}
		return nil, fail(exitBadDirectory, "the directory of backups %s: %w", path, err)
	}
	d := &backupDirectory{path: path, lock: flock.New(filepath.Join(path, lockName))}
	switch locked, err := d.lock.TryLock(); {
	case err != nil:
		return nil, fail(exitBadDirectory, "the directory of backups %s cannot be written: %w", path, err)
	case !locked:
		return nil, fail(exitLocked, "another backup is written to the directory %s; wait for that one", path)
	}
	if err := d.remove(backupTemporary, 0); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// next is the name of a new backup.
func (d *backupDirectory) next(now time.Time) string {
	return filepath.Join(d.path, now.UTC().Format(backupName))
}

// thin removes all backups but the newest ones, of which written must be the very newest.
func (d *backupDirectory) thin(keep int, written string) error {
	const pattern = "orderflow-[0-9]*T[0-9]*Z.backup"
	found, err := fs.Glob(os.DirFS(d.path), pattern)
	if err != nil {
		return err
	}
	if last := slices.Max(found); last > filepath.Base(written) {
		return fail(exitBadDirectory, "the backup %s is written, and none is removed: %s is of a later time, so a clock was wrong; rename or move that file", written, last)
	}
	return d.remove(pattern, keep)
}

// remove removes the files with such names, but for the last ones.
func (d *backupDirectory) remove(pattern string, except int) error {
	found, err := fs.Glob(os.DirFS(d.path), pattern)
	if err != nil {
		return err
	}
	slices.Sort(found)
	for _, name := range found[:max(0, len(found)-except)] {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil {
			return fail(exitBadDirectory, "an old file stays in the directory of backups: %w", err)
		}
	}
	return nil
}

func (d *backupDirectory) close() error {
	if err := d.lock.Unlock(); err != nil {
		return fmt.Errorf("close the directory of backups %s: %w", d.path, err)
	}
	return nil
}
