package payment

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
)

// compare returns what differed twice, with a pause in between, in the same way. A payment
// at which the PSP does not let us look again is told in the error, and is the only one left out.
func (r *reconciler) compare(ctx context.Context) (found []difference, payments int, err error) {
	suspects, payments, err := r.suspects(ctx)
	if err != nil || len(suspects) == 0 {
		return nil, payments, err
	}
	select {
	case <-time.After(r.settle):
	case <-ctx.Done():
		return nil, payments, ctx.Err()
	}
	var unseen error
	missed := 0
	for id, before := range suspects {
		answer, err := r.desk.psp.look(ctx, Call{PaymentID: id})
		if err != nil { // ctx ended
			return found, payments, err
		}
		if answer.Kind != Done && answer.Kind != Missing {
			missed++
			unseen = fmt.Errorf("%d of %d payments that differ could not be looked at again, as %s: %s", missed, len(suspects), id, answer.Error+answer.Code)
			continue
		}
		var account *Account
		if answer.Kind == Done {
			account = &answer.Account
		}
		now, err := r.differ(ctx, id, account)
		if err != nil {
			return found, payments, err
		}
		for _, m := range now {
			if slices.ContainsFunc(before, func(b difference) bool { return b.Mismatch == m.Mismatch }) {
				found = append(found, m)
			}
		}
	}
	slices.SortFunc(found, func(a, b difference) int {
		return cmp.Or(strings.Compare(a.PaymentID, b.PaymentID), strings.Compare(a.Code, b.Code))
	})
	return found, payments, unseen
}

// suspects are the payments that differ from the PSP's list, by id.
func (r *reconciler) suspects(ctx context.Context) (suspects map[string][]difference, payments int, err error) {
	suspects = map[string][]difference{}
	there := map[string]bool{}
	suspect := func(id string, account *Account) error {
		differ, err := r.differ(ctx, id, account)
		if len(differ) > 0 {
			suspects[id] = differ
		}
		return err
	}
	for account, err := range r.desk.psp.all(ctx) {
		if err != nil {
			return nil, len(there), err
		}
		there[account.Reference] = true
		read := account.read()
		if err := suspect(account.Reference, &read); err != nil {
			return nil, len(there), err
		}
	}
	for id, err := range r.env.Store.Streams(ctx, events.CategoryPayment) {
		if err != nil {
			return nil, len(there), err
		}
		if there[id.Key] {
			continue
		}
		if err := suspect(id.Key, nil); err != nil {
			return nil, len(there), err
		}
	}
	return suspects, len(there), nil
}

// differ compares one payment. That it cannot be read is its own mismatch; an error is
// that none can be read now.
func (r *reconciler) differ(ctx context.Context, id string, account *Account) ([]difference, error) {
	known, err := r.desk.books.Load(ctx, id)
	switch p, _ := service.ProblemOf(err); {
	case err == nil:
	case ctx.Err() != nil, p.Status == http.StatusServiceUnavailable, p.Status == http.StatusGatewayTimeout:
		return nil, fmt.Errorf("payment %s: %w", id, err)
	default:
		return []difference{{Mismatch: queries.Mismatch{PaymentID: id, Code: unreadableHere, Here: err.Error(), There: account.inWords()}}}, nil
	}
	return differences(id, known, account, time.Now()), nil
}
