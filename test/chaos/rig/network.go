//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The prefixes begin the names of everything that a run makes; what follows is its
// process id, so that runs do not meet and leftovers are known.
const (
	namePrefix = "ofc"
	dirPrefix  = "orderflow-chaos-"
)

// network is a bridge in a namespace of its own, to which the namespace of each server
// and this machine are connected.
type network struct {
	bridge  string   // namespace
	servers []string // namespaces
	client  string   // this machine's end
	subnet  string   // "198.18.7."
	netem   bool     // the kernel can delay packets
}

func newNetwork(ctx context.Context, servers int) (_ *network, err error) {
	if err := sweep(ctx); err != nil {
		return nil, err
	}
	own := namePrefix + strconv.Itoa(os.Getpid())
	n := &network{bridge: own + "b", client: own + "c"}
	if n.subnet, err = freeSubnet(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Remove()
		}
	}()
	err = runAll(ctx,
		"ip netns add "+n.bridge,
		"ip -n "+n.bridge+" link add br0 type bridge forward_delay 0",
		"ip -n "+n.bridge+" link set br0 up")
	if err != nil {
		return nil, err
	}
	for i := range servers {
		name, port := fmt.Sprint(own, "s", i+1), fmt.Sprint("p", i+1)
		n.servers = append(n.servers, name)
		err = runAll(ctx,
			"ip netns add "+name,
			"ip -n "+name+" link set lo up",
			"ip -n "+name+" link add eth0 type veth peer name "+port+" netns "+n.bridge,
			"ip -n "+name+" addr add "+n.Address(i)+"/24 dev eth0",
			"ip -n "+name+" link set eth0 up",
			"ip -n "+n.bridge+" link set "+port+" master br0 up")
		if err != nil {
			return nil, err
		}
	}
	err = runAll(ctx,
		"ip link add "+n.client+" type veth peer name pc netns "+n.bridge,
		"ip addr add "+n.clientAddress()+"/24 dev "+n.client,
		"ip link set "+n.client+" up",
		"ip -n "+n.bridge+" link set pc master br0 up")
	if err != nil {
		return nil, err
	}
	tried := "ip netns exec " + n.servers[0] + " tc qdisc %s dev lo root netem delay 1ms"
	n.netem = runAll(ctx, fmt.Sprintf(tried, "add"), fmt.Sprintf(tried, "del")) == nil
	return n, nil
}

// Address is a server's.
func (n *network) Address(server int) string { return fmt.Sprint(n.subnet, server+1) }

func (n *network) clientAddress() string { return n.subnet + "254" }

// drops is what does not arrive at a server.
type drops struct {
	in, out []string // packets from, and to, these addresses
	loss    int      // per cent of all that come in
}

// filter sets what does not arrive at a server, instead of what it was.
func (n *network) filter(ctx context.Context, server int, d drops) error {
	rules := "table inet chaos\ndelete table inet chaos\ntable inet chaos {\n chain in {\n  type filter hook input priority 0\n"
	for _, address := range d.in {
		rules += "  ip saddr " + address + " drop\n"
	}
	if d.loss > 0 {
		rules += fmt.Sprintf("  iifname eth0 numgen random mod 100 < %d drop\n", d.loss)
	}
	rules += " }\n chain out {\n  type filter hook output priority 0\n"
	for _, address := range d.out {
		rules += "  ip daddr " + address + " drop\n"
	}
	rules += " }\n}\n"
	_, err := run(ctx, rules, "ip", "netns", "exec", n.servers[server], "nft", "-f", "-")
	return err
}

// slow delays what a server sends: by netem, or where the kernel has none by
// a narrow line with a queue.
func (n *network) slow(ctx context.Context, server int) (how string, err error) {
	how = "tbf rate 400kbit burst 16kb latency 300ms"
	if n.netem {
		how = "netem delay 120ms 60ms"
	}
	return how, runAll(ctx, "ip netns exec "+n.servers[server]+" tc qdisc replace dev eth0 root "+how)
}

func (n *network) fast(ctx context.Context, server int) error {
	return runAll(ctx, "ip netns exec "+n.servers[server]+" tc qdisc del dev eth0 root")
}

// Remove removes all of it.
func (n *network) Remove() {
	for _, name := range append(n.servers, n.bridge) {
		_, _ = run(context.Background(), "", "ip", "netns", "del", name) // what it never came to have
	}
	_, _ = run(context.Background(), "", "ip", "link", "del", n.client) // it went with the bridge
}

// sweep removes what processes left behind that live no more.
func sweep(ctx context.Context) error {
	list, err := run(ctx, "", "ip", "netns", "list")
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, namePrefix)
		if pid := strings.TrimRight(strings.TrimRight(rest, "0123456789"), "bs"); !ours || lives(pid) {
			continue
		}
		if _, err := run(ctx, "", "ip", "netns", "del", name); err != nil {
			return err
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		dir := strings.Fields(line)[1]
		if _, rest, ours := strings.Cut(dir, "/"+dirPrefix); ours {
			if pid, _, _ := strings.Cut(rest, "-"); !lives(pid) {
				if _, err := run(ctx, "", "umount", dir); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lives tells whether there is a process; what is no process id is none of ours to remove.
func lives(pid string) bool {
	id, err := strconv.Atoi(pid)
	return err != nil || !errors.Is(syscall.Kill(id, 0), syscall.ESRCH)
}

// Home makes a directory for a run in another one, "" for that of temporary files; it is known as ours.
func Home(in string) (string, error) {
	return os.MkdirTemp(in, dirPrefix+strconv.Itoa(os.Getpid())+"-")
}

// freeSubnet finds one that no interface of this machine has, among those that are
// reserved for measurements (RFC 2544).
func freeSubnet() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for i := range 250 {
		subnet := fmt.Sprintf("198.18.%d.", 1+(os.Getpid()+i)%250)
		taken := false
		for _, a := range addresses {
			taken = taken || strings.HasPrefix(a.String(), subnet)
		}
		if !taken {
			return subnet, nil
		}
	}
	return "", errors.New("198.18.0.0/16 is in use")
}
