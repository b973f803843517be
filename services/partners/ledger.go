package partners

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ledger is what the partners know: payments, shipments, the answer of every
// idempotency key, and the webhooks that nobody has accepted yet. It is safe
// for concurrent use; its effects happen one after the other.
type ledger struct {
	mu        sync.Mutex
	file      *os.File // nil: kept in memory only
	end       int64    // of the file's last whole line
	payments  map[string]Payment
	shipments map[string]Shipment
	answers   map[string]keptAnswer
	outbox    map[string]Webhook
	wake      chan struct{} // has a token when the outbox may have news
}

// keptAnswer is what an idempotency key was answered.
type keptAnswer struct {
	Fingerprint string         `json:"fingerprint"` // of the request that used the key
	Status      int            `json:"status"`
	Body        jsontext.Value `json:"body"`
}

// entry is one line of the ledger: everything that one effect changed, so that
// a torn write can only lose an effect that nobody was told of.
type entry struct {
	At        time.Time   `json:"at"`
	Op        string      `json:"op"`
	Key       string      `json:"key,omitempty"`
	Answer    *keptAnswer `json:"answer,omitempty"`
	Payment   *Payment    `json:"payment,omitempty"`
	Shipment  *Shipment   `json:"shipment,omitempty"`
	Webhooks  []Webhook   `json:"webhooks,omitempty"`
	Delivered string      `json:"delivered,omitempty"` // id of a webhook that was accepted
	Forgotten bool        `json:"forgotten,omitempty"` // all keys, up to here
}

// openLedger reads the ledger of dir, or begins one; "" keeps it in memory.
func openLedger(dir string) (*ledger, error) {
	l := &ledger{
		payments:  map[string]Payment{},
		shipments: map[string]Shipment{},
		answers:   map[string]keptAnswer{},
		outbox:    map[string]Webhook{},
		wake:      make(chan struct{}, 1),
	}
	if dir == "" {
		return l, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the ledger: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "ledger.jsonl"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("the ledger: %w", err)
	}
	if err := l.replay(file); err != nil {
		return nil, errors.Join(fmt.Errorf("the ledger %s: %w", file.Name(), err), file.Close())
	}
	l.file = file
	return l, nil
}

// replay applies every whole line and cuts off the torn one that a crash may
// have left at the end.
func (l *ledger) replay(file *os.File) error {
	reader := bufio.NewReader(file)
	var end int64
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		l.apply(e)
		end += int64(len(line))
	}
	if err := file.Truncate(end); err != nil {
		return err
	}
	l.end = end
	_, err := file.Seek(end, io.SeekStart)
	return err
}

func (l *ledger) apply(e entry) {
	if e.Payment != nil {
		l.payments[e.Payment.Reference] = *e.Payment
	}
	if e.Shipment != nil {
		l.shipments[e.Shipment.Reference] = *e.Shipment
	}
	if e.Forgotten {
		clear(l.answers)
	}
	if e.Answer != nil {
		l.answers[e.Key] = *e.Answer
	}
	for _, w := range e.Webhooks {
		l.outbox[w.ID] = w
	}
	delete(l.outbox, e.Delivered)
}

// write stores an entry before it counts; callers hold the lock. What could
// not be stored did not happen, and leaves nothing of a line behind.
func (l *ledger) write(e entry) error {
	if l.file != nil {
		n, err := l.append(e)
		if err != nil {
			_, seek := l.file.Seek(l.end, io.SeekStart)
			return fmt.Errorf("the ledger: %w", errors.Join(err, l.file.Truncate(l.end), seek))
		}
		l.end += int64(n)
	}
	l.apply(e)
	if len(e.Webhooks) > 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (l *ledger) append(e entry) (int, error) {
	line, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	n, err := l.file.Write(append(line, '\n'))
	if err != nil || e.Delivered != "" { // a delivery that is forgotten is only repeated
		return n, err
	}
	return n, l.file.Sync()
}

// once runs effect for an idempotency key, or returns what the key was
// answered before; fresh tells which. Only answers of the effect are kept, so
// a refused key reuse does not spoil the key.
func (l *ledger) once(op string, key idempotencyKey, effect func() (entry, keptAnswer)) (answer keptAnswer, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept, ok := l.answers[key.key]; ok {
		if kept.Fingerprint != key.fingerprint {
			return refusal(422, Refusal{Code: "idempotency_key_reused", Message: "this Idempotency-Key was used with another request"}, nil), false, nil
		}
		return kept, false, nil
	}
	e, answer := effect()
	answer.Fingerprint = key.fingerprint
	e.At, e.Op, e.Key, e.Answer = time.Now().UTC(), op, key.key, &answer
	return answer, true, l.write(e)
}

// forget forgets every answered key, for good: the ledger is told.
func (l *ledger) forget() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(entry{At: time.Now().UTC(), Op: "forget", Forgotten: true})
}

// idempotencyKey is a request's key, and what the key stands for.
type idempotencyKey struct {
	key, fingerprint string
}

// change runs an effect that has no key: an operator's.
func (l *ledger) change(op string, effect func() (entry, bool)) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := effect()
	if !ok {
		return false, nil
	}
	e.At, e.Op = time.Now().UTC(), op
	return true, l.write(e)
}

// delivered takes a webhook from the outbox.
func (l *ledger) delivered(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(entry{At: time.Now().UTC(), Op: "delivered", Delivered: id})
}

// pending returns the webhooks that nobody has accepted yet.
func (l *ledger) pending() []Webhook {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Webhook, 0, len(l.outbox))
	for _, w := range l.outbox {
		list = append(list, w)
	}
	return list
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// refusal is the answer of a definite no; state is what the partner knows of
// the payment or shipment, by its name in the body, and may be empty.
func refusal(status int, why Refusal, state map[string]any) keptAnswer {
	body := map[string]any{"error": why}
	for name, value := range state {
		body[name] = value
	}
	return answer(status, body)
}

// answer renders a body. What the partners answer always renders.
func answer(status int, body any) keptAnswer {
	var buffer bytes.Buffer
	if err := json.MarshalWrite(&buffer, body, json.Deterministic(true)); err != nil {
		return keptAnswer{Status: 500, Body: jsontext.Value(`{"error":{"code":"internal","message":"the answer does not render"}}`)}
	}
	return keptAnswer{Status: status, Body: buffer.Bytes()}
}
