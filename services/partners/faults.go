package partners

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// Fault makes matching requests or webhooks go wrong, see [Kinds].
type Fault struct {
	Partner   string `json:"partner"`             // "psp", "carrier" or "webhook"
	Op        string `json:"op,omitempty"`        // "capture", "book", a webhook's type …; empty: every one
	Reference string `json:"reference,omitempty"` // of one payment or shipment; empty: every one
	Kind      string `json:"kind"`
	// Next is how many more matching requests it hits. With 0 it hits each one
	// with the probability Rate, until the faults are deleted.
	Next    int     `json:"next,omitempty"`
	Rate    float64 `json:"rate,omitempty"` // 0 to 1
	DelayMS int     `json:"delay_ms,omitempty"`
}

// Kinds are the ways in which something can go wrong.
const (
	KindDelay       = "delay"       // the answer comes DelayMS late; a webhook so too, and others overtake it
	KindLost        = "lost"        // no effect, and no answer in time; a webhook's first delivery is dropped
	KindTimeout     = "timeout"     // the effect, and no answer in time
	KindReset       = "reset"       // the effect, and the connection is closed without an answer
	KindError       = "error"       // the effect, and 500
	KindUnavailable = "unavailable" // 503 without an effect
	KindBusy        = "busy"        // 409 without an effect
	KindThrottled   = "throttled"   // 429 without an effect
	KindDuplicate   = "duplicate"   // of webhooks: delivered twice
)

var (
	requestKinds = []string{KindDelay, KindLost, KindTimeout, KindReset, KindError, KindUnavailable, KindBusy, KindThrottled}
	webhookKinds = []string{KindDelay, KindLost, KindDuplicate}
)

// Check returns what is wrong with a fault.
func (f Fault) Check() error {
	kinds := requestKinds
	switch f.Partner {
	case "psp", "carrier":
	case "webhook":
		kinds = webhookKinds
	default:
		return fmt.Errorf(`partner %q is not one of "psp", "carrier", "webhook"`, f.Partner)
	}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("kind %q of %s is not one of %s", f.Kind, f.Partner, strings.Join(kinds, ", "))
	}
	if f.Next < 0 || f.Rate < 0 || f.Rate > 1 || f.DelayMS < 0 || (f.Next == 0) == (f.Rate == 0) {
		return fmt.Errorf("give either next (1 or more requests) or rate (above 0, at most 1), and delay_ms from 0")
	}
	return nil
}

// faults holds what was scripted by POST /admin/faults.
type faults struct {
	mu     sync.Mutex
	random *rand.Rand
	list   []Fault
}

func newFaults(seed uint64) *faults {
	return &faults{random: rand.New(rand.NewPCG(seed, seed))}
}

func (f *faults) add(list []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, list...)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
}

func (f *faults) all() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Fault{}, f.list...)
}

// take returns the first fault that hits this request; the zero Fault when none does.
func (f *faults) take(what target) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		fault := &f.list[i]
		if fault.Partner != what.partner ||
			fault.Op != "" && fault.Op != what.op ||
			fault.Reference != "" && fault.Reference != what.reference {
			continue
		}
		if fault.Next > 0 {
			hit := *fault
			if fault.Next--; fault.Next == 0 {
				f.list = slices.Delete(f.list, i, i+1)
			}
			return hit
		}
		if f.random.Float64() < fault.Rate {
			return *fault
		}
	}
	return Fault{}
}

// target is what a fault can hit.
type target struct {
	partner, op, reference string
}
