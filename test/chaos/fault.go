//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/rig"
)

// rollingUpgradeName is that of the fault for which an older server is built.
const rollingUpgradeName = "rolling-upgrade"

type heal = func(context.Context) error

// faults lists everything that the nemesis can do. The leader is that of the registers' stream, or of one of their streams.
func faults() []fault {
	const s = time.Second
	leader := (*nemesis).leading
	one := (*nemesis).one
	return []fault{
		{name: "kill-one", least: 0, most: 3 * s, do: to(one, kill)},
		{name: "kill-leader", least: 0, most: 6 * s, do: to(leader, kill)},
		{name: "kill-two", least: 0, most: 6 * s, do: func(ctx context.Context, n *nemesis) (string, heal, error) {
			return n.killed(ctx, n.random.Perm(rig.Size)[:2])
		}},
		{name: "kill-all", least: 0, most: 3 * s, do: func(ctx context.Context, n *nemesis) (string, heal, error) {
			return n.killed(ctx, n.random.Perm(rig.Size))
		}},
		// From 4 s on the others elect another leader; the one that was paused does not know.
		{name: "pause-leader", deaf: true, least: 4 * s, most: 10 * s, do: to(leader, pause)},
		{name: "pause-one", deaf: true, least: 1 * s, most: 10 * s, do: to(one, pause)},
		{name: "restart", least: 0, most: 1 * s, do: func(ctx context.Context, n *nemesis) (string, heal, error) {
			i := n.any()
			return n.c.Name(i), func(context.Context) error { return n.c.Run(i) }, n.c.Shutdown(ctx, i)
		}},
		{name: "rolling-restart", do: rollingRestart},
		{name: rollingUpgradeName, least: 2 * s, most: 6 * s, do: rollingUpgrade},
		{name: "cut-one", deaf: true, least: 5 * s, most: 15 * s, do: to(one, cut(away))},
		{name: "cut-leader", deaf: true, least: 5 * s, most: 15 * s, do: to(leader, cut(away))},
		// It is cut from the other servers, and its clients still reach it.
		{name: "cut-leader-from-peers", deaf: true, least: 5 * s, most: 15 * s, do: to(leader, cut(fromPeers))},
		{name: "deafen-leader", deaf: true, least: 5 * s, most: 15 * s, do: to(leader, cut(deafen))},
		{name: "cut-clients", least: 3 * s, most: 10 * s, do: to(leader, cut(isolate))},
		{name: "lossy", least: 5 * s, most: 10 * s, do: to(leader, func(ctx context.Context, n *nemesis, i int) (string, heal, error) {
			percent := 5 + n.random.IntN(25)
			return fmt.Sprintf("%s, %d %% of what comes to it", n.c.Name(i), percent),
				func(ctx context.Context) error { return n.c.Heal(ctx, i) }, n.c.Lose(ctx, i, percent)
		})},
		{name: "slow", least: 5 * s, most: 10 * s, do: to(leader, func(ctx context.Context, n *nemesis, i int) (string, heal, error) {
			how, err := n.c.Slow(ctx, i)
			return n.c.Name(i) + " by " + how, func(ctx context.Context) error { return n.c.Fast(ctx, i) }, err
		})},
		{name: "disk-full", least: 3 * s, most: 6 * s, do: to(leader, diskFull)},
		{name: "power-one", least: 0, most: 3 * s, do: to(leader, func(ctx context.Context, n *nemesis, i int) (string, heal, error) {
			return n.unpowered(ctx, []int{i})
		})},
		{name: "power-all", least: 0, most: 2 * s, do: func(ctx context.Context, n *nemesis) (string, heal, error) {
			return n.unpowered(ctx, n.random.Perm(rig.Size))
		}},
		// The replica that is paused has not what was acknowledged meanwhile.
		{name: "pause-and-power", deaf: true, least: 4 * s, most: 8 * s, do: pauseAndPower},
		{name: "step-down", do: to(leader, func(_ context.Context, n *nemesis, i int) (string, heal, error) {
			return n.c.Name(i), nil, n.resign(n.stream)
		})},
		{name: "clock", least: 2 * s, most: 5 * s, do: func(_ context.Context, n *nemesis) (string, heal, error) {
			wrong := time.Duration(n.random.Int64N(int64(48*time.Hour))) - 24*time.Hour
			n.clock.Store(int64(wrong))
			return fmt.Sprintf("of the writers, by %v", wrong.Round(time.Minute)), func(context.Context) error { n.clock.Store(0); return nil }, nil
		}},
		{name: "clock-service", untimely: true, least: 5 * s, most: 15 * s, needsTheOrders: true, do: func(_ context.Context, n *nemesis) (string, heal, error) {
			jumps := []time.Duration{time.Minute, -time.Minute, time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}
			wrong := jumps[n.random.IntN(len(jumps))]
			name, err := n.shop.setClock(serviceNames[n.random.IntN(len(serviceNames))], wrong)
			return fmt.Sprintf("of %s, by %v", name, wrong), func(context.Context) error { _, err := n.shop.setClock(name, 0); return err }, err
		}},
		{name: "kill-service", least: 0, most: 2 * s, needsTheOrders: true, do: func(_ context.Context, n *nemesis) (string, heal, error) {
			name, err := n.shop.kill(n.random)
			return name, nil, err
		}},
	}
}

