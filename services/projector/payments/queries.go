package payments

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// get answers with one payment; "payment_not_found" when there is none.
func get(ctx context.Context, rows view.Reader, request queries.PaymentRequest) (queries.Payment, error) {
	if request.PaymentID == "" {
		return queries.Payment{}, view.Required("payment_id", "names the payment")
	}
	p, err := view.Document[queries.Payment](rows.QueryRow(ctx, selectOne, request.PaymentID))
	if errors.Is(err, sql.ErrNoRows) {
		return p, view.NotFound("payment_not_found", "there is no payment %q", request.PaymentID)
	}
	return p, err
}

// list answers with the selected payments, newest first, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.PaymentFilter) (queries.PaymentPage, error) {
	page := queries.PaymentPage{Payments: []queries.Payment{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	var where view.Where
	if f.OrderID != "" {
		where.And("order_id = ?", f.OrderID)
	}
	if f.State != "" {
		if !slices.Contains(queries.PaymentStates(), f.State) {
			return page, view.BadRequest(`"state" is %.60q; it must be one of %s`, f.State, view.Words(queries.PaymentStates()))
		}
		where.And("state = ?", string(f.State))
	}
	if f.Unknown {
		where.And("unsure = 1")
	}
	if f.Disputed {
		where.And("disputed = 1")
	}
	if f.Cursor != "" {
		at, err := view.ParsePlace(f.Cursor)
		if err != nil {
			return page, err
		}
		where.And("(created_at, payment_id) < (?, ?)", at.Time, at.ID)
	}
	text := `SELECT document FROM {view}` + where.SQL() + ` ORDER BY created_at DESC, payment_id DESC`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		p, err := view.Document[queries.Payment](view.Scanner(scan))
		if err != nil {
			return "", err
		}
		page.Payments = append(page.Payments, p)
		return view.Place{Time: view.Sortable(p.CreatedAt), ID: p.PaymentID}.Cursor(), nil
	})
	return page, err
}

// summarize answers with all payments in figures.
func summarize(ctx context.Context, rows view.Reader, _ queries.PaymentSummaryRequest) (queries.PaymentSums, error) {
	sums := queries.PaymentSums{Currencies: []queries.PaymentSum{}, States: []queries.PaymentStateCount{}}
	err := rows.Each(ctx, `SELECT currency, authorized, captured, refunded, outstanding FROM {view}_sums ORDER BY currency`, nil,
		func(scan func(...any) error) error {
			var (
				sum   queries.PaymentSum
				minor [4]int64
			)
			if err := scan(&sum.Currency, &minor[0], &minor[1], &minor[2], &minor[3]); err != nil {
				return err
			}
			for i, m := range []*events.Money{&sum.Authorized, &sum.Captured, &sum.Refunded, &sum.Outstanding} {
				amount, err := events.NewMoney(minor[i], sum.Currency)
				if err != nil {
					return err
				}
				*m = amount
			}
			sums.Currencies = append(sums.Currencies, sum)
			return nil
		})
	if err != nil {
		return sums, err
	}
	err = rows.Each(ctx, `SELECT state, COUNT(*) FROM {view} WHERE state <> '' GROUP BY state ORDER BY state`, nil, func(scan func(...any) error) error {
		var c queries.PaymentStateCount
		err := scan(&c.State, &c.Count)
		sums.States = append(sums.States, c)
		return err
	})
	if err != nil {
		return sums, err
	}
	err = rows.QueryRow(ctx, `SELECT COALESCE(CAST(SUM(unsure) AS BIGINT), 0), COALESCE(CAST(SUM(disputed) AS BIGINT), 0) FROM {view}`).
		Scan(&sums.Unknown, &sums.Disputed)
	return sums, err
}
