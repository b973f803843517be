package fulfilment

import (
	"sync"
	"time"
)

// An answer to an order that was never submitted is waited with five times,
// 1 s·2^n, and then counted: its order may be unreadable only for a moment.
const orphanAttempts = 5

// orphans counts how often such answers came. It forgets them when they are
// given up, and everything when there are too many: then they wait longer.
type orphans struct {
	mu   sync.Mutex
	seen map[string]int
}

const maxOrphans = 10_000

func newOrphans() *orphans { return &orphans{seen: map[string]int{}} }

// wait returns when the event shall be tried again, false when not any more.
func (o *orphans) wait(eventID string) (time.Duration, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.seen[eventID]
	if n >= orphanAttempts {
		delete(o.seen, eventID)
		return 0, false
	}
	if len(o.seen) >= maxOrphans {
		clear(o.seen)
	}
	o.seen[eventID] = n + 1
	return time.Second << n, true
}
