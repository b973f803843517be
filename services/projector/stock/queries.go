package stock

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// get answers with one product's stock; "stock_not_found" when nobody ever heard of it.
func get(ctx context.Context, rows view.Reader, request queries.StockRequest) (queries.Stock, error) {
	if request.SKU == "" {
		return queries.Stock{}, view.Required("sku", "names the product")
	}
	low, err := lowAt(request.LowAt)
	if err != nil {
		return queries.Stock{}, err
	}
	s, err := view.Document[queries.Stock](rows.QueryRow(ctx, selectOne, request.SKU))
	if errors.Is(err, sql.ErrNoRows) {
		return s, notFound(request.SKU)
	}
	s.Low = s.Available <= low
	return s, err
}

func notFound(sku string) error {
	return view.NotFound("stock_not_found", "there is no product %q; it is known when it is listed, or goods of it are received", sku)
}

// lowAt is how many available goods are few.
func lowAt(requested *int) (int, error) {
	switch {
	case requested == nil:
		return queries.DefaultLowStock, nil
	case *requested < 0:
		return 0, view.BadRequest(`"low_at" is %d; it must be 0 or more`, *requested)
	}
	return *requested, nil
}

// list answers with the selected products, by sku, a page at a time.
func list(ctx context.Context, rows view.Reader, f queries.StockFilter) (queries.StockPage, error) {
	page := queries.StockPage{Stock: []queries.Stock{}}
	low, err := lowAt(f.LowAt)
	if err != nil {
		return page, err
	}
	var where view.Where
	if f.Low {
		where.And("available <= ?", low)
	}
	page.NextCursor, err = pageOf(ctx, rows, where, f.Text, f.Paging, func(s queries.Stock) {
		s.Low = s.Available <= low
		page.Stock = append(page.Stock, s)
	})
	return page, err
}

// movements answers with what moved a product's stock, newest first, a page at a
// time; "stock_not_found" when there is no such product.
func movements(ctx context.Context, rows view.Reader, f queries.MovementFilter) (queries.MovementPage, error) {
	page := queries.MovementPage{SKU: f.SKU, Movements: []queries.Movement{}}
	limit, err := view.Limit(f.Limit)
	if err != nil {
		return page, err
	}
	if _, err := get(ctx, rows, queries.StockRequest{SKU: f.SKU}); err != nil {
		return page, err
	}
	var where view.Where
	where.And("sku = ?", f.SKU)
	if f.OrderID != "" {
		where.And("order_id = ?", f.OrderID)
	}
	if f.Cursor != "" {
		place, err := view.ParseSequence(f.Cursor)
		if err != nil {
			return page, err
		}
		where.And("version < ?", place.Version)
	}
	text := `SELECT document FROM {view}_movements` + where.SQL() + ` ORDER BY version DESC`
	page.NextCursor, err = rows.Page(ctx, text, where, limit, func(scan func(...any) error) (string, error) {
		m, err := view.Document[queries.Movement](view.Scanner(scan))
		if err != nil {
			return "", err
		}
		page.Movements = append(page.Movements, m)
		return "0." + strconv.FormatUint(m.Version, 10), nil
	})
	return page, err
}

// products answers with what can be ordered, by sku, a page at a time.
func products(ctx context.Context, rows view.Reader, f queries.ProductFilter) (queries.ProductPage, error) {
	page := queries.ProductPage{Products: []queries.Product{}}
	var where view.Where
	where.And("listed = ?", view.Flag(true))
	var err error
	page.NextCursor, err = pageOf(ctx, rows, where, f.Text, f.Paging, func(s queries.Stock) {
		page.Products = append(page.Products, queries.Product{SKU: s.SKU, Name: s.Name, Price: s.Price, InStock: s.Available > 0})
	})
	return page, err
}

// pageOf adds a page of the products that are selected, by sku, and returns the cursor of the next one.
func pageOf(ctx context.Context, rows view.Reader, where view.Where, text string, p queries.Paging, add func(queries.Stock)) (next string, err error) {
	limit, err := view.Limit(p.Limit)
	if err != nil {
		return "", err
	}
	if err := where.AndText("words", text); err != nil {
		return "", err
	}
	if err := where.Behind("sku", p.Cursor); err != nil {
		return "", err
	}
	return rows.Page(ctx, `SELECT document FROM {view}`+where.SQL()+` ORDER BY sku`, where, limit, func(scan func(...any) error) (string, error) {
		s, err := view.Document[queries.Stock](view.Scanner(scan))
		if err != nil {
			return "", err
		}
		add(s)
		return view.Cursor(s.SKU), nil
	})
}
