package crash

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// point is a moment in an order's life at which the program is killed: before
// somebody else has what it sends, or after that and before it knows.
type point struct {
	what  string // what it sends: "append ev.payment"
	n     int    // the n-th of these since the order was submitted
	after bool
}

func (p point) String() string {
	when := "before"
	if p.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s #%d", when, p.what, p.n)
}

// trap counts what passes, and knows at which point the program is to be killed.
type trap struct {
	mu     sync.Mutex
	set    *point // nil: none
	sprung bool
	seen   map[string]int
	passed []point       // everything that passed since it was armed, "before" only
	moved  chan struct{} // closed when something passes
}

// arm forgets what passed and sets the next point.
func (t *trap) arm(p *point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set, t.sprung, t.seen, t.passed, t.moved = p, false, map[string]int{}, nil, make(chan struct{})
}

// passes counts something and tells whether the program has to die before, or after it.
func (t *trap) passes(what string) (before, after bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if what == "" || t.seen == nil {
		return false, false
	}
	t.seen[what]++
	here := point{what: what, n: t.seen[what]}
	t.passed = append(t.passed, here)
	close(t.moved)
	t.moved = make(chan struct{})
	if t.set == nil || t.sprung || t.set.what != here.what || t.set.n != here.n {
		return false, false
	}
	t.sprung = true
	return !t.set.after, t.set.after
}

// springs waits until the trap has sprung, or until it is too late.
func (t *trap) springs(patience time.Duration) {
	t.until(patience, func() bool { return t.sprung })
}

// missing waits until each kind of point has passed, and returns those that have not.
func (t *trap) missing(kinds []string, patience time.Duration) (missing []string) {
	t.until(patience, func() bool {
		missing = slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return t.seen[kind] > 0 })
		return len(missing) == 0
	})
	return missing
}

func (t *trap) until(patience time.Duration, come func() bool) {
	timeout := time.After(patience)
	for {
		t.mu.Lock()
		done, moved := come(), t.moved
		t.mu.Unlock()
		if done {
			return
		}
		select {
		case <-moved:
		case <-timeout:
			return
		}
	}
}

// disarm returns what has passed, and whether the trap has sprung.
func (t *trap) disarm() (passed []point, sprung bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed, sprung = t.passed, t.sprung
	t.set, t.seen = nil, nil
	return passed, sprung
}

// bucket is the subject of a key in a KV bucket of a service.
var bucket = regexp.MustCompile(`^\$KV\.(SUBSCRIPTIONS|INSTANCES|SNAPSHOTS)_([a-z]+)\.(.*)$`)

// published names what a message on a subject is; "" is what nobody else sees,
// such as a read.
func published(subject string) string {
	tokens := strings.Split(subject, ".")
	switch tokens[0] {
	case "ev":
		return "append to " + tokens[1]
	case "timer":
		return "timer " + tokens[1] + " " + tokens[3] + " " + tokens[5]
	}
	if m := bucket.FindStringSubmatch(subject); m != nil {
		switch m[1] {
		case "SUBSCRIPTIONS":
			if name, ok := strings.CutPrefix(m[3], "sub."); ok {
				return "position " + m[2] + " " + name
			}
			return "inputs set aside by " + m[2]
		case "INSTANCES":
			return "list of open instances"
		case "SNAPSHOTS":
			return "snapshot of " + m[2]
		}
	}
	return ""
}

// called names a request to a partner, by its last word, or news of one.
func called(who, method, path string) string {
	if method == "GET" {
		return "query to " + who
	}
	return strings.TrimSpace(who + " " + path[strings.LastIndex(path, "/")+1:])
}
