//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Missing says what this machine does not have of what a cluster needs; "" when it
// has all. It tries what can only be tried.
func Missing(ctx context.Context) string {
	if os.Geteuid() != 0 {
		return "it needs root, for network namespaces and file systems of its own"
	}
	for program, from := range map[string]string{"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "nsenter": "util-linux", "mount": "mount", "mkfs.ext4": "e2fsprogs"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("there is no %s; Debian has it in the package %s", program, from)
		}
	}
	n, err := newNetwork(ctx, 1)
	if err == nil {
		err = n.filter(ctx, 0, drops{in: []string{"198.18.0.1"}, loss: 1})
		n.Remove()
	}
	if err != nil {
		return "no network namespace can be made: " + err.Error()
	}
	dir, err := Home("")
	if err != nil {
		return err.Error()
	}
	d, err := NewDisk(ctx, dir, 16<<20)
	if err == nil {
		err = d.Lose(ctx)
		d.Remove()
	}
	err = errors.Join(err, os.RemoveAll(dir))
	if err != nil {
		return "no file system of its own can be mounted: " + err.Error()
	}
	return ""
}
