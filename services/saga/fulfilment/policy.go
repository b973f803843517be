package fulfilment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// Policy holds the numbers of a fulfilment: how long it waits and how often it
// asks again. A fulfilment keeps the policy that it was started under: its
// version is stored in FulfilmentStarted, so numbers never change under a
// version; other numbers are another version, and [Policy.Digest] finds who
// changed them all the same.
type Policy struct {
	Version int // at least 1

	Reserve        Patience // stock reservation
	Authorize      Patience // an authorisation, before its outcome counts as unknown
	AuthorizeCheck Patience // status checks of an authorisation
	Confirm        Patience // the order's confirmation
	Book           Patience // the shipment's booking
	Capture        Patience // a capture, before its outcome counts as unknown
	CaptureCheck   Patience // status checks of a capture
	Dispatch       Patience // hand-over to the carrier and the stock's commitment
	Complete       Patience // the order's completion; Attempts are those of Compensate
	Compensate     Patience // every step of a compensation

	// SLA is the time from submission in which the order has to be captured,
	// otherwise it is undone.
	SLA time.Duration
	// ReservationMargin is how much longer than the SLA stock stays reserved.
	ReservationMargin time.Duration
	// MethodWindow is how long a customer may choose another payment method
	// after a soft decline; 0 treats every decline as final.
	MethodWindow time.Duration
	// MethodAttempts is how many payment methods are tried at most, the order's first one included.
	MethodAttempts int
	// AuthorizationMargin is how long before an authorisation ends the order is
	// undone if it was not captured.
	AuthorizationMargin time.Duration
	// DispatchWarning is how long before the deadline of a dispatch people are asked
	// whether it will be kept; 0, or what is not below Dispatch.First: they are not.
	DispatchWarning time.Duration
	// Attention is how often a step that asked for attention is tried again.
	Attention time.Duration
}

// Patience is how long one attempt of a step may take, First·2^(n-1) but at
// most Max for attempt n, and how many attempts there are.
type Patience struct {
	First    time.Duration
	Max      time.Duration
	Attempts int
}

// DefaultPolicy returns version 1, which is the same in every release: fulfilments
// that were started under it may still be under way.
func DefaultPolicy() Policy {
	check := Patience{First: 5 * time.Second, Max: 5 * time.Minute, Attempts: 8}
	captureCheck := check
	captureCheck.Attempts = 12
	return Policy{
		Version:             1,
		Reserve:             Patience{First: 10 * time.Second, Max: 40 * time.Second, Attempts: 3},
		Authorize:           Patience{First: 30 * time.Second, Max: 30 * time.Second, Attempts: 1},
		AuthorizeCheck:      check,
		Confirm:             Patience{First: 10 * time.Second, Max: 10 * time.Second, Attempts: 5},
		Book:                Patience{First: time.Minute, Max: 5 * time.Minute, Attempts: 5},
		Capture:             Patience{First: 30 * time.Second, Max: 30 * time.Second, Attempts: 1},
		CaptureCheck:        captureCheck,
		Dispatch:            Patience{First: 24 * time.Hour, Max: 24 * time.Hour, Attempts: 3},
		Complete:            Patience{First: 10 * time.Second, Max: 5 * time.Minute},
		Compensate:          Patience{First: 5 * time.Second, Max: 10 * time.Minute, Attempts: 12},
		SLA:                 30 * time.Minute,
		ReservationMargin:   time.Hour,
		MethodWindow:        15 * time.Minute,
		MethodAttempts:      5,
		AuthorizationMargin: 10 * time.Minute,
		DispatchWarning:     4 * time.Hour,
		Attention:           time.Hour,
	}
}

// Limits of a policy's numbers, inclusive.
const (
	MinWait     = time.Millisecond
	MaxWait     = 30 * 24 * time.Hour
	MaxAttempts = 1000
)

// Validate refuses a policy that would make a fulfilment wait for ever or not
// at all, with a sentence that names the number as a file of policies does.
func (p Policy) Validate() error {
	if p.Version < 1 {
		return fmt.Errorf("the policy's version is %d; it must be at least 1", p.Version)
	}
	refuse := func(name, value, must string) error {
		return fmt.Errorf("policy version %d: %s is %s; it must be %s", p.Version, name, value, must)
	}
	for _, f := range p.patiences() {
		switch {
		case f.First < MinWait || f.First > MaxWait:
			return refuse(f.name+".first", f.First.String(), fmt.Sprintf("from %v to %v", MinWait, MaxWait))
		case f.Max < f.First || f.Max > MaxWait:
			return refuse(f.name+".max", f.Max.String(), fmt.Sprintf("from %s.first, which is %v, to %v", f.name, f.First, MaxWait))
		case !f.endless && (f.Attempts < 1 || f.Attempts > MaxAttempts):
			return refuse(f.name+".attempts", fmt.Sprint(f.Attempts), fmt.Sprintf("from 1 to %d", MaxAttempts))
		}
	}
	if p.MethodAttempts < 1 || p.MethodAttempts > MaxAttempts {
		return refuse(methodAttempts, fmt.Sprint(p.MethodAttempts), fmt.Sprintf("from 1 to %d", MaxAttempts))
	}
	for _, f := range p.waits() {
		if f.wait < f.from || f.wait > MaxWait {
			return refuse(f.name, f.wait.String(), fmt.Sprintf("from %v to %v", f.from, MaxWait))
		}
	}
	return nil
}

// namedPatience is a patience and its name in a file of policies.
type namedPatience struct {
	name string
	Patience
	endless bool // it has no Attempts of its own
}

