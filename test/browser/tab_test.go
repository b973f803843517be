//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a tab of the browser, with what went wrong in it. At its end a test fails
// when anything was written to the console, or asked of another host.
type tab struct {
	*testing.T
	ctx context.Context
	// site is the origin of its pages; the system's own, or what stands before it.
	site string

	mu       sync.Mutex
	wrong    []string
	expected []string // answers that the test asks for, such as "404"
}

// open makes a tab of its own, without the cookies of others.
func open(t *testing.T) *tab {
	t.Helper()
	shop(t)
	return openAt(t, site)
}

// openAt is [open] for another system.
func openAt(t *testing.T, site string) *tab {
	t.Helper()
	return openIn(t, site, chromedp.WithNewBrowserContext())
}

// openBeside makes a tab that shares connections and cookies with all others that are made
// so, as those of a person's browser do.
func openBeside(t *testing.T) *tab {
	t.Helper()
	shop(t)
	return openIn(t, site)
}

func openIn(t *testing.T, site string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	tb := &tab{T: t, site: site}
	ctx, closeTab := chromedp.NewContext(browser, append(options, chromedp.WithListener(tb.watch))...)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context, not as one action's
		t.Fatal(err)
	}
	var stop context.CancelFunc
	tb.ctx, stop = context.WithTimeout(ctx, patience)
	t.Cleanup(func() {
		stop()
		closeTab()
		tb.mu.Lock()
		defer tb.mu.Unlock()
		for _, w := range tb.wrong {
			t.Error(w)
		}
	})
	call(tb, log.Enable, cdp.Empty{})
	call(tb, network.Enable, network.EnableParams{})
	return tb
}

