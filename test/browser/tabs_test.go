//go:build browser

package browser

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/google/uuid"
)

// many tabs of one browser; it opens six connections to a host.
const many = 8

// seen tells a tab that it is seen, or is not any more, as a browser does when a person
// goes from tab to tab.
func (tb *tab) seen(is bool) {
	tb.Helper()
	state := map[bool]string{true: "visible", false: "hidden"}[is]
	evaluate[bool](tb, `(() => {
		Object.defineProperty(document, "visibilityState", {value: "`+state+`", configurable: true});
		document.dispatchEvent(new Event("visibilitychange"));
		return true;
	})()`)
}

// drafts opens orders.
func drafts(t *testing.T, n int) []string {
	t.Helper()
	shop(t)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "o-tabs-" + uuid.NewString()[:8]
		o := order{id: ids[i], customer: "c-tabs", sku: "beans", quantity: 1, address: "addr-1", country: "DE", method: "card-ok", draft: true}
		if err := o.place(); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// add changes an order, which is then at version 5.
func add(t *testing.T, id string) {
	t.Helper()
	if err := send("orders", id, "add-item", map[string]any{"sku": "grinder", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
}

// Many tabs of one browser load, and all of them show a change as it happens: those that
// listen to the same share one stream. It is shared on when the tab that holds it goes.
func TestManyTabsOfTwoPages(t *testing.T) {
	ids := drafts(t, 2)
	id, other := ids[0], ids[1]
	var tabs []*tab
	for i := range many {
		tb := openBeside(t)
		if i%2 == 0 {
			tb.visit("orders/" + id)
		} else {
			tb.visit("orders?customer=c-tabs")
		}
		tb.live()
		tabs = append(tabs, tb)
	}
	shows := func(id string, version int) {
		t.Helper()
		for i, tb := range tabs {
			if i%2 == 0 {
				tb.see(fmt.Sprintf(`#top[data-version="%d"]`, version))
			} else {
				tb.until(fmt.Sprintf(`document.querySelector('tr[data-order="%s"]')?.innerText.includes(%q)`, id, map[int]string{5: "49.80", 6: "74.70"}[version]))
			}
		}
	}
	add(t, id)
	shows(id, 5)
	// The first tabs of both pages, which hold the streams, are seen no more.
	for _, tb := range tabs[:2] {
		tb.seen(false)
	}
	hidden := tabs[:2]
	tabs = tabs[2:]
	add(t, other)
	add(t, id)
	shows(id, 6)
	// Who is seen again is told what he has missed.
	for _, tb := range hidden {
		tb.seen(true)
	}
	tabs = slices.Concat(hidden, tabs)
	shows(id, 6)
}

// Of many tabs, each of which listens to something else, none waits for a connection.
func TestManyTabsOfManyPages(t *testing.T) {
	ids := drafts(t, many)
	var tabs []*tab
	live := 0
	for _, id := range ids {
		tb := openBeside(t)
		tb.visit("orders/" + id)
		tb.see(`body[data-live="open"], body[data-live="looking"]`)
		if evaluate[bool](tb, `document.body.dataset.live === "open"`) {
			live++
		}
		tabs = append(tabs, tb)
	}
	if live != 4 {
		t.Errorf("%d tabs have a stream, want 4", live)
	}
	for i, tb := range tabs {
		add(t, ids[i])
		tb.see(`#top[data-version="5"]`)
	}
	// Streams that are let go are other tabs'.
	var waiting []*tab
	for _, tb := range tabs {
		if evaluate[bool](tb, `document.body.dataset.live === "open"`) {
			tb.seen(false)
			continue
		}
		waiting = append(waiting, tb)
	}
	if len(waiting) != many-4 {
		t.Errorf("%d tabs wait for a stream, want %d", len(waiting), many-4)
	}
	for _, tb := range waiting {
		tb.live()
	}
}

// On a page that came neither by https nor from this machine there are no locks: a tab
// has a stream of its own then.
func TestATabWithoutLocksIsLive(t *testing.T) {
	id := drafts(t, 1)[0]
	for range 2 {
		tb := openBeside(t)
		call(tb, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `Object.defineProperty(navigator, "locks", {value: undefined});`,
		})
		tb.visit("orders/" + id)
		tb.live()
		before := evaluate[int](tb, `Number(document.getElementById("top").dataset.version)`)
		add(t, id)
		tb.see(fmt.Sprintf(`#top[data-version="%d"]`, before+1))
		if evaluate[bool](tb, `"locks" in navigator && navigator.locks !== undefined`) {
			t.Error("there are locks")
		}
	}
}
