package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/google/uuid"
)

// stockData is the list of products with what there is of them.
type stockData struct {
	Filter      queries.StockFilter
	Stock       []stockRow
	Next, First string
	Filtered    bool
	Operates    bool
	Form        url.Values // of a product that was refused
	CommandID   string
}

// stockRow is one product; Free and Held are parts of 100 of what is on hand.
type stockRow struct {
	queries.Stock
	Free, Held float64
}

func stockPage(v *visit) error {
	q := v.URL.Query()
	data := stockData{Operates: v.operates(), Form: v.PostForm, CommandID: v.commandID(), Filter: queries.StockFilter{
		Text: q.Get("q"), Low: q.Get("low") != "", Paging: queries.Paging{Limit: 50, Cursor: q.Get("cursor")}, ReadYourWrites: v.after(),
	}}
	data.Filtered = data.Filter.Text != "" || data.Filter.Low
	page, err := ask(v, queries.StockList, data.Filter)
	if err != nil {
		return err
	}
	for _, s := range page.Stock {
		row := stockRow{Stock: s}
		if s.OnHand > 0 {
			row.Held = round(float64(s.Reserved) / float64(s.OnHand) * 100)
			row.Free = round(100 - row.Held)
		}
		data.Stock = append(data.Stock, row)
	}
	data.Next, data.First = pages(v.URL, page.NextCursor)
	return v.show("stock", "Stock", v.everything(), data)
}

// movementsData is what moved a product's stock.
type movementsData struct {
	Stock       queries.Stock
	Movements   []queries.Movement
	Next, First string
	Operates    bool
	Form        url.Values // of goods that were refused
	CommandID   string
}

func stockPath(sku string) string { return Root + "stock/" + url.PathEscape(sku) }

func movementsPage(v *visit) error {
	sku := v.PathValue("sku")
	data := movementsData{Operates: v.operates(), Form: v.PostForm, CommandID: v.commandID()}
	var err error
	if data.Stock, err = ask(v, queries.StockGet, queries.StockRequest{SKU: sku, ReadYourWrites: v.after()}); err != nil {
		return err
	}
	page, err := ask(v, queries.StockMovements, queries.MovementFilter{SKU: sku, Paging: queries.Paging{Limit: 50, Cursor: v.URL.Query().Get("cursor")}, ReadYourWrites: v.after()})
	if err != nil {
		return err
	}
	data.Movements = page.Movements
	data.Next, data.First = pages(v.URL, page.NextCursor)
	return v.show("movements", "Stock of "+sku, v.everything(), data)
}

// offerProduct lists a product and receives the first of it.
func offerProduct(v *visit) error {
	sku := strings.TrimSpace(v.PostFormValue("sku"))
	quantity, err := v.number("quantity")
	if err != nil {
		return v.again(err, Root+"stock", stockPage)
	}
	reply, err := v.command(service.Command{Category: events.CategoryProduct, Key: sku, Verb: "list"}, desk.ListProduct{
		Name: v.PostFormValue("name"), Reprice: desk.Reprice{Price: strings.TrimSpace(v.PostFormValue("price")), Currency: v.PostFormValue("currency")},
	})
	if err != nil {
		return v.again(err, Root+"stock", stockPage)
	}
	if quantity > 0 {
		// Its id follows from the form's, so that the form sent twice receives once.
		id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("receive "+v.PostFormValue("command_id"))).String()
		reply, err = v.command(service.Command{Category: events.CategoryStock, Key: sku, Verb: "receive", ID: id},
			desk.Receive{Quantity: quantity, Reference: "console"})
		if err != nil {
			return v.again(err, Root+"stock", stockPage)
		}
	}
	return v.see(Root + "stock?after=" + url.QueryEscape(reply.Revision))
}

// receiveGoods adds to a product's stock.
func receiveGoods(v *visit) error {
	sku := v.PathValue("sku")
	quantity, err := v.number("quantity")
	if err == nil {
		reply, sent := v.command(service.Command{Category: events.CategoryStock, Key: sku, Verb: "receive"},
			desk.Receive{Quantity: quantity, Reference: v.PostFormValue("reference")})
		if sent == nil {
			http.Redirect(v.w, v.Request, stockPath(sku)+"?after="+url.QueryEscape(reply.Revision), http.StatusSeeOther)
			return nil
		}
		err = sent
	}
	return v.again(err, stockPath(sku), movementsPage)
}
