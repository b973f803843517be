//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/partners"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

// Of the first products there is soon nothing left, so that customers race for the last ones; of the others there is
// always enough, so that orders can be completed until the end.
const (
	scarce = 2
	few    = 50
	plenty = 5000
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
	if err := s.receive(ctx, nc, "PO-1", func(sku int) int {
		if sku < scarce {
			return few
		}
		return plenty
	}); err != nil {
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
func (s *shop) receive(ctx context.Context, nc *nats.Conn, reference string, quantity func(sku int) int) error {
	for sku := range skus {
		subject := fmt.Sprintf("cmd.stock.sku-%d.receive", sku)
		code, err := commanded(ctx, nc, subject, subject+"/"+reference, fmt.Sprintf(`{"quantity":%d,"reference":%q}`, quantity(sku), reference))
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
		customers.Go(func() error {
			id := fmt.Sprint("o-", i)
			say := func(ctx context.Context, verb, commandID, body string) (string, error) {
				return commanded(ctx, nc, "cmd.order."+id+"."+verb, commandID, body)
			}
			if i%3 == 0 {
				say = func(ctx context.Context, verb, commandID, body string) (string, error) {
					return posted(ctx, s.web["gateway"]+"/v1/orders/"+id+"/"+verb, commandID, body)
				}
			}
			return s.customer(context.WithoutCancel(ctx), nc, id, say, mind)
		})
	}
	return customers.Wait()
}

// customer places an order, and may cancel it or want some of the money back. One of three customers says everything to the
// gateway, the others to the services.
func (s *shop) customer(ctx context.Context, nc *nats.Conn, id string, say func(ctx context.Context, verb, commandID, body string) (string, error), mind *rand.Rand) error {
	method, plain := "card-ok", true
	switch mind.IntN(20) {
	case 0:
		method, plain = "card-declined", false
	case 1:
		method, plain = "card-capture-refused", false
	}
	requests := [][2]string{{"create", `{"customer_id":"c-1","currency":"EUR"}`}}
	for _, sku := range mind.Perm(skus)[:1+mind.IntN(3)] {
		plain = plain && sku >= scarce
		requests = append(requests, [2]string{"add-item", fmt.Sprintf(`{"sku":"sku-%d","quantity":%d}`, sku, 1+mind.IntN(3))})
	}
	requests = append(requests, [][2]string{
		{"set-shipping", `{"address_ref":"addr-1","country":"DE"}`},
		{"set-payment-method", fmt.Sprintf(`{"method_ref":%q}`, method)},
		{"submit", `{}`},
	}...)
	for i, r := range requests {
		code, err := say(ctx, r[0], fmt.Sprint(id, "/", i), r[1])
		if err != nil {
			return err
		}
		if code != "" {
			s.r.object("%s of order %s was refused: %s", r[0], id, code)
			return nil
		}
	}
	then := mind.IntN(5)
	s.r.placed(id, plain && then != 0)
	switch then {
	case 0:
	case 1:
		return s.refund(ctx, nc, id, say)
	default:
		return nil
	}
	_ = rig.Pause(ctx, time.Duration(mind.Int64N(int64(2*time.Second)))) // the customer thinks
	code, err := say(ctx, "cancel", id+"/cancel", `{"reason":"changed_mind"}`)
	if err == nil && code != "" && code != "too_late" && code != "already_ended" {
		s.r.object("cancel of order %s was refused: %s", id, code)
	}
	return err
}

// looksFor is how long a customer looks whether his order has come.
const looksFor = time.Minute

// refund asks for some of the money back when the order has come, unless the customer forgets.
func (s *shop) refund(ctx context.Context, nc *nats.Conn, id string, say func(ctx context.Context, verb, commandID, body string) (string, error)) error {
	for deadline := time.Now().Add(looksFor); time.Now().Before(deadline); {
		var o queries.Order
		if err := ask(ctx, nc, queries.OrderGet.Subject, queries.OrderRequest{OrderID: id}, &o); err == nil && o.State == queries.Completed {
			code, err := say(ctx, "request-refund", id+"/refund", `{"amount":"0.50","reason":"goodwill"}`)
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

// commanded sends a command to its service until it is answered for good, and returns
// the answer's code, "" for none.
func commanded(ctx context.Context, nc *nats.Conn, subject, id, body string) (code string, err error) {
	msg := nats.NewMsg(subject)
	msg.Header.Set("Command-Id", id)
	msg.Data = []byte(body)
	return answered(ctx, subject, func(ctx context.Context) (string, error) {
		answer, err := nc.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return "", err
		}
		return answer.Header.Get("Nats-Service-Error"), nil
	})
}

// posted is commanded at the gateway.
func posted(ctx context.Context, url, id, body string) (code string, err error) {
	return answered(ctx, url, func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", id)
		if strings.Contains(url, "/set-") {
			request.Header.Set("If-Match", "*") // it replaces whatever is there
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		if answer.StatusCode < http.StatusMultipleChoices {
			return "", nil
		}
		var problem struct {
			Code string `json:"code"`
		}
		err = json.NewDecoder(answer.Body).Decode(&problem)
		return cmp.Or(problem.Code, answer.Status), err
	})
}

// answered asks again until the answer is for good.
func answered(ctx context.Context, what string, ask func(context.Context) (code string, err error)) (code string, err error) {
	for deadline := time.Now().Add(answeredWithin); time.Now().Before(deadline); {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		code, err = ask(attempt)
		cancel()
		if err == nil {
			switch code {
			case "busy", "timeout", "unknown_outcome", "unavailable", "conflict", "stopping", "not_running", "store_full", "refused_by_server": // the same id is handled once
			default:
				return code, nil
			}
		}
		if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s was not answered in %s: %w", what, answeredWithin, err)
	}
	return code, nil
}