func (tb *tab) watch(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tb.wrong = append(tb.wrong, "exception: "+e.ExceptionDetails.Text+" "+asJSON(e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		tb.wrong = append(tb.wrong, fmt.Sprintf("console.%s %s", e.Type, asJSON(e.Args)))
	case *log.EventEntryAdded:
		for _, status := range tb.expected {
			if strings.Contains(e.Entry.Text, "status of "+status) {
				return
			}
		}
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			tb.wrong = append(tb.wrong, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	case *page.EventJavascriptDialogOpening:
		tb.wrong = append(tb.wrong, "a dialog of a script: "+e.Message)
	case *network.EventRequestWillBeSent:
		asked, err := url.Parse(e.Request.URL)
		if err != nil || asked.Scheme+"://"+asked.Host != tb.site && asked.Scheme != "about" && asked.Scheme != "data" {
			tb.wrong = append(tb.wrong, "a request to another host: "+e.Request.URL)
		}
	}
}

// expect lets answers with this status be no fault of the page.
func (tb *tab) expect(status string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.expected = append(tb.expected, status)
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		tb.Fatalf("%v; %s", err, tb.where())
	}
}

// run is [tab.do] with an answer.
func run[V any](tb *tab, action chromedp.Action[V]) V {
	tb.Helper()
	v, err := chromedp.Run(tb.ctx, action)
	if err != nil {
		tb.Fatalf("%v; %s", err, tb.where())
	}
	return v
}

// call sends the browser a command of its protocol.
func call[P, R any](tb *tab, command cdp.Command[P, R], params P) {
	tb.Helper()
	if _, err := chromedp.Call(tb.ctx, command, params); err != nil {
		tb.Fatalf("%v; %s", err, tb.where())
	}
}

// where says what is on the screen, for a failure.
func (tb *tab) where() string {
	ctx, stop := context.WithTimeout(context.WithoutCancel(tb.ctx), patience/10)
	defer stop()
	at, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + ", which says: " + document.body?.innerText.slice(0, 600)`))
	return "the page is " + at
}

func (tb *tab) says() string {
	tb.Helper()
	return run(tb, chromedp.Evaluate[string](`document.body.innerText`))
}

// visit opens a page of the console.
func (tb *tab) visit(path string) {
	tb.Helper()
	tb.do(chromedp.Navigate(tb.site + "/console/" + path))
}

// live waits until the page hears of what happens.
func (tb *tab) live() {
	tb.Helper()
	tb.see(`body[data-live="open"]`)
}

// see waits until each of the elements is there, on this page or the next one. The
// page looks for them itself, whenever it is drawn: from outside, an element can be
// gone before something is asked of it.
func (tb *tab) see(selectors ...string) {
	tb.Helper()
	for _, s := range selectors {
		tb.until("document.querySelector(" + asJSON(s) + ")")
	}
}

// gone waits until an element is not there.
func (tb *tab) gone(selector string) {
	tb.Helper()
	tb.until("!document.querySelector(" + asJSON(selector) + ")")
}

// until waits until a JavaScript expression is true, on this page or the next one. It is
// asked from here: a page without scripts has no timers with which to ask itself.
func (tb *tab) until(expression string) {
	tb.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		// It is an error when the page goes, and then the next one is asked.
		is, err := chromedp.Run(tb.ctx, chromedp.Evaluate[bool](`document.readyState !== "loading" && !!(`+expression+`)`))
		if err == nil && is {
			return
		}
		select {
		case <-tb.ctx.Done():
			tb.Fatalf("it was never true that %s: %v; %s", expression, err, tb.where())
		case <-again.C:
		}
	}
}

// click presses the mouse where an element is, and lets it go. A page that is drawn anew between the look where the element is
// and the press may have moved it: then it is done again.
func (tb *tab) click(selector string) {
	tb.Helper()
	for missed := true; missed; {
		x, y := tb.hold(selector)
		tb.release(x, y)
		// A page that has gone was left by the click.
		is, err := chromedp.Run(tb.ctx, chromedp.Evaluate[bool](`window.pressed?.missed === true`))
		missed = is && err == nil
	}
}

// hold presses the mouse where an element is.
func (tb *tab) hold(selector string) (x, y float64) {
	tb.Helper()
	tb.see(selector)
	at := evaluate[[]float64](tb, `(() => {
		const e = document.querySelector(`+asJSON(selector)+`);
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect();
		const pressed = window.pressed = {missed: false};
		document.addEventListener("pointerdown", (down) => {
			const on = down.target;
			pressed.missed = !on.closest(`+asJSON(selector)+`) && !on.querySelector?.(`+asJSON(selector)+`) && !on.control?.matches(`+asJSON(selector)+`);
		}, {capture: true, once: true});
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	tb.mouse(input.DispatchMouseEventTypeMousePressed, at[0], at[1])
	return at[0], at[1]
}

// release lets the mouse go.
func (tb *tab) release(x, y float64) {
	tb.Helper()
	tb.mouse(input.DispatchMouseEventTypeMouseReleased, x, y)
}

func (tb *tab) mouse(what input.DispatchMouseEventType, x, y float64) {
	tb.Helper()
	call(tb, input.DispatchMouseEvent, input.DispatchMouseEventParams{
		Type: what, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1,
	})
}

// fill writes text into a field in place of what was in it, and stays there, as who writes
// does: a form that nobody is in may be drawn anew.
func (tb *tab) fill(selector, text string) {
	tb.Helper()
	tb.see(selector)
	evaluate[bool](tb, `(() => { const e = document.querySelector(`+asJSON(selector)+`); e.focus(); e.value = `+asJSON(text)+`; return true; })()`)
}

// write types text where the focus is.
func (tb *tab) write(text string) {
	tb.Helper()
	tb.do(chromedp.KeyEvent(text))
}

func (tb *tab) text(selector string) string {
	tb.Helper()
	tb.see(selector)
	return evaluate[string](tb, `document.querySelector(`+asJSON(selector)+`).innerText`)
}

func evaluate[V any](tb *tab, expression string) V {
	tb.Helper()
	return run(tb, chromedp.Evaluate[V](expression))
}

// screen is how a page is looked at.
type screen struct {
	name          string
	width, height int64
	theme         string
	mobile        bool
}

var screens = []screen{
	{name: "light", width: 1280, height: 900, theme: "light"},
	{name: "dark", width: 1280, height: 900, theme: "dark"},
	{name: "phone", width: 390, height: 844, theme: "light", mobile: true},
}

func (tb *tab) look(s screen) {
	tb.Helper()
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.mobile,
	})
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.theme}},
	})
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// evaluateAsync is [evaluate] for a promise.
func evaluateAsync[V any](tb *tab, expression string) V {
	tb.Helper()
	return run(tb, chromedp.Evaluate[V](expression, chromedp.EvalAwaitPromise))
}
