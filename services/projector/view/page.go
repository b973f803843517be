package view

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// Limit is how many rows a page has: 50 unless the request says otherwise.
func Limit(requested int) (int, error) {
	switch {
	case requested == 0:
		return defaultLimit, nil
	case requested < 0 || requested > maxLimit:
		return 0, BadRequest(`"limit" is %d; it must be from 1 to %d`, requested, maxLimit)
	}
	return requested, nil
}

// Cursor writes where a row is in the order of its list, for a client to give back.
func Cursor(place ...string) string {
	data, _ := json.Marshal(place) // texts of the database are UTF-8
	return base64.RawURLEncoding.EncodeToString(data)
}

// ParseCursor reads what [Cursor] wrote of a place of n parts.
func ParseCursor(cursor string, n int) ([]string, error) {
	var place []string
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(data, &place)
	}
	if err != nil || len(place) != n || slices.ContainsFunc(place, func(part string) bool { return strings.ContainsFunc(part, unicode.IsControl) }) {
		return nil, badCursor()
	}
	return place, nil
}

// Place is where a row is in a list that is ordered by a time, as [Sortable]
// writes it, and an id.
type Place struct{ Time, ID string }

// Cursor writes the place for a client to give back.
func (p Place) Cursor() string { return Cursor(p.Time, p.ID) }

// ParsePlace reads what [Place.Cursor] wrote.
func ParsePlace(cursor string) (Place, error) {
	parts, err := ParseCursor(cursor, 2)
	if err != nil {
		return Place{}, err
	}
	if _, err := ParseSortable(parts[0]); err != nil {
		return Place{}, badCursor()
	}
	return Place{parts[0], parts[1]}, nil
}

func badCursor() error {
	return BadRequest(`"cursor" is not one; give back the "next_cursor" of the page before, or none`)
}

// Sequence is where an event is in the store's order: its commit's sequence and
// its version.
type Sequence struct{ Commit, Version int64 }

// Cursor writes the place for a client to give back.
func (s Sequence) Cursor() string {
	return strconv.FormatInt(s.Commit, 10) + "." + strconv.FormatInt(s.Version, 10)
}

// ParseSequence reads what [Sequence.Cursor] wrote; "" is the zero place, before
// everything.
func ParseSequence(cursor string) (s Sequence, err error) {
	if cursor == "" {
		return s, nil
	}
	commit, version, _ := strings.Cut(cursor, ".")
	if s.Commit, err = strconv.ParseInt(commit, 10, 64); err == nil {
		s.Version, err = strconv.ParseInt(version, 10, 64)
	}
	if err != nil || s.Cursor() != cursor {
		return Sequence{}, badCursor()
	}
	return s, nil
}

// Page reads a page of a list: of at most limit rows, and one more that says that
// there is more. row scans one row, and returns where it is.
func (r Reader) Page(ctx context.Context, text string, where Where, limit int, row func(scan func(...any) error) (cursor string, err error)) (next string, err error) {
	n, last := 0, ""
	text += where.Limit(limit + 1)
	err = r.Each(ctx, text, where.Args, func(scan func(...any) error) (err error) {
		if n++; n > limit {
			next = last
			return Enough
		}
		last, err = row(scan)
		return err
	})
	return next, err
}

// Where collects the conditions of a query. The zero one selects everything.
type Where struct {
	conditions []string
	Args       []any
}

// And adds a condition, whose parameters are written ?.
func (w *Where) And(condition string, args ...any) {
	var b strings.Builder
	for _, r := range condition {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		w.Args = append(w.Args, args[0])
		args = args[1:]
		b.WriteString("$" + strconv.Itoa(len(w.Args)))
	}
	w.conditions = append(w.conditions, b.String())
}

// SQL is the WHERE clause, or nothing.
func (w *Where) SQL() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// Limit adds the parameter of a LIMIT and returns the clause.
func (w *Where) Limit(n int) string {
	w.Args = append(w.Args, n)
	return " LIMIT $" + strconv.Itoa(len(w.Args))
}

// maxText bounds the text that is looked for, in bytes.
const maxText = 200

// AndText finds a text anywhere in a column that holds lower case; "" is no condition.
func (w *Where) AndText(column, text string) error {
	if len(text) > maxText {
		return BadRequest(`"text" has %d bytes; at most %d are looked for`, len(text), maxText)
	}
	if text != "" {
		pattern := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text))
		w.And(column+` LIKE ? ESCAPE '\'`, "%"+pattern+"%")
	}
	return nil
}

// Behind goes on behind a cursor in a list that is ordered by one column of text;
// "" is no condition.
func (w *Where) Behind(column, cursor string) error {
	if cursor == "" {
		return nil
	}
	place, err := ParseCursor(cursor, 1)
	if err == nil {
		w.And(column+" > ?", place[0])
	}
	return err
}

// Words lists values for a sentence.
func Words[S ~string](all []S) string {
	words := make([]string, len(all))
	for i, w := range all {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// Days selects rows by their column day, from the day of one time and before that
// of another; a zero time is no bound.
func Days(from, before time.Time) (where Where) {
	if !from.IsZero() {
		where.And("day >= ?", Day(from))
	}
	if !before.IsZero() {
		where.And("day < ?", Day(before))
	}
	return where
}
