//go:build plots

package plots

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// growth is what "orderflow bench grow --json" has recorded, as far as it is drawn.
type growth struct {
	Sizes []struct {
		Aggregates float64 `json:"aggregates"`
		Events     float64 `json:"events"`
		Load       string  `json:"load_average"`
		Fill       float64 `json:"fill_events_per_second"`
		Append     latency `json:"append"`
		AppendVs   float64 `json:"append_ratio"`
		Hot        latency `json:"load_hot"`
		HotVs      float64 `json:"load_hot_ratio"`
		HotLowest  float64 `json:"load_hot_ratio_lowest"` // of several rounds; one alone has none
		HotHighest float64 `json:"load_hot_ratio_highest"`
		Cold       latency `json:"load_cold"`
		Replay     float64 `json:"replay_events_per_second"`
		Disk       float64 `json:"disk_bytes_per_event"`
		Written    memory  `json:"server_memory_written"`
		Restarted  memory  `json:"server_memory_restarted"`
		Client     float64 `json:"client_resident_bytes"`
		Heap       float64 `json:"client_heap_bytes"`
		Stop       restart `json:"restart_after_stop"`
		Kill       restart `json:"restart_after_kill"`
	} `json:"sizes"`
}

type latency struct {
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Calls int     `json:"calls"`
}

type memory struct {
	Resident     float64 `json:"resident_bytes"`
	PerAggregate float64 `json:"heap_bytes_per_aggregate"`
}

type restart struct {
	Ready    float64 `json:"ready_ms"`
	Appended float64 `json:"first_append_ms"`
}

// orders is what "orderflow bench orders --json" has recorded, as far as it is drawn.
type orders struct {
	Sync    string `json:"sync"`
	Systems []struct {
		Replicas int     `json:"replicas"`
		Levels   []level `json:"levels"`
	} `json:"systems"`
}

type level struct {
	Customers float64      `json:"customers"`
	Load      []string     `json:"load_averages"`
	Orders    int          `json:"orders"`
	Failed    int          `json:"failed"`
	Rate      float64      `json:"orders_per_second"`
	Slowest   float64      `json:"orders_per_second_slowest_round"`
	Fastest   float64      `json:"orders_per_second_fastest_round"`
	Command   milliseconds `json:"command"`
	Whole     milliseconds `json:"order"`
	Completed milliseconds `json:"submit_to_completed"`
	Servers   float64      `json:"servers_processor_ms"`
	Services  float64      `json:"services_processor_ms"`
	Customer  float64      `json:"customers_processor_ms"`
	Busy      float64      `json:"processors_busy"`
	Steps     []step       `json:"steps"`
}

type step struct {
	Category string       `json:"category"`
	Event    string       `json:"event"`
	After    milliseconds `json:"after_submit"`
}

type milliseconds struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// partitions is what "orderflow bench partitions --json" has recorded, as far as the page shows it.
type partitions struct {
	Sync    string `json:"sync"`
	Writers int    `json:"writers"`
	Stores  []struct {
		Streams int    `json:"partitions"`
		Leaders int    `json:"leaders"`
		Rate    spread `json:"appends_per_second"`
		Ratio   spread `json:"ratio"`
		P50     spread `json:"p50_ms"`
		P99     spread `json:"p99_ms"`
		Servers spread `json:"servers_cpu_us"`
		Client  spread `json:"client_cpu_us"`
	} `json:"stores"`
}

type spread struct{ Median, Lowest, Highest float64 }

// bars is what "orderflow bench --json" has recorded, as far as the page shows it.
type bars struct {
	Results []struct {
		Number int                         `json:"bar"`
		What   string                      `json:"what"`
		Sync   string                      `json:"sync"`
		Wanted struct{ Max, Min *float64 } `json:"wanted"`
		Unit   string                      `json:"unit"`
		spread
		Verdict string `json:"verdict"`
	} `json:"results"`
}

// recorded is all that is drawn, or shown in tables.
type recorded struct {
	bars       bars
	growth     growth
	orders     []orders
	partitions []partitions
}

// read reads the recorded data in dir. Bars that were not recorded are none.
func read(dir string) (r recorded, err error) {
	if err := decode(filepath.Join(dir, "bars.json"), &r.bars); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err := decode(filepath.Join(dir, "growth.json"), &r.growth); err != nil {
		return r, err
	}
	for _, name := range []string{"orders-default.json", "orders-always.json"} {
		var o orders
		if err := decode(filepath.Join(dir, name), &o); err != nil {
			return r, err
		}
		r.orders = append(r.orders, o)
	}
	for _, name := range []string{"partitions-always-64.json", "partitions-always-256.json", "partitions-default-64.json"} {
		var p partitions
		if err := decode(filepath.Join(dir, name), &p); err != nil {
			return r, err
		}
		r.partitions = append(r.partitions, p)
	}
	return r, nil
}

func decode(file string, into any) error {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(text)).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("read what was recorded: %s: %w", file, err)
	}
	return nil
}
