package saga

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxPolicyFile = 1 << 20 // bytes
	maxPolicies   = 100
)

// ReadPolicies reads a file of policies: the built-in one, which is version 1, and
// then those of the file, whose versions ascend. What a policy of the file does not
// say is as in version 1. The error is a sentence that says what is wrong where.
func ReadPolicies(file string) ([]fulfilment.Policy, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPolicyFile {
		return nil, fmt.Errorf("the file %s has %d bytes; at most %d are allowed", file, info.Size(), maxPolicyFile)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policies, err := parsePolicies(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return policies, nil
}

func parsePolicies(data []byte) ([]fulfilment.Policy, error) {
	var file struct {
		Policies []jsontext.Value `json:"policies" required:"of policies, each with a version"`
	}
	if err := service.DecodeFile(data, &file); err != nil {
		return nil, said(err)
	}
	if n := len(file.Policies); n == 0 || n > maxPolicies {
		return nil, fmt.Errorf("\"policies\" has %d entries; it must have from 1 to %d", n, maxPolicies)
	}
	policies := []fulfilment.Policy{fulfilment.DefaultPolicy()}
	for i, value := range file.Policies {
		written := textOf(fulfilment.DefaultPolicy())
		if err := service.DecodeFile(value, &written); err != nil {
			return nil, fmt.Errorf("policy %d of the file: %w", i+1, said(err))
		}
		p := written.policy()
		if last := policies[i].Version; p.Version <= last {
			return nil, fmt.Errorf("policy %d of the file: its version is %d; it must be above %d, that of the one before it (1 is built in)", i+1, p.Version, last)
		}
		if err := p.Validate(); err != nil {
			return nil, err
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// said is the sentence of a refusal alone: a file has no use for its code.
func said(err error) error {
	var r *esjs.Rejection
	if errors.As(err, &r) {
		return errors.New(r.Message)
	}
	return err
}

// policyText is a policy as people write it.
type policyText struct {
	Version        int          `json:"version" required:"from 2 on"`
	Reserve        patienceText `json:"reserve"`
	Authorize      patienceText `json:"authorize"`
	AuthorizeCheck patienceText `json:"authorize_check"`
	Confirm        patienceText `json:"confirm"`
	Book           patienceText `json:"book"`
	Capture        patienceText `json:"capture"`
	CaptureCheck   patienceText `json:"capture_check"`
	Dispatch       patienceText `json:"dispatch"`
	Complete       paceText     `json:"complete"`
	Compensate     patienceText `json:"compensate"`

	SLA                 duration `json:"sla"`
	ReservationMargin   duration `json:"reservation_margin"`
	MethodWindow        duration `json:"method_window"`
	MethodAttempts      int      `json:"method_attempts"`
	AuthorizationMargin duration `json:"authorization_margin"`
	DispatchWarning     duration `json:"dispatch_warning"`
	Attention           duration `json:"attention"`
}

type patienceText struct {
	First    duration `json:"first"`
	Max      duration `json:"max"`
	Attempts int      `json:"attempts"`
}

// paceText is the patience of a step that is repeated for ever.
type paceText struct {
	First duration `json:"first"`
	Max   duration `json:"max"`
}

func textOf(p fulfilment.Policy) policyText {
	of := func(p fulfilment.Patience) patienceText {
		return patienceText{duration(p.First), duration(p.Max), p.Attempts}
	}
	return policyText{
		Reserve: of(p.Reserve), Authorize: of(p.Authorize), AuthorizeCheck: of(p.AuthorizeCheck), Confirm: of(p.Confirm),
		Book: of(p.Book), Capture: of(p.Capture), CaptureCheck: of(p.CaptureCheck), Dispatch: of(p.Dispatch),
		Complete: paceText{duration(p.Complete.First), duration(p.Complete.Max)}, Compensate: of(p.Compensate),
		SLA: duration(p.SLA), ReservationMargin: duration(p.ReservationMargin), MethodWindow: duration(p.MethodWindow), MethodAttempts: p.MethodAttempts,
		AuthorizationMargin: duration(p.AuthorizationMargin), DispatchWarning: duration(p.DispatchWarning), Attention: duration(p.Attention),
	}
}

func (t policyText) policy() fulfilment.Policy {
	of := func(p patienceText) fulfilment.Patience {
		return fulfilment.Patience{First: time.Duration(p.First), Max: time.Duration(p.Max), Attempts: p.Attempts}
	}
	return fulfilment.Policy{
		Version: t.Version,
		Reserve: of(t.Reserve), Authorize: of(t.Authorize), AuthorizeCheck: of(t.AuthorizeCheck), Confirm: of(t.Confirm),
		Book: of(t.Book), Capture: of(t.Capture), CaptureCheck: of(t.CaptureCheck), Dispatch: of(t.Dispatch),
		Complete: fulfilment.Patience{First: time.Duration(t.Complete.First), Max: time.Duration(t.Complete.Max)}, Compensate: of(t.Compensate),
		SLA: time.Duration(t.SLA), ReservationMargin: time.Duration(t.ReservationMargin), MethodWindow: time.Duration(t.MethodWindow), MethodAttempts: t.MethodAttempts,
		AuthorizationMargin: time.Duration(t.AuthorizationMargin), DispatchWarning: time.Duration(t.DispatchWarning), Attention: time.Duration(t.Attention),
	}
}

// duration is written as "10s", "5m" or "24h".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is not a duration, such as 500ms, 10s, 5m or 24h", text)
	}
	*d = duration(parsed)
	return nil
}
