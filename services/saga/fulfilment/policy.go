package fulfilment

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Policy holds the numbers of a fulfilment: how long it waits and how often it
// asks again. A fulfilment keeps the policy that it was started under: its
// version is stored in FulfilmentStarted, so numbers never change under a
// version; other numbers are another version.
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
	Complete       Patience // the order's completion; repeated for ever, Attempts is not used
	Compensate     Patience // every step of a compensation

	// SLA is the time from submission in which the order has to be captured,
	// otherwise it is undone.
	SLA time.Duration
	// ReservationMargin is how much longer than the SLA stock stays reserved.
	ReservationMargin time.Duration
	// MethodWindow is how long a customer may choose another payment method
	// after a soft decline; 0 treats every decline as final.
	MethodWindow time.Duration
	// AuthorizationMargin is how long before an authorisation ends the order is
	// undone if it was not captured.
	AuthorizationMargin time.Duration
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

// DefaultPolicy returns version 1.
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
		AuthorizationMargin: 10 * time.Minute,
		Attention:           time.Hour,
	}
}

// Validate refuses a policy that would make a fulfilment wait for ever or not
// at all, with a sentence that names the field.
func (p Policy) Validate() error {
	if p.Version < 1 {
		return fmt.Errorf("policy: version is %d, it has to be at least 1", p.Version)
	}
	for _, f := range []struct {
		name string
		Patience
		endless bool
	}{
		{name: "reserve", Patience: p.Reserve},
		{name: "authorize", Patience: p.Authorize},
		{name: "authorize check", Patience: p.AuthorizeCheck},
		{name: "confirm", Patience: p.Confirm},
		{name: "book", Patience: p.Book},
		{name: "capture", Patience: p.Capture},
		{name: "capture check", Patience: p.CaptureCheck},
		{name: "dispatch", Patience: p.Dispatch},
		{name: "complete", Patience: p.Complete, endless: true},
		{name: "compensate", Patience: p.Compensate},
	} {
		if f.First <= 0 || f.Max < f.First || (f.Attempts < 1 && !f.endless) {
			return fmt.Errorf("policy %d: %s is first %v, max %v, attempts %d; it needs 0 < first <= max and at least one attempt",
				p.Version, f.name, f.First, f.Max, f.Attempts)
		}
	}
	for _, f := range []struct {
		name string
		d    time.Duration
		zero bool
	}{
		{"sla", p.SLA, false},
		{"attention", p.Attention, false},
		{"reservation margin", p.ReservationMargin, true},
		{"method window", p.MethodWindow, true},
		{"authorization margin", p.AuthorizationMargin, true},
	} {
		if f.d < 0 || (f.d == 0 && !f.zero) {
			return fmt.Errorf("policy %d: %s is %v, it has to be positive", p.Version, f.name, f.d)
		}
	}
	return nil
}

// wait returns how long attempt n (1, 2, …) may take.
func (w Patience) wait(n int) time.Duration {
	d := w.First
	for ; n > 1 && d < w.Max; n-- {
		d *= 2
	}
	return min(d, w.Max)
}

// jittered returns wait(n), up to a tenth longer: the same for the same
// instance and attempt, different for different instances, so that a
// participant that comes back is not asked by everybody in the same moment.
func (w Patience) jittered(n int, seed string) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", seed, n)
	d := w.wait(n)
	return (d + time.Duration(uint64(d)/10*uint64(h.Sum32()>>16)>>16)).Round(time.Millisecond)
}
