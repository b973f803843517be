package view

import "time"

// sortable has the same length for every time.
const sortable = "2006-01-02T15:04:05.000000000Z"

// Sortable writes a time so that texts compare as times do.
func Sortable(t time.Time) string { return t.UTC().Format(sortable) }

// ParseSortable reads what [Sortable] wrote.
func ParseSortable(text string) (time.Time, error) { return time.Parse(sortable, text) }

// SortableOrNone is [Sortable], or "" for the zero time.
func SortableOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Sortable(t)
}

// Day is the day of a time, in UTC.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Flag writes a truth as 1 or 0.
func Flag(is bool) int {
	if is {
		return 1
	}
	return 0
}
