package esjsbench

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Machine is where a run was.
type Machine struct {
	OS        string `json:"os"` // "linux/amd64"
	Processor string `json:"processor"`
	Cores     int    `json:"cores"` // that the program may use
	// Load is what else the machine did: processes that ran or waited, by the average of the
	// minute before the run. Empty where the system does not tell.
	Load string `json:"load,omitempty"`

	Go     string `json:"go"`
	Server string `json:"nats_server"`
	Client string `json:"nats_go"`
}

// ThisMachine describes the machine and the program.
func ThisMachine() Machine {
	m := Machine{
		OS: runtime.GOOS + "/" + runtime.GOARCH, Processor: "unknown processor", Cores: runtime.GOMAXPROCS(0),
		Go: runtime.Version(), Server: server.VERSION, Client: nats.Version,
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(text) {
			if name, value, found := strings.Cut(string(line), ":"); found && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	m.Load = LoadAverage()
	return m
}

// LoadAverage is how many processes ran or waited, on average of the last minute: "0.52".
// Empty where the system does not tell.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

// Report is what a run measured.
type Report struct {
	Machine    Machine   `json:"machine"`
	Postgres   string    `json:"postgresql,omitempty"` // version, where something was measured beside it
	Began      time.Time `json:"began"`
	Seconds    float64   `json:"seconds"` // that the run took
	Rounds     int       `json:"rounds"`
	Aggregates int       `json:"aggregates"` // of the large store
	Quick      bool      `json:"quick,omitempty"`
	Results    []Result  `json:"results"`
	Figures    []Figure  `json:"figures"` // all that was measured, also what is no bar
	Skipped    []Skipped `json:"skipped,omitempty"`
}

// Spread is a figure of all rounds.
type Spread struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

// Result is a bar with what was measured.
type Result struct {
	Bar
	Spread
	Verdict Verdict `json:"verdict,omitempty"`
}

// Verdict tells whether a bar's median keeps its limit. It is empty where there is no
// limit, or where the run was not what the limit is for.
type Verdict string

// The verdicts.
const (
	Held   Verdict = "held"
	Missed Verdict = "missed"
)

// Figure is something measured: "raw-1-µs" of the measurement "append".
type Figure struct {
	Measurement string `json:"measurement"`
	Sync        Sync   `json:"sync"`
	Name        string `json:"name"`
	Spread
}

// Skipped is a measurement that could not be made here.
type Skipped struct {
	Measurement string `json:"measurement"`
	Why         string `json:"why"`
}

// Missed counts the bars whose limits were not kept.
func (r Report) Missed() (n int) {
	for _, result := range r.Results {
		if result.Verdict == Missed {
			n++
		}
	}
	return n
}

func newReport(cfg Config) Report {
	return Report{Machine: ThisMachine(), Began: time.Now().UTC().Truncate(time.Second), Rounds: cfg.Rounds, Aggregates: cfg.Aggregates, Quick: cfg.Quick}
}

// add takes what the rounds of a measurement gave.
func (r *Report) add(m measurement, sync Sync, rounds [][]figure) {
	for i, f := range rounds[0] {
		values := make([]float64, len(rounds))
		for j := range rounds {
			values[j] = rounds[j][i].value
		}
		spread := Spread{Median: median(values), Lowest: slices.Min(values), Highest: slices.Max(values)}
		r.Figures = append(r.Figures, Figure{m.name, sync, f.name, spread})
		for _, b := range Bars() {
			if b.measurement == m.name && b.Sync == sync && b.figure == f.name {
				r.Results = append(r.Results, Result{b, spread, r.verdict(b, spread.Median)})
			}
		}
	}
}

func (r *Report) verdict(b Bar, v float64) Verdict {
	switch {
	case r.Quick || b.Wanted == Limit{} || b.large && r.Aggregates != largeStore:
		return ""
	case b.Wanted.Holds(v):
		return Held
	}
	return Missed
}
