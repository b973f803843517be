//go:build apiserver && kubelet

package k8s

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/b144f99b/orderflow/deploy/k8s/schema"
	"github.com/b144f99b/orderflow/test/program"
)

const (
	// machineDir and machineCgroup are variables of who runs on the machine: its directory, and the control group of its pods.
	machineDir    = "ORDERFLOW_TEST_MACHINE"
	machineCgroup = "ORDERFLOW_TEST_CGROUP"
	// machineIP is its address.
	machineIP = "10.0.0.1"
	// pause is the image of what holds the namespaces of a pod.
	pause = "orderflow-test-pause:1"
)

// prelude makes a machine of namespaces that are new. A kubelet insists on directories, which it gets for itself; on settings of the
// kernel, which are those of everybody, so that it is shown what it wants to see; and on as many processors as pods ask for,
// which are told to be there. The shell stays the first process, who adopts what others leave behind.
const prelude = `
set -euo pipefail
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
own=$ORDERFLOW_TEST_MACHINE/own
mkdir -p "$own"/{lib,log}
mount --bind "$own/lib" /var/lib
mount --bind "$own/log" /var/log
shown() {
	local file=$own/${1//\//-}
	echo "$2" >"$file"
	mount --bind "$file" "$1"
}
shown /etc/resolv.conf $'nameserver 10.0.0.1\nsearch orderflow.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5'
shown /proc/sys/vm/overcommit_memory 1
shown /proc/sys/vm/panic_on_oom 0
shown /proc/sys/kernel/panic 10
shown /proc/sys/kernel/panic_on_oops 1
shown /proc/sys/kernel/keys/root_maxkeys 1000000
shown /proc/sys/kernel/keys/root_maxbytes 25000000
online=$(</sys/devices/system/cpu/online)
mount -t tmpfs tmpfs /sys/devices/system/node
mount -t tmpfs tmpfs /sys/devices/system/cpu
for n in {0..7}; do
	topology=/sys/devices/system/cpu/cpu$n/topology
	mkdir -p $topology
	echo $n >$topology/core_id
	echo 0 >$topology/physical_package_id
done
echo "$online" >/sys/devices/system/cpu/online # the others are counted, and nobody is told to use them
hostname machine
ip link set lo up
ip address add 10.0.0.1/32 dev lo
ip route add 10.96.0.0/16 dev lo src 10.0.0.1 # of Services, for who is no pod
"$@"
`

// onMachine runs the test that calls it once more, on a machine that is made for it: a process with namespaces of its own, of
// which nothing is left when it ends. What needs a network or Docker is done before.
func onMachine(t *testing.T) {
	t.Helper()
	if lacking := lacking(); len(lacking) > 0 {
		t.Fatalf("NOT RUN: no pod was started. It needs %s", strings.Join(lacking, "; "))
	}
	dir := t.TempDir()
	c := &cluster{programs: installed(t), dir: dir}
	for name := range programs {
		if name != "kwok" {
			c.program(t, name)
		}
	}
	if _, err := schema.Definitions(t.Context()); err != nil { // they are in Go's cache then
		t.Fatal(err)
	}
	shell(t, filepath.Join("..", ".."), `
		export DOCKER_BUILDKIT=${DOCKER_BUILDKIT-0} # the builder that takes images from this machine alone
		docker build --quiet -t orderflow:dev .
		docker image inspect `+pause+` >/dev/null 2>&1 || tar -C /bin -c busybox | docker import --change 'CMD ["/busybox", "sleep", "infinity"]' - `+pause+`
		docker save -o `+filepath.Join(dir, "images.tar")+` `+strings.Join(append(images(t), pause), " "))

	runtime.LockOSThread() // the machine ends with this thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("bash", "-c", prelude, "machine", os.Args[0], "-test.run="+flag.Lookup("test.run").Value.String(), "-test.v", "-test.timeout=0") // it ends with this one
	cmd.Env = append(os.Environ(), machineDir+"="+dir, machineCgroup+"="+controlGroup(t))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		t.Errorf("on the machine: %v", err)
	}
}

// lacking is what is not here.
func lacking() (lacking []string) {
	if os.Geteuid() != 0 {
		lacking = append(lacking, "to be root")
	}
	for program, from := range map[string]string{"containerd": "containerd", "runc": "runc", "ip": "iproute2", "iptables": "iptables", "mount": "mount",
		"/usr/lib/cni/ptp": "containernetworking-plugins", "/bin/busybox": "busybox-static", "docker": "docker.io, and its engine"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking = append(lacking, fmt.Sprintf("%s (Debian: %s)", program, from))
		}
	}
	slices.Sort(lacking)
	return lacking
}

// images are those of the overlay for development.
func images(t *testing.T) (images []string) {
	t.Helper()
	for _, w := range render(t, "dev").workloads() {
		for _, a := range w.containers() {
			images = append(images, a.Image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// controlGroup makes one for the pods, below that of everything, and removes it when they are gone.
func controlGroup(t *testing.T) (name string) {
	t.Helper()
	name = fmt.Sprintf("/orderflow-test-%d", os.Getpid())
	hierarchies := []string{"/sys/fs/cgroup"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); errors.Is(err, fs.ErrNotExist) { // those of version 1
		hierarchies, _ = filepath.Glob("/sys/fs/cgroup/*") // the pattern is well formed
	}
	for _, hierarchy := range hierarchies {
		made := hierarchy + name
		if err := os.MkdirAll(made, 0o755); err != nil { // two names may be of one hierarchy
			t.Fatal(err)
		}
		t.Cleanup(func() {
			program.Until(t, patience, made+" is empty", func() bool {
				var groups []string
				_ = filepath.WalkDir(made, func(path string, d fs.DirEntry, err error) error { // what is gone is gone
					if err == nil && d.IsDir() {
						groups = append(groups, path)
					}
					return nil
				})
				slices.Reverse(groups)
				for _, group := range groups {
					_ = syscall.Rmdir(group) // it is asked again
				}
				return len(groups) == 0
			})
		})
	}
	return name
}

// shell runs lines that have to succeed.
func shell(t *testing.T, dir, lines string) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", lines)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", lines, err, tail(string(out)))
	}
}
