package partners

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

func (s *Server) operatePayment(w http.ResponseWriter, r *http.Request) {
	var body paymentRequest
	ops := []string{"authorise", "capture", "void", "refund"}
	call, ok := s.read(w, r, "psp", ops, &body, func(op string) error { return body.check(op) })
	if !ok {
		return
	}
	method := body.MethodRef
	if p, known := s.Payment(call.reference); known {
		method = p.MethodRef
	}
	s.serve(w, r, call, s.scripts[method], func(declined Refusal) (keptAnswer, bool, error) {
		return s.ledger.pay(call.op, call.reference, call.key, body, declined, s.scripts)
	})
}

func (s *Server) operateShipment(w http.ResponseWriter, r *http.Request) {
	var body shipmentRequest
	ops := []string{"book", "dispatch", "cancel"}
	call, ok := s.read(w, r, "carrier", ops, &body, func(op string) error { return body.check(op) })
	if !ok {
		return
	}
	known, _ := s.Shipment(call.reference)
	s.serve(w, r, call, shipmentScript(s.scripts, known, body), func(declined Refusal) (keptAnswer, bool, error) {
		return s.ledger.ship(call.op, call.reference, call.key, body, declined, s.cfg, s.scripts)
	})
}

// call is one request to a partner.
type call struct {
	target
	key idempotencyKey
}

// read checks the request's operation, body and key; it answers what is wrong.
func (s *Server) read(w http.ResponseWriter, r *http.Request, partner string, ops []string, body any, check func(op string) error) (call, bool) {
	c := call{target: target{partner: partner, op: r.PathValue("op"), reference: r.PathValue("reference")}}
	key := r.Header.Get("Idempotency-Key")
	err := decode(w, r, body)
	switch {
	case !slices.Contains(ops, c.op):
		err = fmt.Errorf("operation %q is not one of %v", c.op, ops)
	case key == "" || len(key) > 255:
		err = fmt.Errorf("the header Idempotency-Key is needed, 1 to 255 bytes")
	case err == nil:
		err = check(c.op)
	}
	if err != nil {
		badRequest(w, err)
		return call{}, false
	}
	c.key = idempotencyKey{key: partner + ":" + key, fingerprint: fingerprint(c.target, body)}
	return c, true
}

func fingerprint(t target, body any) string {
	text, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		text = []byte(err.Error()) // bodies that were decoded render
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s", t.partner, t.op, t.reference, text))
	return hex.EncodeToString(sum[:])
}

// serve performs one operation with the fault that hits it: one that was set
// by the administrator, or else the reference's script, once per key. The effect is
// told of a decline.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, c call, script Script, effect func(declined Refusal) (keptAnswer, bool, error)) {
	fault := s.faults.take(c.target)
	if fault.Kind == "" && script.Kind != "" && (script.Op == "" || script.Op == c.op) && s.first(c.key.key) {
		fault = Fault{Kind: script.Kind, DelayMS: int(s.cfg.Slow.Milliseconds())}
	}
	switch fault.Kind {
	case KindDelay:
		if !pause(r.Context(), fault.delay()) {
			return
		}
	case KindLost:
		s.hang(r)
		return
	case KindUnavailable:
		send(w, refusal(http.StatusServiceUnavailable, Refusal{Code: "unavailable", Message: "try again later"}, nil))
		return
	case KindBusy:
		send(w, refusal(http.StatusConflict, Refusal{Code: "in_progress", Message: "a request with this key is in progress"}, nil))
		return
	case KindThrottled:
		send(w, refusal(http.StatusTooManyRequests, Refusal{Code: "throttled", Message: "too many requests"}, nil))
		return
	}
	answered, _, err := effect(fault.refusal(c.op))
	if err != nil {
		s.log.Error("the effect could not be stored", "op", c.op, "reference", c.reference, "error", err)
		fault.Kind = KindError
	}
	switch fault.Kind {
	case KindTimeout:
		s.hang(r)
		return
	case KindReset:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	case KindError:
		send(w, refusal(http.StatusInternalServerError, Refusal{Code: "internal", Message: "something went wrong"}, nil))
		return
	}
	send(w, answered)
}

