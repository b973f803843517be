package view_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector/view"
)

// A cursor that a client gives back is refused, or is a place that is written and read again as the same.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{
		"", "1871.3", "01.2", "1", "-1.-2", "9223372036854775808.1", view.Cursor("a"), view.Cursor("a", "b"), view.Cursor("a\n", "b"), view.Cursor(),
		view.Place{Time: "2026-01-02T03:04:05.678901234Z", ID: "o-1"}.Cursor(), "W10", "!",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		refused := func(err error) bool {
			var rejection *esjs.Rejection
			return errors.As(err, &rejection) && rejection.Status == http.StatusBadRequest
		}
		for n := 1; n <= 2; n++ {
			parts, err := view.ParseCursor(cursor, n)
			if err != nil {
				if !refused(err) {
					t.Errorf("%q: %v", cursor, err)
				}
				continue
			}
			again, err := view.ParseCursor(view.Cursor(parts...), n)
			if err != nil || len(again) != n || again[0] != parts[0] || again[n-1] != parts[n-1] {
				t.Errorf("%q is read as %q, and that as %q, %v", cursor, parts, again, err)
			}
		}
		if place, err := view.ParsePlace(cursor); err == nil {
			if again, err := view.ParsePlace(place.Cursor()); err != nil || again != place {
				t.Errorf("%q is read as %+v, and that as %+v, %v", cursor, place, again, err)
			}
		} else if !refused(err) {
			t.Errorf("%q: %v", cursor, err)
		}
		if s, err := view.ParseSequence(cursor); err == nil {
			if s.Cursor() != cursor && cursor != "" {
				t.Errorf("%q is read as %+v", cursor, s)
			}
		} else if !refused(err) {
			t.Errorf("%q: %v", cursor, err)
		}
	})
}
