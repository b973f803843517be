package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/nats-io/jsm.go/natscontext"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// completionTime bounds how long a shell waits for words from the running system.
const completionTime = 2 * time.Second

// words finds what an argument may be. before are the arguments in front of it, and
// start is what was typed of it.
type words func(ctx context.Context, c client, before []string, start string) ([]string, error)

// completions are, by the names that the usage of commands has for arguments.
var completions = map[string]words{
	"ORDER-ID": orderIDs,
	"SKU":      skus,
	"VIEW":     viewNames,
	"NAME":     versionNames,
	"CATEGORY": func(context.Context, client, []string, string) ([]string, error) {
		return slices.Sorted(maps.Keys(folds)), nil
	},
	"KEY": keys,
}

// addCompletion lets the shell complete a command's arguments, and its --context.
func addCompletion(cmd *cobra.Command) {
	names := strings.Fields(cmd.Use)[1:]
	if cmd.Flags().Lookup("context") == nil {
		return
	}
	_ = cmd.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return natscontext.KnownContexts(), cobra.ShellCompDirectiveNoFileComp
	}) // fails only for a flag that does not exist
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		find, ok := completions[strings.Trim(names[len(args)], "[]{}")]
		if !ok {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, find, args, start), cobra.ShellCompDirectiveNoFileComp
	}
}

// complete asks the running system. A shell that completes has no place for an error:
// then there are no words.
func complete(cmd *cobra.Command, find words, args []string, start string) (found []string) {
	if readEnvironment(cmd.Flags()) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionTime)
	defer cancel()
	s := serverOf(cmd.Flags())
	nc, err := s.dialExternal("operator", zerolog.New(io.Discard))("completion")
	var c client
	if err == nil {
		defer nc.Close()
		c.nc = nc
	}
	all, err := find(ctx, c, args, start)
	if err != nil {
		return nil
	}
	slices.Sort(all)
	for _, word := range slices.Compact(all) {
		if strings.HasPrefix(word, start) && plain(word) == word {
			found = append(found, word)
		}
	}
	return found
}

func orderIDs(ctx context.Context, c client, _ []string, start string) (ids []string, err error) {
	var page queries.OrderPage
	err = c.query(ctx, queries.OrderList.Subject, queries.OrderFilter{Text: start}, &page)
	for _, o := range page.Orders {
		ids = append(ids, o.OrderID)
	}
	return ids, err
}

func skus(ctx context.Context, c client, _ []string, start string) (all []string, err error) {
	var page queries.StockPage
	err = c.query(ctx, queries.StockList.Subject, queries.StockFilter{Text: start}, &page)
	for _, s := range page.Stock {
		all = append(all, s.SKU)
	}
	return all, err
}

// keys are those of the aggregates of which there is a list.
func keys(ctx context.Context, c client, before []string, start string) ([]string, error) {
	switch before[len(before)-1] {
	case events.CategoryOrder, events.CategoryFulfilment, events.CategoryReservation:
		return orderIDs(ctx, c, before, start)
	case events.CategoryProduct, events.CategoryStock:
		return skus(ctx, c, before, start)
	}
	return nil, nil
}

func versionNames(ctx context.Context, c client, _ []string, _ string) (names []string, err error) {
	err = c.eachVersion(ctx, func(p queries.ProjectionStatus) { names = append(names, p.Name) })
	return names, err
}

func viewNames(ctx context.Context, c client, _ []string, _ string) (names []string, err error) {
	err = c.eachVersion(ctx, func(p queries.ProjectionStatus) { names = append(names, p.View) })
	return names, err
}

func (c client) eachVersion(ctx context.Context, f func(queries.ProjectionStatus)) error {
	var all queries.ProjectionStatuses
	if err := c.query(ctx, queries.ProjectionList.Subject, queries.NoRequest{}, &all); err != nil {
		return err
	}
	for _, p := range all.Projections {
		f(p)
	}
	return nil
}
