//go:build browser

package browser

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/google/uuid"
)

// draft opens an order with one item on the pages, up to the button that submits it.
func (tb *tab) draft(method, address string) (id string) {
	tb.Helper()
	tb.visit("orders/new")
	tb.see(`input[name="customer_id"]`)
	id = "b-" + uuid.NewString()[:8]
	tb.fill(`input[name="order_id"]`, id)
	tb.fill(`input[name="customer_id"]`, "c-browser")
	tb.click(`main button[type="submit"]`)
	tb.see(`#top[data-state="Draft"][data-version="1"]`)
	tb.fill(`select[name="sku"]`, "cup")
	tb.fill(`form[action$="add-item"] input[name="quantity"]`, "2")
	tb.click(`form[action$="add-item"] button`)
	tb.see(`#top[data-version="2"]`, `tr[data-line="l1"]`)
	tb.fill(`input[name="address_ref"]`, address)
	tb.click(`form[action$="set-shipping"] button`)
	tb.see(`#top[data-version="3"]`)
	tb.fill(`input[name="method_ref"]`, method)
	tb.click(`form[action$="set-payment-method"] button`)
	tb.see(`#top[data-version="4"]`)
	return id
}

// An order is placed by forms, and a page that only looks at it sees it move to its
// end without being loaded again.
func TestPlaceAnOrderAndFollowIt(t *testing.T) {
	tb := open(t)
	id := tb.draft("card-ok", "addr-1")
	watcher := open(t)
	watcher.visit("orders/" + id)
	watcher.live()
	watcher.see(`#top[data-state="Draft"][data-version="4"]`)
	evaluate[bool](watcher, `window.sameDocument = true`)

	tb.click("#submit")
	watcher.see(`#top[data-state="Completed"]`, `.node.current.good`)
	if !evaluate[bool](watcher, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	if got := watcher.text("#captured"); got != "49.80 EUR" {
		t.Errorf("captured is %q", got)
	}
	watcher.until(`[...document.querySelectorAll(".what")].some((e) => e.innerText === "The order is complete.")`)
	// Every event but what a person or the carrier asked for names its cause, on the page.
	if wrong := evaluate[[]string](watcher, `[...document.querySelectorAll(".why a")].filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => a.hash)`); len(wrong) > 0 {
		t.Errorf("these causes are not on the page: %v", wrong)
	}
	if n := evaluate[int](watcher, `document.querySelectorAll(".why a").length`); n < 25 {
		t.Errorf("only %d events name their cause", n)
	}
	// The slider has grown with the order.
	watcher.until(`document.getElementById("slider").max === "11" && document.getElementById("moment").dataset.version === "11"`)
}

// A form that is sent twice has one effect, and one that was written for an older
// version changes nothing and says so.
func TestFormsAreSafe(t *testing.T) {
	tb := open(t)
	tb.expect("412")
	tb.visit("orders/o-draft")
	tb.see(`#top[data-state="Draft"]`)
	before := evaluate[int](tb, `Number(document.getElementById("top").dataset.version)`)
	// The same form twice, as a second click or a reload sends it.
	twice := evaluateAsync[[]string](tb, `(async () => {
		const form = document.querySelector("form[action$=add-item]");
		form.querySelector("[name=quantity]").value = "3";
		const send = async () => (await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))})).url;
		return [await send(), await send()];
	})()`)
	for _, url := range twice {
		if strings.Contains(url, "add-item") {
			t.Errorf("the form was refused at %s", url)
		}
	}
	tb.visit("orders/o-draft")
	tb.see(`#top`)
	if after := evaluate[int](tb, `Number(document.getElementById("top").dataset.version)`); after != before+1 {
		t.Errorf("two sendings of one form made %d events", after-before)
	}
	// Somebody else is faster.
	if err := send("orders", "o-draft", "add-item", map[string]any{"sku": "beans", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	tb.fill(`form[action$="add-item"] input[name="version"]`, "1")
	tb.click(`form[action$="add-item"] button`)
	tb.see("#refusal")
	if got := tb.text("#refusal"); !strings.Contains(got, "changed") || !strings.Contains(got, "conflict") {
		t.Errorf("it says %q", got)
	}
	tb.see(`#top[data-state="Draft"]`)
	// The page that says so is the order's, and as live as it.
	tb.until(`location.pathname === "/console/orders/o-draft"`)
	tb.live()
	if err := send("orders", "o-draft", "add-item", map[string]any{"sku": "beans", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	tb.see(`#top[data-version="` + strconv.Itoa(before+3) + `"]`)
}

// A wish to cancel is asked for in a dialog, with a reason that is kept.
func TestCancel(t *testing.T) {
	tb := open(t)
	id := tb.draft("card-ok", "addr-1")
	tb.click("#open-cancel")
	tb.see("#cancel[open]")
	tb.until(`document.activeElement.name === "reason"`)
	tb.write("changed my <mind>")
	tb.click(`#cancel button[type="submit"]`)
	tb.see(`#top[data-state="Cancelled"]`, ".node.current.quiet")
	tb.until(`[...document.querySelectorAll(".what")].some((e) => e.innerText.includes("changed my <mind>"))`)
	tb.visit("orders?q=" + id)
	tb.see(`tr[data-order="` + id + `"][data-state="Cancelled"]`)
}

// A button hears of its click although the page is drawn anew while it is pressed,
// and although no script has been read yet.
func TestAButtonIsNotLost(t *testing.T) {
	tb := open(t)
	id := tb.draft("card-ok", "addr-1")
	tb.live()
	x, y := tb.hold("#open-cancel")
	if err := send("orders", id, "add-item", map[string]any{"sku": "cup", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	tb.see("#top[data-stale]")
	tb.release(x, y)
	tb.see("#cancel[open]")
	tb.click(`#cancel [command="close"]`)
	tb.see(`#top[data-version="5"]`)
	tb.gone("#cancel[open]")

	plain := open(t)
	call(plain, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	plain.visit("orders/" + id)
	plain.click("#open-cancel")
	plain.see("#cancel[open]")
	plain.click(`#cancel button[type="submit"]`)
	plain.see(`#top[data-state="Cancelled"]`)
}

// What was written into a form and left is there when the page is drawn anew because of
// what somebody else has done; the form expects the version that is shown, and is taken.
func TestWhatIsWrittenIsNotLost(t *testing.T) {
	shop(t)
	id := "o-written-" + uuid.NewString()[:8]
	if err := (order{id: id, customer: "c-browser", sku: "cup", quantity: 2, address: "addr-1", country: "DE", method: "card-ok"}).place(); err != nil {
		t.Fatal(err)
	}
	tb := open(t)
	tb.visit("orders/" + id)
	tb.see(`#top[data-state="Completed"]`, `#refund input[name="version"][value="11"]`)
	tb.live()
	evaluate[bool](tb, `window.sameDocument = true`)
	tb.click("#open-refund")
	tb.see("#refund[open]")
	tb.fill(`#refund input[name="amount"]`, "5.00")
	tb.fill(`#refund input[name="reason"]`, "one is chipped")
	tb.click(`#refund [command="close"]`)
	tb.gone("#refund[open]")
	evaluate[bool](tb, `(() => { document.activeElement.blur(); return true; })()`)
	if err := send("orders", id, "request-refund", map[string]any{"amount": "10.00"}); err != nil {
		t.Fatal(err)
	}
	tb.see(`#top[data-version="13"]`, `#refund input[name="version"][value="13"]`)
	for name, want := range map[string]string{"amount": "5.00", "reason": "one is chipped", "line-l1": "0"} {
		if got := evaluate[string](tb, `document.querySelector("#refund input[name=`+name+`]").value`); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !evaluate[bool](tb, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	tb.click("#open-refund")
	tb.see("#refund[open]")
	tb.click(`#refund button[type="submit"]`)
	tb.see(`#top[data-version="15"]`)
	tb.gone("#refusal")
	tb.until(`document.getElementById("refunded").innerText.includes("15.00")`)
}

// The slider shows the order at each of its versions, with the difference, and the
// same is there by links and forms for who has no JavaScript.
func TestGoBackInTime(t *testing.T) {
	tb := open(t)
	settle(tb)
	tb.visit("orders/o-done")
	tb.see(`#moment[data-version="11"][data-status="Completed"]`)
	slide := func(to string) {
		evaluate[bool](tb, `(() => { const s = document.getElementById("slider"); s.value = "`+to+`"; s.dispatchEvent(new Event("input", {bubbles: true})); return true; })()`)
	}
	slide("5")
	tb.see(`#moment[data-version="5"][data-status="Submitted"]`)
	if got := tb.text("#moment .diff"); !strings.Contains(got, "status") || !strings.Contains(got, "Draft") || !strings.Contains(got, "Submitted") {
		t.Errorf("the difference of version 5 is %q", got)
	}
	tb.click("#earlier")
	tb.see(`#moment[data-version="4"]`)
	tb.click("#with-now")
	tb.see(`#moment[data-version="4"] [data-compare="now"]`)
	if got := tb.text("#moment .diff"); !strings.Contains(got, "Completed") || !strings.Contains(got, "captured") {
		t.Errorf("what has changed since version 4 is %q", got)
	}
	slide("1")
	tb.see(`#moment[data-version="1"][data-status="Draft"]`)
	if got := tb.text("#moment"); !strings.Contains(got, "No items") {
		t.Errorf("at version 1 it says %q", got)
	}

	plain := open(t)
	call(plain, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	plain.visit("orders/o-done/history?version=2&compare=now")
	plain.see(`#moment[data-version="2"] .diff`)
	plain.click("#later")
	plain.see(`#moment[data-version="3"] .diff`)
	at := evaluate[string](plain, `document.querySelector("#moment time").dateTime`)
	plain.visit("orders/o-done/history?as_of=" + strings.TrimSuffix(at, "Z"))
	plain.see(`#moment[data-version="3"]`)
	plain.visit("orders")
	plain.see(`tr[data-order="o-done"]`)
	plain.fill(`input[name="q"]`, "o-short")
	plain.click(`.filters button`)
	plain.see(`tr[data-order="o-short"]`)
	plain.gone(`tr[data-order="o-done"]`)
}