func (f Fault) delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }

// first tells, once, that a key is none of the maxSeen that came last.
func (s *Server) first(key string) bool {
	seen, _ := s.seen.ContainsOrAdd(key, struct{}{})
	return !seen
}

// hang holds a request without an answer until the client gives up.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stopped:
	case <-time.After(s.cfg.Hang):
	}
	panic(http.ErrAbortHandler)
}

func (s *Server) showPayment(w http.ResponseWriter, r *http.Request) {
	p, ok := s.Payment(r.PathValue("reference"))
	s.show(w, r, target{"psp", "status", r.PathValue("reference")}, ok, map[string]any{"payment": p})
}

func (s *Server) showShipment(w http.ResponseWriter, r *http.Request) {
	shipment, ok := s.Shipment(r.PathValue("reference"))
	s.show(w, r, target{"carrier", "status", r.PathValue("reference")}, ok, map[string]any{"shipment": shipment})
}

// show answers a question; faults of the operation "status" hit it too.
func (s *Server) show(w http.ResponseWriter, r *http.Request, t target, found bool, body any) {
	s.serve(w, r, call{target: t}, Script{}, func(Refusal) (keptAnswer, bool, error) {
		if !found {
			return refusal(http.StatusNotFound, Refusal{Code: "not_found", Message: "the reference is not known"}, nil), true, nil
		}
		return answer(http.StatusOK, body), true, nil
	})
}

func (s *Server) listPayments(w http.ResponseWriter, r *http.Request) {
	s.ledger.mu.Lock()
	all := slices.Collect(maps.Values(s.ledger.payments))
	s.ledger.mu.Unlock()
	s.serve(w, r, call{target: target{"psp", "list", ""}}, Script{}, func(Refusal) (keptAnswer, bool, error) {
		return list(r, "payments", all, func(p Payment) string { return p.Reference }), true, nil
	})
}

func (s *Server) listShipments(w http.ResponseWriter, r *http.Request) {
	s.ledger.mu.Lock()
	all := slices.Collect(maps.Values(s.ledger.shipments))
	s.ledger.mu.Unlock()
	s.serve(w, r, call{target: target{"carrier", "list", ""}}, Script{}, func(Refusal) (keptAnswer, bool, error) {
		return list(r, "shipments", all, func(sh Shipment) string { return sh.Reference }), true, nil
	})
}

// list answers one page in the order of references: those after "after", at
// most "limit" (1 to 1000, default 100); "next" is the next page's "after".
func list[T any](r *http.Request, name string, all []T, reference func(T) string) keptAnswer {
	limit := 100
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return wrongRequest(fmt.Errorf("limit %q is not a number from 1 to 1000", text))
		}
		limit = n
	}
	after := r.URL.Query().Get("after")
	all = slices.DeleteFunc(all, func(t T) bool { return reference(t) <= after })
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(reference(a), reference(b)) })
	body := map[string]any{name: all[:min(limit, len(all))]}
	if len(all) > limit {
		body["next"] = reference(all[limit-1])
	}
	return answer(http.StatusOK, body)
}

func (s *Server) showFaults(w http.ResponseWriter, _ *http.Request) {
	seed, faults := s.faults.all()
	send(w, answer(http.StatusOK, map[string]any{"seed": seed, "faults": faults}))
}

func (s *Server) addFaults(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Seed   *uint64 `json:"seed"` // of all rates from now on; left out: as it was
		Faults []Fault `json:"faults"`
	}
	if err := decode(w, r, &body); err != nil {
		badRequest(w, err)
		return
	}
	if err := s.Inject(body.Faults...); err != nil {
		badRequest(w, err)
		return
	}
	if body.Seed != nil {
		s.Reseed(*body.Seed)
	}
	s.showFaults(w, r)
}

