package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// plurals are the nouns that commands are about, each in both numbers: who writes the
// other one means the same.
func plurals() map[string]string {
	return map[string]string{
		"order": "orders", "saga": "sagas", "product": "products", "payment": "payments", "customer": "customers", "event": "events",
		"projection": "projections", "subscription": "subscriptions",
	}
}

// meant are what people write who know other programs, by what it is here.
func meant() map[string][]string {
	return map[string][]string{
		"up":          {"start", "run", "serve"},
		"list":        {"ls", "all"},
		"show":        {"get", "describe", "view"},
		"tail":        {"follow", "watch"},
		"healthcheck": {"health", "status", "ping"},
		"drop":        {"delete", "remove", "rm"},
		"history":     {"log"},
		"rebuild":     {"replay", "reset"},
	}
}

// addOtherWords lets every command be called in the other number as well, and tells
// what other words for it mean.
func addOtherWords(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		for one, many := range plurals() {
			switch cmd.Name() {
			case one:
				cmd.Aliases = append(cmd.Aliases, many)
			case many:
				cmd.Aliases = append(cmd.Aliases, one)
			}
		}
	}
	others := meant()
	walk(root, func(cmd *cobra.Command) { cmd.SuggestFor = others[cmd.Name()] })
}

// typos is how many letters of a command may be wrong, too many or missing.
const typos = 2

// suggestions are the commands below cmd that may be meant by a word.
func suggestions(cmd *cobra.Command, word string) []string {
	cmd.SuggestionsMinimumDistance = typos
	names := cmd.SuggestionsFor(word)
	for _, sub := range cmd.Commands() {
		if slices.ContainsFunc(sub.Aliases, func(alias string) bool { return strings.HasPrefix(alias, strings.ToLower(word)) }) {
			names = append(names, sub.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
