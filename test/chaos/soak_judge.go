//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/test/chaos/flat"
)

const (
	// theServers are all of them together: what clients have of one goes to the others while it is restarted.
	theServers = "the servers"
	eventLog   = "EVENTS" // the stream that keeps what orders leave
)

// bound is by how much each may grow, beyond what chance does. The work that memory and disk are measured by are orders, and
// docs/reliability.md says what they are allowed to leave; for what is counted it is the cycle, which must leave nothing.
func bound(of, what string) flat.Bound {
	const kB, MB = 1 << 10, 1 << 20
	switch what {
	case memory:
		return flat.Bound{PerWork: 16 * kB, Noise: 24 * MB}
	case heap:
		return flat.Bound{PerWork: 8 * kB, Noise: 6 * MB}
	case buffers:
		return flat.Bound{Noise: 96 * MB} // the last blocks of a dozen streams, and of their Raft logs, of 4 or 8 MB at most
	case disk:
		return flat.Bound{PerWork: 64 * kB, Noise: 8 * MB} // logs of Raft groups come and go
	case stored:
		if of == eventLog {
			return flat.Bound{PerWork: 48 * kB}
		}
		return flat.Bound{PerWork: 4 * kB} // snapshots, positions and parked keys, timers; and the registers, which are written beside
	case goroutines:
		return flat.Bound{PerWork: 0.5, Noise: 4 + 2*kept(of)}
	case handles:
		if of == theServers {
			return flat.Bound{PerWork: 0.5, Noise: 8} // files of blocks that were just used
		}
		return flat.Bound{PerWork: 0.5, Noise: 5 + kept(of)} // the projector's pool of its database
	}
	return flat.Bound{}
}

// kept is how many HTTP connections between those who call partners and the partners may come and go: each is kept
// for a minute (service.PartnerConfig), and has two goroutines.
func kept(of string) float64 {
	for _, name := range []string{"partners", "payment", "shipping"} {
		if strings.HasPrefix(of, name+",") {
			return 8
		}
	}
	return 0
}

// togetherOf sums what is counted of single servers.
func togetherOf(rests []flat.Rest) (all []flat.Rest) {
	sums := map[string]int{}
	for _, r := range rests {
		server := len(r.Of) > 1 && r.Of[0] == 'n' && '0' <= r.Of[1] && r.Of[1] <= '9'
		if !server || !slices.Contains([]string{goroutines, handles, connections}, r.What) {
			all = append(all, r)
			continue
		}
		key := fmt.Sprint(r.What, r.Work)
		i, known := sums[key]
		if !known {
			i = len(all)
			sums[key] = i
			all = append(all, flat.Rest{Of: theServers, What: r.What, Work: r.Work})
		}
		all[i].Value += r.Value
	}
	return all
}

// judgeRests prints what there was at rest, and says what grew, and what was not there often enough to be judged.
func judgeRests(out io.Writer, rests []flat.Rest) (wrong []string) {
	judged := map[string]bool{}
	fmt.Fprintf(out, "\n| what | of | rests | first | last | more, later half to earlier | for each order or cycle | at most |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	series := flat.Group(togetherOf(rests), bound)
	for _, s := range series {
		if !s.Judged() {
			continue
		}
		name, _, _ := strings.Cut(s.Of, ",")
		judged[name+" "+s.What] = true
		whole, perWork := s.Growth()
		first, last := s.Rests[0].Value, s.Rests[len(s.Rests)-1].Value
		if last != 0 || first != 0 {
			fmt.Fprintf(out, "| %s | %s | %d | %s | %s | %s | %s | %s |\n", s.What, s.Of, len(s.Rests),
				amount(s.What, first), amount(s.What, last), amount(s.What, whole), amount(s.What, perWork), amount(s.What, s.Bound.PerWork))
		}
		if !s.Flat() {
			wrong = append(wrong, "grows: "+s.String())
		}
	}
	for _, s := range series {
		name, _, _ := strings.Cut(s.Of, ",")
		if key := name + " " + s.What; !judged[key] {
			judged[key] = true
			wrong = append(wrong, fmt.Sprintf("%s of %s cannot be judged: no process of it was there at %d rests", s.What, name, flat.Least))
		}
	}
	fmt.Fprintf(out, "\n%d series, %d of which grow or cannot be judged\n", len(series), len(wrong))
	return wrong
}

// amount is for people.
func amount(what string, n float64) string {
	switch {
	case !strings.HasSuffix(what, "bytes"):
		return fmt.Sprintf("%.4g", n)
	case n < 1<<20 && n > -1<<20:
		return fmt.Sprintf("%.1f kB", n/(1<<10))
	default:
		return fmt.Sprintf("%.1f MB", n/(1<<20))
	}
}

// readRests reads what a soak has measured.
func readRests(file string) (rests []flat.Rest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r flat.Rest
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		rests = append(rests, r)
	}
	return rests, lines.Err()
}
