package console

import "github.com/b144f99b/orderflow/pkg/queries"

// productsData is what can be ordered.
type productsData struct {
	Filter      queries.ProductFilter
	Products    []queries.Product
	Next, First string
	Buys        bool
}

func productsPage(v *visit) error {
	q := v.URL.Query()
	data := productsData{Buys: v.buys(), Filter: queries.ProductFilter{
		Text: q.Get("q"), Paging: queries.Paging{Limit: 50, Cursor: q.Get("cursor")},
	}}
	data.Filter.ReadYourWrites = v.after()
	page, err := ask(v, queries.ProductList, data.Filter)
	if err != nil {
		return err
	}
	data.Products = page.Products
	data.Next, data.First = pages(v.URL, page.NextCursor)
	return v.show("products", "Products", v.everything(), data)
}
