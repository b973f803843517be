//go:build browser

package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
)

// press presses keys one after the other.
func (tb *tab) press(keys ...string) {
	tb.Helper()
	for _, k := range keys {
		tb.do(chromedp.KeyEvent(k))
	}
}

// tabTo presses Tab until an element that matches has the focus. What has it on the
// way must be seen to have it.
func (tb *tab) tabTo(selector string) {
	tb.Helper()
	for range 120 {
		tb.press(kb.Tab)
		if at := evaluate[string](tb, `(() => {
			const e = document.activeElement;
			if (e === document.body) { return ""; }
			const s = getComputedStyle(e);
			return s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2 ? e.outerHTML.slice(0, 100) : "";
		})()`); at != "" {
			tb.Errorf("who has the focus is not seen: %s", at)
		}
		if evaluate[bool](tb, `document.activeElement.matches(`+asJSON(selector)+`)`) {
			return
		}
	}
	tb.Fatalf("%s is not reached by Tab; %s", selector, tb.where())
}

// Everything is done without a pointer: an order is opened, filled, submitted and
// looked at in the past, and a dialog gives the focus back.
func TestKeyboardOnly(t *testing.T) {
	tb := open(t)
	tb.visit("orders")
	tb.see("#list")
	tb.press(kb.Tab)
	if !evaluate[bool](tb, `document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`) {
		t.Error("the first Tab does not show the way past the navigation")
	}
	tb.press(kb.Enter)
	tb.until(`document.activeElement.id === "main"`)
	tb.tabTo(`a.primary`)
	tb.press(kb.Enter)
	tb.see(`input[name="order_id"]`)
	id := "k-" + uuid.NewString()[:8]
	tb.until(`document.activeElement.name === "customer_id"`)
	tb.fill(`input[name="order_id"]`, id)
	tb.tabTo(`input[name="customer_id"]`)
	tb.write("c-keys")
	tb.press(kb.Enter)
	tb.see(`#top[data-version="1"]`)
	tb.tabTo(`form[action$="add-item"] button`)
	tb.press(kb.Enter)
	tb.see(`#top[data-version="2"]`)
	tb.tabTo(`input[name="address_ref"]`)
	tb.write("addr-1")
	tb.press(kb.Enter)
	tb.see(`#top[data-version="3"]`)
	tb.tabTo(`input[name="method_ref"]`)
	tb.write("card-ok")
	tb.press(kb.Enter)
	tb.see(`#top[data-version="4"]`)

	tb.tabTo("#open-cancel")
	tb.press(kb.Enter)
	tb.see("#cancel[open]")
	tb.until(`document.activeElement.name === "reason"`)
	tb.press(kb.Escape)
	tb.until(`!document.querySelector("dialog[open]") && document.activeElement.id === "open-cancel"`)

	tb.tabTo("#submit")
	tb.press(kb.Enter)
	tb.see(`#top[data-state="Completed"]`)
	tb.until(`document.getElementById("slider").max === "11" && document.getElementById("moment").dataset.version === "11"`)
	tb.tabTo("#slider")
	tb.press(kb.Home)
	tb.see(`#moment[data-version="1"]`)
	tb.press(kb.ArrowRight)
	tb.see(`#moment[data-version="2"]`)
	tb.tabTo("#later")
	tb.press(kb.Enter)
	tb.see(`#moment[data-version="3"]`)
	tb.until(`document.activeElement.id === "later"`)
}

// Who is on a link that has no name of its own is there still when the page is drawn anew, and follows it.
func TestALinkThatIsDrawnAnewKeepsTheFocus(t *testing.T) {
	tb := open(t)
	id := tb.draft("card-ok", "addr-1")
	tb.live()
	const link = `#timeline a.pick[href$="/causes"]`
	tb.tabTo(link)
	evaluate[bool](tb, `document.activeElement.drawnBefore = true`)
	if err := send("orders", id, "add-item", map[string]any{"sku": "grinder", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	tb.until("!document.querySelector(" + asJSON(link) + ").drawnBefore")
	if !evaluate[bool](tb, `document.activeElement.matches(`+asJSON(link)+`)`) {
		t.Errorf("who was on the link is now on %s", evaluate[string](tb, `document.activeElement.outerHTML.slice(0, 100)`))
	}
	tb.press(kb.Enter)
	tb.see("#causes")
}

// An operator decides about a saga without a pointer.
func TestASagaIsDecidedByKeyboard(t *testing.T) {
	id := "o-keys-" + uuid.NewString()[:8]
	shop(t)
	if err := stuck(id).place(); err != nil {
		t.Fatal(err)
	}
	tb := open(t)
	tb.visit("sagas?order=" + id)
	tb.live()
	card := `.saga[data-saga="` + id + `"]`
	tb.see(card)
	before := tb.version(id)
	tb.tabTo("#open-retry-" + id)
	tb.press(kb.Enter)
	tb.see("#retry-" + id + "[open]")
	tb.until(`document.activeElement.name === "reason"`)
	tb.press(kb.Escape)
	tb.until(`!document.querySelector("dialog[open]") && document.activeElement.id === "open-retry-` + id + `"`)
	tb.press(kb.Enter)
	tb.until(`document.activeElement.name === "reason"`)
	tb.write("the carrier was called")
	tb.tabTo(`#retry-` + id + ` button[type="submit"]`)
	tb.press(kb.Enter)
	tb.see(card + " .owner")
	if after := tb.version(id); after <= before {
		t.Errorf("the saga is at version %d, and was at %d", after, before)
	}
}

// The theme is a button, and is kept.
func TestTheme(t *testing.T) {
	tb := open(t)
	tb.look(screens[0])
	tb.visit("stock")
	tb.click(`button[name="theme"][value="dark"]`)
	tb.see(`html[data-theme="dark"] button[value="dark"][aria-pressed="true"]`)
	tb.check("stock by the button dark")
	tb.visit("sales")
	tb.see(`html[data-theme="dark"]`)
	tb.click(`button[name="theme"][value=""]`)
	tb.see(`html:not([data-theme])`)
}
