package partners

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Fault makes matching requests or webhooks go wrong, see [Kinds].
type Fault struct {
	Partner   string `json:"partner"`             // "psp", "carrier" or "webhook"
	Op        string `json:"op,omitempty"`        // "capture", "book", a webhook's type …; empty: every one
	Reference string `json:"reference,omitempty"` // of one payment or shipment; empty: every one
	Kind      string `json:"kind"`
	// Next is how many more matching requests it hits. With 0 it hits each one
	// with the probability Rate, until the faults are deleted. What a rate hits
	// depends on the seed, the fault's place in the list, and which request of its
	// operation and reference it is, and not on how requests of several references
	// are mixed: the same orders with the same seed meet the same faults.
	Next    int     `json:"next,omitempty"`
	Rate    float64 `json:"rate,omitempty"` // 0 to 1
	DelayMS int     `json:"delay_ms,omitempty"`
	Code    string  `json:"code,omitempty"`  // of a decline; default as the operation's script has it
	Class   string  `json:"class,omitempty"` // of a declined authorisation: "hard" (the default), "soft" or "fraud"
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
	KindDecline     = "decline"     // a definite no, which the request's key keeps; not of a status or a list
	KindDuplicate   = "duplicate"   // of webhooks: delivered twice, the second time DelayMS later
)

var (
	requestKinds = []string{KindDelay, KindLost, KindTimeout, KindReset, KindError, KindUnavailable, KindBusy, KindThrottled, KindDecline}
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
	if f.Kind != KindDecline && (f.Code != "" || f.Class != "") {
		return fmt.Errorf("code and class are those of kind %s, not of %s", KindDecline, f.Kind)
	}
	if f.Kind == KindDecline && (f.Op == "status" || f.Op == "list") {
		return fmt.Errorf("a %s cannot be declined", f.Op)
	}
	if !slices.Contains([]string{"", "hard", "soft", "fraud"}, f.Class) {
		return fmt.Errorf(`class %q is not one of "hard", "soft", "fraud"`, f.Class)
	}
	return nil
}

// refusal is the definite no of a decline to an operation; of another fault it is none.
func (f Fault) refusal(op string) Refusal {
	if f.Kind != KindDecline {
		return Refusal{}
	}
	no := map[string]Refusal{
		"authorise": {"do_not_honour", "hard", "the bank declined the card"},
		"capture":   {"capture_refused", "", "the bank refused the capture"},
		"void":      {"void_refused", "", "the bank refused the void"},
		"refund":    {"refund_refused", "", "the bank refused the refund"},
		"book":      {"no_carrier", "", "nobody delivers there"},
		"dispatch":  {"dispatch_refused", "", "nobody comes for the parcel"},
		"cancel":    {"goods_left", "", "the goods have left"},
	}[op]
	if no != (Refusal{}) {
		no.Code = cmp.Or(f.Code, no.Code)
	}
	if op == "authorise" {
		no.Class = cmp.Or(f.Class, no.Class)
	}
	return no
}

// faults holds what was scripted by POST /admin/faults.
type faults struct {
	mu   sync.Mutex
	seed uint64
	list []scripted
	set  uint64                     // since the last deletion
	came *lru.Cache[target, uint64] // how often each target came, since then
}

// scripted is a fault with its place among those that were set.
type scripted struct {
	Fault
	place uint64
}

// maxCame bounds the targets whose requests are counted. One that comes again
// after so many others is counted anew.
const maxCame = 100_000

func newFaults(seed uint64) (*faults, error) {
	came, err := lru.New[target, uint64](maxCame)
	if err != nil {
		return nil, fmt.Errorf("partners: %w", err)
	}
	return &faults{seed: seed, came: came}, nil
}

func (f *faults) reseed(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seed = seed
}

func (f *faults) add(list []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range list {
		f.list = append(f.list, scripted{fault, f.set})
		f.set++
	}
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.set = nil, 0
	f.came.Purge()
}

func (f *faults) all() (seed uint64, list []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list = []Fault{}
	for _, s := range f.list {
		list = append(list, s.Fault)
	}
	return f.seed, list
}

// take returns the first fault that hits this request; the zero Fault when none does.
func (f *faults) take(what target) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	nth, _ := f.came.Get(what)
	f.came.Add(what, nth+1)
	for i := range f.list {
		s := &f.list[i]
		if s.Partner != what.partner ||
			s.Op != "" && s.Op != what.op ||
			s.Reference != "" && s.Reference != what.reference {
			continue
		}
		if s.Next > 0 {
			hit := s.Fault
			if s.Next--; s.Next == 0 {
				f.list = slices.Delete(f.list, i, i+1)
			}
			return hit
		}
		if f.draw(s.place, what, nth) < s.Rate {
			return s.Fault
		}
	}
	return Fault{}
}

// draw returns a number from 0 to below 1 that is the same for the same seed, fault
// and nth request of a target.
func (f *faults) draw(place uint64, what target, nth uint64) float64 {
	const bits = 53 // of a float64's fraction
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %q %q %q %d", f.seed, place, what.partner, what.op, what.reference, nth))
	return float64(binary.BigEndian.Uint64(sum[:])>>(64-bits)) / (1 << bits)
}

// target is what a fault can hit.
type target struct {
	partner, op, reference string
}
