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
	s.Stock(t)
	s.Place(t, "o-0")
	s.Completed(t, "o-0")
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
				s.Place(t, id(0)) // whose process is under way, while others are placed
				var placed sync.WaitGroup
				placed.Go(func() {
					for n := range load - 1 {
						s.Place(t, id(n+1))
					}
				})
				if way == "killed" {
					kill(t, s.containers(t)[service])
				} else {
					s.compose(t, "restart", service)
				}
				placed.Wait()
				for n := range load {
					s.Completed(t, id(n))
				}
				orders += load
			})
		}
	}
	s.healthy(t)
	s.sound(t, orders, 1)
}

// Of three NATS servers any one may die, or stay away, while orders are placed.
func TestAnyServerOfTheClusterMayBeLost(t *testing.T) {
	s := cloned(t, "orderflow-test-cluster", "--env-file", "deploy/cluster.env")
	s.Stock(t)
	orders := 0
	for _, server := range []string{"nats", "nats-2", "nats-3"} {
		for _, way := range []string{"killed", "away"} {
			t.Run(server+" is "+way, func(t *testing.T) {
				const lanes, load = 4, 5
				id := func(lane, n int) string { return fmt.Sprintf("o-%s-%s-%d-%d", server, way, lane, n) }
				var placed sync.WaitGroup
				for lane := range lanes {
					placed.Go(func() {
						for n := range load {
							s.Place(t, id(lane, n))
						}
					})
				}
				if way == "killed" {
					kill(t, s.containers(t)[server])
				} else {
					s.compose(t, "stop", server)
				}
				placed.Wait()
				for lane := range lanes {
					for n := range load {
						s.Completed(t, id(lane, n))
					}
				}
				orders += lanes * load
				s.compose(t, "start", server) // which runs already if it was killed
			})
			s.healthy(t)
		}
	}
	s.sound(t, orders, 3)
}
