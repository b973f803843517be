//go:build compose

package compose

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
)

// A clone comes up and completes an order; with kill -9 of each container, NATS among them, and with
// a restart of each, the orders that are under way complete, and each is paid once.
func TestAnyContainerMayDie(t *testing.T) {
	s := cloned(t, "orderflow-test")
	s.stocked(t)
	s.place(t, "o-0")
	s.completed(t, "o-0")
	orders := 1
	services := slices.Sorted(maps.Keys(s.containers(t)))
	if len(services) != 9 {
		t.Fatalf("the containers are %v, want 9", services)
	}
	for _, service := range services {
		for _, way := range []string{"killed", "restarted"} {
			t.Run(service+" is "+way, func(t *testing.T) {
				const load = 5
				id := func(n int) string { return fmt.Sprintf("o-%s-%s-%d", service, way, n) }
				s.place(t, id(0)) // whose process is under way, while others are placed
				var placed sync.WaitGroup
				placed.Go(func() {
					for n := range load - 1 {
						s.place(t, id(n+1))
					}
				})
				if way == "killed" {
					kill(t, s.containers(t)[service])
				} else {
					s.compose(t, "restart", service)
				}
				placed.Wait()
				for n := range load {
					s.completed(t, id(n))
				}
				orders += load
			})
		}
	}
	s.healthy(t)
	s.sound(t, orders, 1)
}

// Of three NATS servers any one may die while orders are placed.
func TestAnyServerOfTheClusterMayDie(t *testing.T) {
	s := cloned(t, "orderflow-test-cluster", "--env-file", "deploy/cluster.env")
	s.stocked(t)
	orders := 0
	for _, server := range []string{"nats", "nats-2", "nats-3"} {
		t.Run(server+" is killed", func(t *testing.T) {
			const load = 20
			var placed sync.WaitGroup
			for lane := range 4 {
				placed.Go(func() {
					for n := range load / 4 {
						s.place(t, fmt.Sprintf("o-%s-%d-%d", server, lane, n))
					}
				})
			}
			kill(t, s.containers(t)[server])
			placed.Wait()
			for lane := range 4 {
				for n := range load / 4 {
					s.completed(t, fmt.Sprintf("o-%s-%d-%d", server, lane, n))
				}
			}
			orders += load
		})
		s.healthy(t)
	}
	s.sound(t, orders, 3)
}
