package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// plain is text for a person's terminal. Ids, names and reasons are whatever users
// gave, and may hold what a terminal obeys or hides: control characters, escape
// sequences, line ends, marks that turn the direction of writing. Each of them is
// written as JSON would, as \u001b. What JSON holds in its strings means the same then.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// plainError is an error on one line: those that were joined are separated by
// semicolons.
func plainError(err error) string { return plain(strings.ReplaceAll(err.Error(), "\n", "; ")) }