// Reseed changes what faults by rate hit from now on.
func (s *Server) Reseed(seed uint64) { s.faults.reseed(seed) }

// ClearFaults is DELETE /admin/faults: it removes every fault, and counts requests anew.
func (s *Server) ClearFaults() { s.faults.clear() }

// Inject is POST /admin/faults for a program that holds the server: either all
// faults are set or, when one is wrong, none.
func (s *Server) Inject(faults ...Fault) error {
	for i, f := range faults {
		if err := f.Check(); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
	}
	s.faults.add(faults)
	return nil
}

func (s *Server) clearFaults(w http.ResponseWriter, r *http.Request) {
	s.ClearFaults()
	s.showFaults(w, r)
}

// ForgetKeys is DELETE /admin/keys: the partners forget the answers of all idempotency
// keys, as real ones do after a day.
func (s *Server) ForgetKeys() error { return s.ledger.forget() }

func (s *Server) forgetKeys(w http.ResponseWriter, _ *http.Request) {
	if err := s.ForgetKeys(); err != nil {
		s.log.Error("that the keys are forgotten could not be stored", "error", err)
		send(w, refusal(http.StatusInternalServerError, Refusal{Code: "internal", Message: "something went wrong"}, nil))
		return
	}
	send(w, answer(http.StatusOK, map[string]string{"status": "forgotten"}))
}

// tellShipment lets the carrier tell that something happened to a shipment.
func (s *Server) tellShipment(w http.ResponseWriter, r *http.Request) {
	reference, news := r.PathValue("reference"), r.PathValue("news")
	s.tell(w, "carrier."+news, func() (entry, bool) {
		shipment, ok := s.ledger.shipments[reference].happen(news)
		if !ok {
			return entry{}, false
		}
		w := newWebhook("shipment."+news, time.Now(), Webhook{Shipment: &shipment})
		return entry{Shipment: &shipment, Webhooks: []Webhook{w}}, true
	})
}

// tellDispute lets the PSP tell that a captured payment is disputed.
func (s *Server) tellDispute(w http.ResponseWriter, r *http.Request) {
	s.tell(w, "psp.disputed", func() (entry, bool) {
		payment := s.ledger.payments[r.PathValue("reference")]
		w := newWebhook("payment.disputed", time.Now(), Webhook{Payment: &payment})
		return entry{Webhooks: []Webhook{w}}, payment.Captures > 0
	})
}

// tellPayment lets the PSP change its mind about a payment that it had declined, or give
// money of a captured one back that nobody asked for.
func (s *Server) tellPayment(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Amount Money `json:"amount"`
	}
	if err := decode(w, r, &body); err != nil {
		badRequest(w, err)
		return
	}
	if err := body.Amount.check(); err != nil {
		badRequest(w, err)
		return
	}
	reference, news := r.PathValue("reference"), r.PathValue("news")
	s.tell(w, "psp."+news, func() (entry, bool) {
		payment, ok := s.ledger.payments[reference].happen(news, body.Amount, time.Now().UTC())
		if !ok {
			return entry{}, false
		}
		w := newWebhook("payment."+news, time.Now(), Webhook{Payment: &payment})
		return entry{Payment: &payment, Webhooks: []Webhook{w}}, true
	})
}

func (s *Server) tell(w http.ResponseWriter, op string, effect func() (entry, bool)) {
	told, err := s.ledger.change(op, effect)
	switch {
	case err != nil:
		s.log.Error("the news could not be stored", "op", op, "error", err)
		send(w, refusal(http.StatusInternalServerError, Refusal{Code: "internal", Message: "something went wrong"}, nil))
	case !told:
		send(w, refusal(http.StatusUnprocessableEntity, Refusal{Code: "not_possible", Message: op + " cannot happen to this reference now"}, nil))
	default:
		send(w, answer(http.StatusAccepted, map[string]string{"status": "told"}))
	}
}