// namedWait is a duration, its name in a file of policies, and its lower limit.
type namedWait struct {
	name       string
	wait, from time.Duration
}

// methodAttempts names its number in a file of policies.
const methodAttempts = "method_attempts"

func (p Policy) patiences() []namedPatience {
	return []namedPatience{
		{name: "reserve", Patience: p.Reserve},
		{name: "authorize", Patience: p.Authorize},
		{name: "authorize_check", Patience: p.AuthorizeCheck},
		{name: "confirm", Patience: p.Confirm},
		{name: "book", Patience: p.Book},
		{name: "capture", Patience: p.Capture},
		{name: "capture_check", Patience: p.CaptureCheck},
		{name: "dispatch", Patience: p.Dispatch},
		{name: "complete", Patience: p.Complete, endless: true},
		{name: "compensate", Patience: p.Compensate},
	}
}

func (p Policy) waits() []namedWait {
	return []namedWait{
		{"sla", p.SLA, MinWait},
		{"attention", p.Attention, MinWait},
		{"reservation_margin", p.ReservationMargin, 0},
		{"method_window", p.MethodWindow, 0},
		{"authorization_margin", p.AuthorizationMargin, 0},
		{"dispatch_warning", p.DispatchWarning, 0},
	}
}

// Digest tells the numbers of one policy from those of another one, in 16 hexadecimal
// digits. It is made of those that differ from version 1: a number that a later release
// adds changes no digest before somebody sets it. What is stored has digests, so the
// names and the form in which they enter one never change. A release in which version 1
// has other numbers by mistake has other digests for all: every policy rests on them.
func (p Policy) Digest() string { return p.digestBeside(DefaultPolicy()) }

// numbersOfVersion1 are the first policy's, as [Policy.numbers] tells them. Who adds a
// number writes here what they are with it; who finds them changed has changed what is
// under way.
const numbersOfVersion1 = "9cf3f03bda579e83"

// digestBeside is the digest by what differs from the first policy.
func (p Policy) digestBeside(first Policy) string {
	digest := sha256.New()
	if numbers := first.numbers(); numbers != numbersOfVersion1 {
		fmt.Fprintf(digest, "version 1 %s\n", numbers)
	}
	patiences, waits := first.patiences(), first.waits()
	for i, f := range p.patiences() {
		if f != patiences[i] {
			f.enter(digest)
		}
	}
	for i, f := range p.waits() {
		if f != waits[i] {
			f.enter(digest)
		}
	}
	if p.MethodAttempts != first.MethodAttempts {
		p.enterMethodAttempts(digest)
	}
	return hex.EncodeToString(digest.Sum(nil)[:8])
}

// numbers tells all numbers of a policy from all of another one, in 16 hexadecimal digits.
func (p Policy) numbers() string {
	digest := sha256.New()
	for _, f := range p.patiences() {
		f.enter(digest)
	}
	for _, f := range p.waits() {
		f.enter(digest)
	}
	p.enterMethodAttempts(digest)
	return hex.EncodeToString(digest.Sum(nil)[:8])
}

func (f namedPatience) enter(digest io.Writer) {
	fmt.Fprintf(digest, "%s %d %d %d\n", f.name, f.First, f.Max, f.Attempts)
}

func (f namedWait) enter(digest io.Writer) { fmt.Fprintf(digest, "%s %d\n", f.name, f.wait) }

func (p Policy) enterMethodAttempts(digest io.Writer) {
	fmt.Fprintf(digest, "%s %d\n", methodAttempts, p.MethodAttempts)
}

// Policies are policies by their version.
type Policies map[int]Policy

// Knows fails with [esjs.ErrConfig] when the policy of what is under way is not
// among them as it was: its version is missing, or has other numbers. What was stored
// before digests were has none, and is known by its version alone.
func (known Policies) Knows(underWay string, version int, digest string) error {
	if version == 0 { // it has not begun
		return nil
	}
	p, ok := known[version]
	switch {
	case !ok:
		return fmt.Errorf("%w: %s under policy version %d, which is not among the policies that are given", esjs.ErrConfig, underWay, version)
	case digest != "" && digest != p.Digest():
		return fmt.Errorf("%w: %s under policy version %d, and the one that is given has other numbers; give it back those that it had, and the new ones a version of their own",
			esjs.ErrConfig, underWay, version)
	}
	return nil
}

// PoliciesByVersion returns policies by their version. It fails with [esjs.ErrConfig] when
// one is not valid or two have one version.
func PoliciesByVersion(policies []Policy) (Policies, error) {
	known := make(Policies, len(policies))
	for _, p := range policies {
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", esjs.ErrConfig, err)
		}
		if _, ok := known[p.Version]; ok {
			return nil, fmt.Errorf("%w: two policies are version %d", esjs.ErrConfig, p.Version)
		}
		known[p.Version] = p
	}
	return known, nil
}

// wait returns how long attempt n (1, 2, …) may take.
func (w Patience) wait(n int) time.Duration {
	d := w.First
	for ; n > 1 && d < w.Max; n-- {
		d *= 2
	}
	return min(d, w.Max)
}

// Jittered returns wait(n), up to a tenth longer: the same for the same
// instance and attempt, different for different instances, so that a
// participant that comes back is not asked by everybody in the same moment.
func (w Patience) Jittered(n int, seed string) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", seed, n)
	d := w.wait(n)
	return (d + time.Duration(uint64(d)/10*uint64(h.Sum32()>>16)>>16)).Round(time.Millisecond)
}
