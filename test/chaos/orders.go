//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/b144f99b/orderflow/test/truth"
	"github.com/nats-io/nats.go"
)

// settlesWithin bounds how long orders may take to end after the last fault.
const settlesWithin = 15 * time.Minute

// judge waits until every order has ended or asks for attention, and says what is not
// true of orders, or not shown of them.
func (s *shop) judge(ctx context.Context, store *esjs.Store, out io.Writer) error {
	codec, err := esjs.NewCodecFrom(events.Types)
	if err != nil {
		return err
	}
	var violations []truth.Violation
	for deadline := time.Now().Add(s.settles); ; {
		folded, err := truth.Read(ctx, store, codec)
		if err != nil {
			s.r.object("the orders' log cannot be read: %v", err)
			return nil
		}
		states := map[string]string{}
		for id := range folded.Submitted {
			states[id] = string(folded.Orders[id].Status)
		}
		lost := s.r.ended(states)
		if left := folded.Unsettled(); len(left) > 0 || len(lost) > 0 {
			violations = []truth.Violation{{Property: "P4", Text: fmt.Sprintf("of the orders that were placed %v are not stored; unsettled are %v", lost, left)}}
		} else {
			books, err := truth.ReadLedger(ctx, http.DefaultClient, s.partners)
			if err != nil {
				return err
			}
			// News of the partners may be under way: then the books differ for a moment.
			if violations = folded.Check(books, time.Now()); len(violations) == 0 {
				if err := timed(store.ReadAll(ctx, esjs.Query{})); err != nil {
					s.r.object("times of events: %v", err)
				}
				return s.shown(ctx, store, folded, out)
			}
		}
		if time.Now().After(deadline) {
			for _, v := range violations {
				s.r.object("%v", v)
			}
			return nil
		}
		if err := rig.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// timed says where an aggregate's event has an earlier time than the one before it.
func timed(records iter.Seq2[esjs.Record, error]) error {
	last := map[esjs.StreamID]time.Time{}
	for record, err := range records {
		if err != nil {
			return err
		}
		if before := last[record.Stream]; record.Time.Before(before) {
			return fmt.Errorf("version %d of %s is of %s, the one before it of %s", record.Version, record.Stream, record.Time, before)
		}
		last[record.Stream] = record.Time
	}
	return nil
}

// shown compares the view of orders with a fold of the log, and lets the program verify what is stored.
func (s *shop) shown(ctx context.Context, store *esjs.Store, folded *truth.Shop, out io.Writer) error {
	ends := map[string]int{}
	for id, o := range folded.Orders {
		ends[string(o.Status)]++
		for deadline := time.Now().Add(s.shows); ; {
			var shown struct {
				State queries.OrderState `json:"state"`
			}
			err := ask(ctx, store.Conn(), queries.OrderGet.Subject, queries.OrderRequest{OrderID: id}, &shown)
			if err == nil && string(shown.State) == string(o.Status) {
				break
			}
			if time.Now().After(deadline) {
				s.r.object("the view of orders shows %s as %s (%v); it is %s", id, shown.State, err, o.Status)
				break
			}
			if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "orders: %d placed, %v; %d payments, %d parcels; P1 to P4 and P6 hold\n", s.r.orders(), ends, len(folded.Payments), len(folded.Shipments))
	report, err := s.tool(ctx, "verify", "--each-replica", "--nats-url", s.url)
	if err != nil {
		s.r.object("orderflow verify --each-replica: %v\n%s", err, report)
		return nil
	}
	fmt.Fprintln(out, "orderflow verify --each-replica: all is as it was written, snapshots agree with a fold (P5)")
	return nil
}

func ask(ctx context.Context, nc *nats.Conn, subject string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	if code := reply.Header.Get("Nats-Service-Error"); code != "" {
		return errors.New(code)
	}
	return json.Unmarshal(reply.Data, answer)
}
