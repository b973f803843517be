//go:build browser

package browser

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// pages are all pages of the console, each with what it must show.
func pages() map[string][2]string {
	evilPath := "orders/" + url.PathEscape(evil)
	return map[string][2]string{
		"orders":        {"orders", `#list tr[data-order]`},
		"orders-none":   {"orders?q=nothing-like-that", ".empty"},
		"new":           {"orders/new", `input[name="order_id"]`},
		"order":         {"orders/o-done", `#top[data-state="Completed"]`},
		"order-draft":   {"orders/o-draft", `#top[data-state="Draft"]`},
		"order-short":   {"orders/o-short", `#top[data-state="Rejected"]`},
		"order-soft":    {"orders/o-soft", `.notice.warn`},
		"order-evil":    {evilPath, `#top[data-state="Completed"]`},
		"history":       {"orders/o-done/history?version=5", `#moment[data-version="5"]`},
		"history-now":   {"orders/o-done/history?version=5&compare=now", `#moment .diff`},
		"causes":        {"orders/o-done/causes", ".leaf"},
		"causes-evil":   {evilPath + "/causes", ".leaf"},
		"sagas":         {"sagas", `[data-saga="o-stuck-2"]`},
		"sagas-state":   {"sagas?state=COMPLETED", `[data-saga="o-done"]`},
		"board":         {"sagas?order=o-stuck-1", `[data-saga="o-stuck-1"]`},
		"payments":      {"payments", `tr[data-state="captured"]`},
		"payments-none": {"payments?order=nothing-like-that", "#list .empty"},
		"customers":     {"customers", `tr[data-customer="c-anna"]`},
		"customer":      {"customers/c-anna", `tr[data-order="o-done"]`},
		"products":      {"products", `tr[data-sku="beans"]`},
		"stock":         {"stock", `tr[data-sku="beans"]`},
		"movements":     {"stock/beans", "#movements td"},
		"sales":         {"sales", ".plot .kept"},
		"events":        {"events", "#list td"},
		"events-order":  {"events?correlation=" + url.QueryEscape(evil), "#list td"},
		"projections":   {"projections", `tr[data-projection]`},
		"sign-in":       {"sign-in", "textarea"},
		"no-such-page":  {"nothing", ".empty.bad"},
		"no-such-order": {"orders/o-nowhere", ".empty.bad"},
	}
}

// settle waits until the shop's orders are where they end, or wait for somebody.
func settle(tb *tab) {
	tb.Helper()
	tb.visit("sagas")
	tb.live()
	tb.see(`.saga[data-saga="o-stuck-1"]`, `.saga[data-saga="o-stuck-2"]`, `[data-saga="o-soft"][data-state="AWAITING_METHOD"]`, `[data-saga="o-open"][data-state="DISPATCHING"]`)
	for id, state := range map[string]string{"o-done": "Completed", "o-short": "Rejected", "o-declined": "Rejected", url.PathEscape(evil): "Completed"} {
		tb.visit("orders/" + id)
		tb.see(`#top[data-state="` + state + `"]`)
	}
}

// Every page in light and dark, wide and narrow: it has contrast, fits, says what it
// is to who does not see it, and shows as text what was stored as text.
func TestEveryPage(t *testing.T) {
	tb := open(t)
	tb.expect("404")
	settle(tb)
	for name, p := range pages() {
		tb.visit(p[0])
		tb.see(p[1])
		for _, s := range screens {
			tb.look(s)
			tb.check(name + " in " + s.name)
			tb.picture(name, s)
		}
	}
}

// A page that keeps itself current can be asked to show what has happened at least: what
// has not happened yet is refused, so that the page asks again and shows nothing older.
func TestEveryLivePageWaitsForWhatItIsToShow(t *testing.T) {
	shop(t)
	settle(open(t))
	asked := 0
	var wait sync.WaitGroup
	for name, p := range pages() {
		page := get(t, p[0])
		if !strings.Contains(page.body, `data-stream="`) || name == "projections" { // which says how far each view is, and waits for none
			continue
		}
		asked++
		wait.Go(func() {
			at := p[0] + map[bool]string{true: "&", false: "?"}[strings.Contains(p[0], "?")] + "after=1-99999999"
			if later := get(t, at); later.StatusCode != http.StatusConflict || !strings.Contains(later.body, "not_yet") {
				t.Errorf("%s shows %s as %d: %.2000s", name, at, later.StatusCode, later.body)
			}
		})
	}
	wait.Wait()
	if asked < 15 {
		t.Errorf("only %d pages keep themselves current", asked)
	}
}

// got is a page as it is served.
type got struct {
	*http.Response
	body string
}

func get(t *testing.T, path string) got {
	t.Helper()
	resp, err := http.Get(site + "/console/" + path)
	if err != nil {
		t.Error(err)
		return got{Response: &http.Response{}}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return got{resp, string(body)}
}

// check computes what a page must be. The script answers with what is wrong.
func (tb *tab) check(name string) {
	tb.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "check.js"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, wrong := range evaluate[[]string](tb, string(script)) {
		tb.Errorf("%s: %s", name, wrong)
	}
	if text := tb.says(); strings.Contains(text, "&lt;") || strings.Contains(text, "ZgotmplZ") {
		tb.Errorf("%s: markup was escaped twice, or refused by its place: %.300s", name, text)
	}
}

func (tb *tab) picture(name string, s screen) {
	tb.Helper()
	if *shots == "" {
		return
	}
	image := run(tb, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(*shots, name+"-"+s.name+".png"), image, 0o600); err != nil {
		tb.Fatal(err)
	}
}
