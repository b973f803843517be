//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system in a file. What was written to it and not synced is
// lost with its power.
type Disk struct {
	image, dir string
	mounted    bool
}

// NewDisk makes one of size bytes in the directory home. Remove it.
func NewDisk(ctx context.Context, home string, size int64) (*Disk, error) {
	d := &Disk{image: filepath.Join(home, "disk"), dir: filepath.Join(home, "data")}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return nil, err
	}
	if _, err := run(ctx, "", "mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	return d, d.mount(ctx)
}

// mount replays the file system's journal, as a machine does that starts. ext4 writes its journal every five seconds by
// itself, by which much of what nobody has synced would be there after a loss of power; here every ten minutes.
func (d *Disk) mount(ctx context.Context) error {
	_, err := run(ctx, "", "mount", "-o", "loop,commit=600", d.image, d.dir)
	d.mounted = d.mounted || err == nil
	return err
}

// unmountWithin bounds how long a killed process may still hold its files.
const unmountWithin = time.Minute

func (d *Disk) unmount(ctx context.Context) error {
	for deadline := time.Now().Add(unmountWithin); ; {
		_, err := run(ctx, "", "umount", d.dir)
		if err == nil {
			d.mounted = false
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		if err := Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// The ioctl by which ext4 stops at once and forgets all that it has not written
// (EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH): what tests of file
// systems take for a loss of power.
const (
	ioctlShutdown = 0x8004587d
	noLogFlush    = 2
)

// Dir is where its files are.
func (d *Disk) Dir() string { return d.dir }

// Sync writes all that it holds, as it does by itself in time.
func (d *Disk) Sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// Lose takes the disk's power and gives it back. Nobody may have files of it open any more.
func (d *Disk) Lose(ctx context.Context) error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	err = errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), ioctlShutdown, noLogFlush), f.Close())
	if err != nil {
		return fmt.Errorf("stop the file system at %s: %w", d.dir, err)
	}
	if err := d.unmount(ctx); err != nil {
		return err
	}
	return d.mount(ctx)
}

func (d *Disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill takes all the room that is left.
func (d *Disk) fill() (err error) {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const page = 4 << 10
	var size int64
	for chunk := int64(64 << 20); chunk >= page; {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, chunk); {
		case errors.Is(err, unix.ENOSPC):
			chunk /= 2
		case err != nil:
			return err
		default:
			size += chunk
		}
	}
	return nil
}

// empty gives it back.
func (d *Disk) empty() error { return os.Remove(d.ballast()) }

// Remove unmounts it; its file stays.
func (d *Disk) Remove() {
	if d.mounted {
		_ = d.unmount(context.Background()) // the directory shows it
	}
}

// Pause waits; the error is ctx's.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
