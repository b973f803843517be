package main

import (
	"slices"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs/esjsbench"
)

// ordersReport is what was measured.
type ordersReport struct {
	Machine esjsbench.Machine `json:"machine"`
	Began   time.Time         `json:"began"`
	Sync    esjsbench.Sync    `json:"sync"`
	Rounds  int               `json:"rounds"`
	Seconds float64           `json:"seconds_of_a_round"`
	Systems []ordersSystem    `json:"systems"`
}

// ordersSystem is an order system on so many NATS servers.
type ordersSystem struct {
	Replicas int           `json:"replicas"`
	Levels   []ordersLevel `json:"levels"`
}

// ordersLevel is what so many customers saw, each of whom placed the next order when the last one was completed.
type ordersLevel struct {
	Customers int      `json:"customers"`
	Load      []string `json:"load_averages"`     // of the machine, at each round's end
	Orders    int      `json:"orders"`            // completed
	Failed    int      `json:"failed"`            // of which a command was refused or not answered
	Rate      float64  `json:"orders_per_second"` // of a round, from its begin until its last order was completed; the rounds' median
	Slowest   float64  `json:"orders_per_second_slowest_round"`
	Fastest   float64  `json:"orders_per_second_fastest_round"`

	Command   milliseconds `json:"command"`             // one of five of an order, to its answer
	Whole     milliseconds `json:"order"`               // from its first command until OrderCompleted is seen
	Completed milliseconds `json:"submit_to_completed"` // of that, from sending submit on

	// Processor time of an order, in ms, of all processes of each kind. What they do when nobody
	// orders is in it.
	Servers   float64 `json:"servers_processor_ms"`
	Services  float64 `json:"services_processor_ms"`
	Customer  float64 `json:"customers_processor_ms"`
	Processor float64 `json:"processors_busy"` // of all three together, in processors

	Steps []orderStep `json:"steps"`
}

// milliseconds is a latency.
type milliseconds struct {
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Calls int     `json:"calls"`
}

// orderStep is a commit of an order's life.
type orderStep struct {
	Category string       `json:"category"`
	Event    string       `json:"event"` // the commit's first
	After    milliseconds `json:"after_submit"`
}

// distribution sorts what it is given.
func distribution(took []time.Duration) milliseconds {
	if len(took) == 0 {
		return milliseconds{}
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1e3 }
	return milliseconds{P50: at(50), P99: at(99), Calls: len(took)}
}

// placed is an order that was completed.
type placed struct {
	commands         []time.Duration
	whole, completed time.Duration
	ended            time.Time
	steps            map[orderStep]time.Duration // since it was submitted
}

// pool is all that was seen of one number of customers.
type pool struct {
	orders                       []placed
	rates                        []float64
	load                         []string
	failed                       int
	servers, services, customers time.Duration
	took                         time.Duration
}

func (p *pool) level(customers int) ordersLevel {
	l := ordersLevel{Customers: customers, Load: p.load, Orders: len(p.orders), Failed: p.failed}
	slices.Sort(p.rates)
	l.Rate, l.Slowest, l.Fastest = p.rates[len(p.rates)/2], p.rates[0], p.rates[len(p.rates)-1]
	var commands, whole, completed []time.Duration
	steps := map[orderStep][]time.Duration{}
	for _, o := range p.orders {
		commands, whole, completed = append(commands, o.commands...), append(whole, o.whole), append(completed, o.completed)
		for step, after := range o.steps {
			steps[step] = append(steps[step], after)
		}
	}
	l.Command, l.Whole, l.Completed = distribution(commands), distribution(whole), distribution(completed)
	for step, after := range steps {
		step.After = distribution(after)
		l.Steps = append(l.Steps, step)
	}
	slices.SortFunc(l.Steps, func(a, b orderStep) int {
		if a.After.P50 < b.After.P50 {
			return -1
		}
		return 1
	})
	each := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(max(len(p.orders), 1)) }
	l.Servers, l.Services, l.Customer = each(p.servers), each(p.services), each(p.customers)
	l.Processor = (p.servers + p.services + p.customers).Seconds() / p.took.Seconds()
	return l
}
