//go:build browser

package browser

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/gateway/signin/signintest"
)

// crawled is a page that a link of the console leads to.
type crawled struct {
	Path   string   `json:"path"`
	Status int      `json:"status"`
	Forms  []string `json:"forms"` // that change something, by where they are sent
	Text   string   `json:"text"`
}

// crawl follows every link of the console, from page to page.
func (tb *tab) crawl() []crawled {
	tb.Helper()
	all := evaluateAsync[[]crawled](tb, `(async () => {
		const seen = new Map(), todo = ["/console/"];
		while (todo.length && seen.size < 400) {
			const path = todo.shift();
			if (seen.has(path)) { continue; }
			const answer = await fetch(path);
			const text = await answer.text();
			const page = new DOMParser().parseFromString(text, "text/html");
			const forms = [...page.querySelectorAll("main form[method=post]")].map((f) => f.getAttribute("action"));
			seen.set(path, {path, status: answer.status, forms, text});
			for (const link of page.querySelectorAll("a[href]")) {
				const to = new URL(link.getAttribute("href"), new URL(path, location.href));
				todo.push(to.pathname + to.search);
			}
		}
		return [...seen.values()];
	})()`)
	for _, page := range all {
		if page.Status != 200 {
			tb.Errorf("a link leads to %s, which is answered %d", page.Path, page.Status)
		}
	}
	return all
}

// signIn gives a token on the page for it.
func (tb *tab) signIn(token string) {
	tb.Helper()
	tb.visit("orders")
	tb.see(`textarea[name="token"]`)
	tb.fill(`textarea[name="token"]`, token)
	tb.click(`main button[type="submit"]`)
	tb.see("#list")
	tb.until(`location.pathname === "/console/orders"`)
}

// Who has signed in sees what is his to see, is led nowhere else, and is offered what
// he may do.
func TestEveryRoleHasItsConsole(t *testing.T) {
	issuer := signintest.New(t)
	cfg := issuer.Config()
	site := upFor(t, "--jwt-issuer", cfg.Issuer, "--jwt-audience", cfg.Audience, "--jwt-keys", cfg.Keys).http
	operator := api{site, issuer.Token("op-1", signin.Operator)}
	type body = map[string]any
	for _, step := range []error{
		operator.send("products", "beans", "list", body{"name": "Espresso beans 1 kg", "price": "24.90", "currency": "EUR"}),
		operator.send("stock", "beans", "receive", body{"quantity": 40, "reference": "PO-1"}),
		operator.send("products", "grinder", "list", body{"name": "Hand grinder, steel", "price": "79.00", "currency": "EUR"}),
		order{id: "o-theirs", customer: "c-other", sku: "beans", quantity: 3, address: "addr-1", country: "AT", method: "card-ok"}.placeAt(operator),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}

	t.Run("customer", func(t *testing.T) {
		token := issuer.Token("c-1", signin.Customer)
		list := openAt(t, site)
		list.signIn(token)
		list.see("#list .empty")
		if tabs := evaluate[[]string](list, `[...document.querySelectorAll("nav[aria-label=Main] a")].map((a) => a.innerText)`); !slices.Equal(tabs, []string{"Orders", "Products"}) {
			t.Errorf("he can choose between %v", tabs)
		}
		list.live()
		evaluate[bool](list, `window.sameDocument = true`)

		tb := openAt(t, site)
		tb.expect("404")
		tb.signIn(token)
		tb.visit("products")
		tb.see(`tr[data-sku="beans"] .chip.good`, `tr[data-sku="grinder"] .chip.quiet`)
		if text := tb.says(); strings.Contains(text, "40") || strings.Contains(text, "37") {
			t.Errorf("he is told how much there is: %s", text)
		}
		tb.click("main a.primary")
		tb.see(`input[name="customer_id"][readonly]`)
		tb.fill(`input[name="order_id"]`, "o-mine")
		tb.click(`main button[type="submit"]`)
		tb.see(`#top[data-version="1"]`)
		list.see(`tr[data-order="o-mine"][data-state="Draft"]`)
		tb.fill(`select[name="sku"]`, "beans")
		tb.click(`form[action$="add-item"] button`)
		tb.see(`#top[data-version="2"]`)
		tb.fill(`input[name="address_ref"]`, "addr-1")
		tb.click(`form[action$="set-shipping"] button`)
		tb.see(`#top[data-version="3"]`)
		tb.fill(`input[name="method_ref"]`, "card-ok")
		tb.click(`form[action$="set-payment-method"] button`)
		tb.see(`#top[data-version="4"]`)
		tb.live()
		tb.click("#submit")
		tb.see(`#top[data-state="Completed"]`)
		list.see(`tr[data-order="o-mine"][data-state="Completed"]`)
		if !evaluate[bool](list, `window.sameDocument === true`) {
			t.Error("his list was loaded again")
		}
		// What an operator says of his order is not for him to read, and what a provider calls it.
		const word = "he complains all the time"
		if err := operator.send("orders", "o-mine", "request-refund", body{"amount": "1.00", "reason": word}); err != nil {
			t.Fatal(err)
		}
		tb.see("#refunded")
		pages := tb.crawl()
		for _, page := range pages {
			for _, of := range []string{word, "op-1", "auth_id", "capture_id", "Fulfilment"} {
				if strings.Contains(page.Text, of) {
					t.Errorf("%s tells a customer %q", page.Path, of)
				}
			}
		}
		if !slices.ContainsFunc(pages, func(p crawled) bool { return p.Path == "/console/orders/o-mine" }) {
			t.Error("no link leads to his order")
		}
		for _, page := range pages {
			if strings.Contains(page.Text, "o-theirs") || strings.Contains(page.Text, "c-other") {
				t.Errorf("%s tells of others", page.Path)
			}
		}
		tb.visit("orders/o-theirs")
		tb.see(".empty.bad")
		if text := tb.says(); !strings.Contains(text, "order_not_found") {
			t.Errorf("another one's order is shown as %s", text)
		}
	})

	t.Run("auditor", func(t *testing.T) {
		tb := openAt(t, site)
		tb.signIn(issuer.Token("a-1", signin.Auditor))
		tb.see(`tr[data-order="o-theirs"]`, `tr[data-order="o-mine"]`)
		reached := map[string]bool{}
		for _, page := range tb.crawl() {
			if len(page.Forms) > 0 {
				t.Errorf("on %s he is offered %v", page.Path, page.Forms)
			}
			if strings.Contains(page.Text, "<dialog") || strings.Contains(page.Text, "show-modal") {
				t.Errorf("%s has a dialog for him", page.Path)
			}
			at, _ := url.Parse(page.Path)
			reached[at.Path] = true
		}
		for _, want := range []string{"orders/o-theirs", "orders/o-theirs/causes", "sagas", "payments", "customers/c-other", "stock/beans", "sales", "events", "projections"} {
			if !reached["/console/"+want] {
				t.Errorf("no link leads him to %s", want)
			}
		}
	})
}
