package main

import (
	"fmt"
	"io"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newStockList, newStockShow and newMovements are added to the commands of stock.
func newStockList() *cobra.Command {
	return asking[queries.StockFilter, queries.StockPage]{
		use: "list", short: "List products with their stock", question: queries.StockList,
		flags: func(f *pflag.FlagSet, q *queries.StockFilter) {
			f.BoolVar(&q.Low, "low", false, "only products of which few are available")
			f.StringVar(&q.Text, "text", "", "only products with this `TEXT` in their sku or name")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.StockPage) {
			row(w, "SKU", "NAME", "PRICE", "ON HAND", "RESERVED", "AVAILABLE", "")
			for _, s := range page.Stock {
				low := ""
				if s.Low {
					low = "low"
				}
				row(w, s.SKU, s.Name, amount(s.Price), s.OnHand, s.Reserved, s.Available, low)
			}
			more(w, page.NextCursor)
		},
	}.command()
}

func newMovements() *cobra.Command {
	return asking[queries.MovementFilter, queries.MovementPage]{
		use: "movements SKU", short: "Tell what moved a product's stock, newest first", question: queries.StockMovements, args: []string{"SKU"},
		flags: func(f *pflag.FlagSet, q *queries.MovementFilter) {
			f.StringVar(&q.OrderID, "order", "", "only for the order with this `ID`")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		take: func(q *queries.MovementFilter, args []string) { q.SKU = args[0] },
		print: func(w io.Writer, page queries.MovementPage) {
			row(w, "VERSION", "TIME", "WHAT", "ON HAND", "RESERVED", "ORDER", "WHY")
			for _, m := range page.Movements {
				row(w, m.Version, m.Time, m.Type, fmt.Sprintf("%+d = %d", m.OnHandDelta, m.OnHand),
					fmt.Sprintf("%+d = %d", m.ReservedDelta, m.Reserved), m.OrderID, m.Reference+m.Reason)
			}
			more(w, page.NextCursor)
		},
	}.command()
}

func newSales() *cobra.Command {
	return asking[queries.SaleFilter, queries.SalePage]{
		use: "sales", short: "Tell what was sold, by product and day, less refunds", question: queries.SaleList,
		flags: func(f *pflag.FlagSet, q *queries.SaleFilter) {
			f.StringVar(&q.SKU, "sku", "", "only the product with this `SKU`")
			f.StringVar(&q.Currency, "currency", "", "only in the currency with this `CODE`")
			f.StringVar((*string)(&q.By), "by", "", "sum up by `WHAT`: day, product or currency")
			addTime(f, &q.From, "from", "from this `DAY` on, for example 2026-03-01")
			addTime(f, &q.Before, "before", "before this `DAY`")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.SalePage) {
			row(w, "DAY", "SKU", "NAME", "SOLD", "BOOKED", "RETURNED", "REFUNDED", "NET")
			for _, s := range page.Sales {
				row(w, s.Day, s.SKU, s.Name, s.Quantity, s.Booked, s.RefundedQuantity, s.Refunded, s.Net)
			}
			more(w, page.NextCursor)
		},
	}.command()
}

// newPaymentLists are commands beside those of the payment service.
func newPaymentLists() []*cobra.Command {
	list := asking[queries.PaymentFilter, queries.PaymentPage]{
		use: "list", short: "List payments, newest first", question: queries.PaymentList,
		flags: func(f *pflag.FlagSet, q *queries.PaymentFilter) {
			f.StringVar(&q.OrderID, "order", "", "only of the order with this `ID`")
			f.StringVar((*string)(&q.State), "state", "", "only those in this `STATE`, for example captured")
			f.BoolVar(&q.Unknown, "unknown", false, "only those of which an outcome is not known")
			f.BoolVar(&q.Disputed, "disputed", false, "only those that a bank claims back")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.PaymentPage) {
			row(w, "PAYMENT", "ORDER", "STATE", "CAPTURED", "REFUNDED", "OUTSTANDING", "UNKNOWN", "CREATED")
			for _, p := range page.Payments {
				row(w, p.PaymentID, p.OrderID, p.State, amount(p.Captured), amount(p.Refunded), amount(p.Outstanding), p.Unknown, p.CreatedAt)
			}
			more(w, page.NextCursor)
		},
	}.command()
	summary := asking[queries.PaymentSummaryRequest, queries.PaymentSums]{
		use: "summary", short: "Sum up payments by currency and state", question: queries.PaymentSummary,
		print: func(w io.Writer, s queries.PaymentSums) {
			row(w, "CURRENCY", "AUTHORISED", "CAPTURED", "REFUNDED", "OUTSTANDING")
			for _, c := range s.Currencies {
				row(w, c.Currency, c.Authorized, c.Captured, c.Refunded, c.Outstanding)
			}
			row(w)
			row(w, "STATE", "COUNT")
			for _, c := range s.States {
				row(w, c.State, c.Count)
			}
			row(w, "not known", s.Unknown)
			row(w, "disputed", s.Disputed)
		},
	}.command()
	return []*cobra.Command{list, summary}
}

func newCustomers() *cobra.Command {
	return asking[queries.CustomerFilter, queries.CustomerPage]{
		use: "customers", short: "List customers with their orders and spend", question: queries.CustomerList,
		flags: func(f *pflag.FlagSet, q *queries.CustomerFilter) {
			f.StringVar(&q.Text, "text", "", "only customers with this `TEXT` in their id")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.CustomerPage) {
			row(w, "CUSTOMER", "ORDERS", "OPEN", "COMPLETED", "CANCELLED", "REJECTED", "EXPIRED", "SPEND", "LAST ORDER")
			for _, c := range page.Customers {
				spend := ""
				for i, s := range c.Spend {
					if i > 0 {
						spend += ", "
					}
					spend += s.Net.String()
				}
				row(w, c.CustomerID, c.Orders, c.Open, c.Completed, c.Cancelled, c.Rejected, c.Expired, spend, c.LastOrderAt)
			}
			more(w, page.NextCursor)
		},
	}.command()
}
