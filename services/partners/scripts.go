package partners

import "time"

// Script is what a reference makes happen to one operation.
type Script struct {
	Op   string // the operation; empty: every one
	Kind string // a fault's kind; it hits an operation's first request only
	// Refusal is a definite no, each time.
	Refusal Refusal
	Life    time.Duration // of an authorisation; 0: 7 days
}

// declining is the script, with a refusal of one operation unless that is none.
func (s Script) declining(op string, declined Refusal) Script {
	if declined != (Refusal{}) {
		s.Op, s.Refusal = op, declined
	}
	return s
}

// Refusal is why a partner says no.
type Refusal struct {
	Code    string `json:"code"`
	Class   string `json:"class,omitempty"` // of a declined card: "hard", "soft" (another card may work) or "fraud"
	Message string `json:"message"`
}

// Scripts returns what the known references do: a payment's method_ref, a
// shipment's address_ref or country. Every other reference works.
func Scripts() map[string]Script {
	return map[string]Script{
		"card-ok":              {},
		"card-declined":        {Op: "authorise", Refusal: Refusal{"do_not_honour", "hard", "the bank declined the card"}},
		"card-soft":            {Op: "authorise", Refusal: Refusal{"insufficient_funds", "soft", "the card's limit is too low"}},
		"card-fraud":           {Op: "authorise", Refusal: Refusal{"suspected_fraud", "fraud", "the payment looks fraudulent"}},
		"card-slow":            {Kind: KindDelay},
		"card-timeout":         {Op: "authorise", Kind: KindTimeout},
		"card-lost":            {Op: "authorise", Kind: KindLost},
		"card-5xx":             {Op: "authorise", Kind: KindError},
		"card-reset":           {Op: "authorise", Kind: KindReset},
		"card-capture-refused": {Op: "capture", Refusal: Refusal{"capture_refused", "", "the bank refused the capture"}},
		"card-expired":         {Op: "capture", Refusal: Refusal{"expired", "", "the authorisation has expired"}},
		"card-brief":           {Life: time.Second},
		"card-capture-timeout": {Op: "capture", Kind: KindTimeout},
		"card-capture-lost":    {Op: "capture", Kind: KindLost},
		"card-capture-5xx":     {Op: "capture", Kind: KindError},
		"card-void-refused":    {Op: "void", Refusal: Refusal{"void_refused", "", "the bank refused the void"}},
		"card-void-timeout":    {Op: "void", Kind: KindTimeout},
		"card-refund-refused":  {Op: "refund", Refusal: Refusal{"refund_refused", "", "the bank refused the refund"}},
		"card-refund-timeout":  {Op: "refund", Kind: KindTimeout},

		"XX":                  {Op: "book", Refusal: Refusal{"no_carrier", "", "nobody delivers to country XX"}},
		"addr-unknown":        {Op: "book", Refusal: Refusal{"address_unknown", "", "the address does not exist"}},
		"addr-slow":           {Kind: KindDelay},
		"addr-timeout":        {Op: "book", Kind: KindTimeout},
		"addr-5xx":            {Op: "book", Kind: KindError},
		"addr-cancel-refused": {Op: "cancel", Refusal: Refusal{"goods_left", "", "the goods have left"}},
		"addr-manual":         {}, // dispatched only by POST /admin/shipments/{reference}/dispatched
		"addr-lost":           {}, // dispatched, and then the parcel is lost
	}
}