// to does something to one server.
func to(whom func(*nemesis, context.Context) (server int, err error), what func(ctx context.Context, n *nemesis, server int) (string, heal, error)) func(context.Context, *nemesis) (string, heal, error) {
	return func(ctx context.Context, n *nemesis) (string, heal, error) {
		i, err := whom(n, ctx)
		if err != nil {
			return "", nil, err
		}
		return what(ctx, n, i)
	}
}

func kill(ctx context.Context, n *nemesis, server int) (string, heal, error) {
	return n.killed(ctx, []int{server})
}

func (n *nemesis) names(servers []int) (names string) {
	for i, server := range servers {
		if i > 0 {
			names += " "
		}
		names += n.c.Name(server)
	}
	return names
}

func (n *nemesis) killed(ctx context.Context, servers []int) (string, heal, error) {
	return n.names(servers), func(context.Context) error { return n.c.Run(servers...) }, n.c.Kill(ctx, servers...)
}

func (n *nemesis) unpowered(ctx context.Context, servers []int) (string, heal, error) {
	return n.names(servers), func(context.Context) error { return n.c.Run(servers...) }, n.c.PowerOff(ctx, servers...)
}

func pause(_ context.Context, n *nemesis, server int) (string, heal, error) {
	return n.c.Name(server), func(context.Context) error { return n.c.Resume(server) }, n.c.Pause(server)
}

// cut takes some of a server's network.
func cut(lines func(ctx context.Context, c *rig.Cluster, server int) error) func(context.Context, *nemesis, int) (string, heal, error) {
	return func(ctx context.Context, n *nemesis, i int) (string, heal, error) {
		return n.c.Name(i), func(ctx context.Context) error { return n.c.Heal(ctx, i) }, lines(ctx, n.c, i)
	}
}

func away(ctx context.Context, c *rig.Cluster, server int) error { return c.Cut(ctx, server, true) }

func fromPeers(ctx context.Context, c *rig.Cluster, server int) error {
	return c.Cut(ctx, server, false)
}

func deafen(ctx context.Context, c *rig.Cluster, server int) error { return c.Deafen(ctx, server) }

func isolate(ctx context.Context, c *rig.Cluster, server int) error { return c.Isolate(ctx, server) }

// rollingRestart restarts each server when the others are healthy.
func rollingRestart(ctx context.Context, n *nemesis) (string, heal, error) {
	order := n.random.Perm(rig.Size)
	return n.names(order), nil, n.eachInTurn(ctx, order, func(i int) error {
		return errors.Join(n.c.Shutdown(ctx, i), n.c.Run(i))
	})
}

// rollingUpgrade takes the servers back to the oldest release that the store works on, one when the others are
// healthy, and lets them serve; what heals is the upgrade.
func rollingUpgrade(ctx context.Context, n *nemesis) (string, heal, error) {
	order := n.random.Perm(rig.Size)
	from, err := n.c.Version(ctx, order[0])
	if err == nil {
		err = n.replaced(ctx, order, n.older)
	}
	if err != nil {
		return "", nil, err
	}
	to, err := n.c.Version(ctx, order[0])
	return fmt.Sprintf("%s from %s to %s, and back", n.names(order), from, to), func(ctx context.Context) error {
		if err := n.replaced(ctx, order, n.current); err != nil {
			return err
		}
		back, err := n.c.Version(ctx, order[0])
		if err == nil && (back != from || to == from) {
			err = fmt.Errorf("the servers had version %s, then %s, and have %s after the upgrade", from, to, back)
		}
		return err
	}, err
}

// replaced puts a program in the place of each server.
func (n *nemesis) replaced(ctx context.Context, order []int, program string) error {
	return n.eachInTurn(ctx, order, func(i int) error { return n.c.Replace(ctx, i, program) })
}

// eachInTurn does something to a server when all are healthy again after the one before.
func (n *nemesis) eachInTurn(ctx context.Context, order []int, do func(server int) error) error {
	for _, i := range order {
		if err := do(i); err != nil {
			return err
		}
		if err := n.c.Healthy(ctx, recoversWithin); err != nil {
			n.r.object("after %s was restarted, with the others healthy: %v", n.c.Name(i), err)
			return err
		}
	}
	return nil
}

// diskFull leaves no room on a disk. A server that could not write serves no more,
// whatever room it has later, until it is restarted.
func diskFull(_ context.Context, n *nemesis, i int) (string, heal, error) {
	return n.c.Name(i), func(ctx context.Context) error {
		return errors.Join(n.c.Empty(i), n.c.Kill(ctx, i), n.c.Run(i))
	}, n.c.Fill(i)
}

// pauseAndPower pauses one server, and takes the power of the others before it goes on.
func pauseAndPower(ctx context.Context, n *nemesis) (string, heal, error) {
	order := n.random.Perm(rig.Size)
	first, others := order[0], order[1:]
	heal := func(ctx context.Context) error {
		if err := n.c.PowerOff(ctx, others...); err != nil {
			return err
		}
		return errors.Join(n.c.Resume(first), n.c.Run(others...))
	}
	return n.c.Name(first) + " paused, then no power for " + n.names(others), heal, n.c.Pause(first)
}
