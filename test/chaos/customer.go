//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

// stock lists products, receives goods, and lets the partners fail by rate.
func (s *shop) stock(ctx context.Context, nc *nats.Conn) error {
	for sku := range skus {
		subject := fmt.Sprintf("cmd.product.sku-%d.list", sku)
		code, err := commanded(ctx, nc, subject, subject, fmt.Sprintf(`{"name":"Thing %d","price":"%d.90","currency":"EUR"}`, sku, sku+1))
		if err != nil || code != "" {
			return fmt.Errorf("%s: %s %w", subject, code, err)
		}
	}
	if err := s.receive(ctx, nc, "PO-1", 150); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"faults": []partners.Fault{
		{Partner: "psp", Kind: partners.KindError, Rate: 0.02}, {Partner: "psp", Kind: partners.KindReset, Rate: 0.02},
		{Partner: "carrier", Kind: partners.KindError, Rate: 0.02}, {Partner: "webhook", Kind: partners.KindDuplicate, Rate: 0.05},
	}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.partners+"/admin/faults", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the partners refuse the faults: %s", answer.Status)
	}
	return nil
}

// receive lets goods of each product come in.
func (s *shop) receive(ctx context.Context, nc *nats.Conn, reference string, quantity int) error {
	for sku := range skus {
		subject := fmt.Sprintf("cmd.stock.sku-%d.receive", sku)
		code, err := commanded(ctx, nc, subject, subject+"/"+reference, fmt.Sprintf(`{"quantity":%d,"reference":%q}`, quantity, reference))
		if err != nil || code != "" {
			return fmt.Errorf("%s: %s %w", subject, code, err)
		}
	}
	return nil
}

// trade lets customers place orders until ctx ends; those who have begun go on to the end.
func (s *shop) trade(ctx context.Context, nc *nats.Conn, seed uint64) error {
	var customers errgroup.Group
	random := rand.New(rand.NewPCG(seed, 2))
	for rig.Pause(ctx, s.every/2+time.Duration(random.Int64N(int64(s.every)))) == nil {
		i := s.customers
		s.customers++
		mind := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		customers.Go(func() error { return s.customer(context.WithoutCancel(ctx), nc, fmt.Sprint("o-", i), mind) })
	}
	return customers.Wait()
}

func (s *shop) customer(ctx context.Context, nc *nats.Conn, id string, mind *rand.Rand) error {
	method := "card-ok"
	switch mind.IntN(20) {
	case 0:
		method = "card-declined"
	case 1:
		method = "card-capture-refused"
	}
	requests := [][2]string{{"create", `{"customer_id":"c-1","currency":"EUR"}`}}
	for _, sku := range mind.Perm(skus)[:1+mind.IntN(3)] {
		requests = append(requests, [2]string{"add-item", fmt.Sprintf(`{"sku":"sku-%d","quantity":%d}`, sku, 1+mind.IntN(3))})
	}
	requests = append(requests, [][2]string{
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", fmt.Sprintf(`{"method_ref":%q}`, method)},
		{"submit", `{}`},
	}...)
	for i, r := range requests {
		code, err := commanded(ctx, nc, "cmd.order."+id+"."+r[0], fmt.Sprint(id, "/", i), r[1])
		if err != nil {
			return err
		}
		if code != "" {
			s.r.object("%s of order %s was refused: %s", r[0], id, code)
			return nil
		}
	}
	s.mu.Lock()
	s.placed++
	s.mu.Unlock()
	switch mind.IntN(5) {
	case 0:
	case 1:
		return s.refund(ctx, nc, id)
	default:
		return nil
	}
	_ = rig.Pause(ctx, time.Duration(mind.Int64N(int64(2*time.Second)))) // the customer thinks
	code, err := commanded(ctx, nc, "cmd.order."+id+".cancel", id+"/cancel", `{"reason":"changed_mind"}`)
	if err == nil && code != "" && code != "too_late" && code != "already_ended" {
		s.r.object("cancel of order %s was refused: %s", id, code)
	}
	return err
}

// looksFor is how long a customer looks whether his order has come.
const looksFor = time.Minute

// refund asks for some of the money back when the order has come, unless the customer forgets.
func (s *shop) refund(ctx context.Context, nc *nats.Conn, id string) error {
	for deadline := time.Now().Add(looksFor); time.Now().Before(deadline); {
		var o queries.Order
		if err := ask(ctx, nc, queries.OrderGet.Subject, queries.OrderRequest{OrderID: id}, &o); err == nil && o.State == queries.Completed {
			code, err := commanded(ctx, nc, "cmd.order."+id+".request-refund", id+"/refund", `{"amount":"0.50","reason":"goodwill"}`)
			if err == nil && code != "" {
				s.r.object("a refund of order %s was refused: %s", id, code)
			}
			return err
		}
		if err := rig.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// answeredWithin bounds how long a command is sent again until it is answered for good.
const answeredWithin = 10 * time.Minute

// commanded sends a command until it is answered for good, and returns the answer's
// code, "" for none.
func commanded(ctx context.Context, nc *nats.Conn, subject, id, body string) (code string, err error) {
	msg := nats.NewMsg(subject)
	msg.Header.Set("Command-Id", id)
	msg.Data = []byte(body)
	for deadline := time.Now().Add(answeredWithin); time.Now().Before(deadline); {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		answer, e := nc.RequestMsgWithContext(attempt, msg)
		cancel()
		if err = e; err == nil {
			switch code = answer.Header.Get("Nats-Service-Error"); code {
			case "busy", "timeout", "unknown_outcome", "unavailable", "conflict", "stopping", "store_full", "refused_by_server": // the same id is handled once
			default:
				return code, nil
			}
		}
		if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s was not answered in %s: %w", subject, answeredWithin, err)
	}
	return code, nil
}
