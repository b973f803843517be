package main

import (
	"io"

	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newProductList lists what can be ordered. It is part of "product list", see [listOrOffer].
func newProductList() *cobra.Command {
	return asking[queries.ProductFilter, queries.ProductPage]{
		use: "list", short: "List products that can be ordered", question: queries.ProductList,
		flags: func(f *pflag.FlagSet, q *queries.ProductFilter) {
			f.StringVar(&q.Text, "text", "", "only products with this `TEXT` in their sku or name")
			addPaging(f, &q.Paging)
			addFresh(f, &q.ReadYourWrites)
		},
		print: func(w io.Writer, page queries.ProductPage) {
			row(w, "SKU", "NAME", "PRICE", "")
			for _, p := range page.Products {
				stock := "sold out"
				if p.InStock {
					stock = "in stock"
				}
				row(w, p.SKU, p.Name, amount(p.Price), stock)
			}
			more(w, page.NextCursor)
		},
	}.command()
}

// listOrOffer lets the command that offers a product list all that are offered when no
// SKU is given, as list does of every other noun.
func listOrOffer(offer *cobra.Command) {
	list := newProductList()
	offering, oneKey := offer.RunE, offer.Args
	offer.Use = "list [SKU]"
	offer.Short = "List products that can be ordered, or offer the one with a SKU"
	ofOffer, ofList := namesOf(offer.Flags(), list.Flags()), namesOf(list.Flags(), offer.Flags())
	for _, name := range ofList {
		offer.Flags().AddFlag(list.Flags().Lookup(name))
	}
	offer.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return oneKey(cmd, args)
	}
	offer.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			if name := changed(cmd, ofList); name != "" {
				return usageError("--%s is for a list, and %s %s offers one product; give one of them", name, cmd.CommandPath(), plain(args[0]))
			}
			return offering(cmd, args)
		}
		if name := changed(cmd, ofOffer); name != "" {
			return usageError("--%s is to offer a product, and %s without a SKU lists them; give the SKU", name, cmd.CommandPath())
		}
		var err error
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if own := list.Flags().Lookup(f.Name); own != f && err == nil {
				err = own.Value.Set(f.Value.String())
			}
		})
		if err != nil {
			return err
		}
		return list.RunE(cmd, nil)
	}
}

// namesOf are the flags of one set that another one has not.
func namesOf(flags, other *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if other.Lookup(f.Name) == nil {
			names = append(names, f.Name)
		}
	})
	return names
}

// changed is the first of the flags that was given, "" when none was.
func changed(cmd *cobra.Command, names []string) string {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}
