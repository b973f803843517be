//go:build browser

package browser

import (
	"strings"
	"testing"
)

// version is a saga's on the board.
func (tb *tab) version(saga string) int {
	tb.Helper()
	return evaluate[int](tb, `Number(document.querySelector('.saga[data-saga="`+saga+`"]').dataset.version)`)
}

// One saga is retried from its card; the carrier refuses again, which the board
// shows by itself, with who decided.
func TestRetryASaga(t *testing.T) {
	tb := open(t)
	settle(tb)
	tb.visit("sagas")
	tb.live()
	tb.see(`.saga[data-saga="o-stuck-1"]`)
	before := tb.version("o-stuck-1")
	tb.click("#open-retry-o-stuck-1")
	tb.see("#retry-o-stuck-1[open]")
	tb.until(`document.activeElement.name === "reason"`)
	tb.write("the carrier was called")
	tb.click(`#retry-o-stuck-1 button[type="submit"]`)
	tb.see(`.saga[data-saga="o-stuck-1"] .owner`)
	if after := tb.version("o-stuck-1"); after <= before {
		t.Errorf("the saga is at version %d, and was at %d", after, before)
	}
	if got := tb.text(`.saga[data-saga="o-stuck-1"] .owner`); got != "local" {
		t.Errorf("it was decided by %q", got)
	}
	tb.visit("orders/o-stuck-1")
	tb.until(`[...document.querySelectorAll(".what")].some((e) => e.innerText.includes("the carrier was called"))`)
}

// Several are retried at once: first it is said what would happen, then it does, and
// one that has moved since is left alone.
func TestBulkRetry(t *testing.T) {
	tb := open(t)
	tb.expect("422")
	for _, id := range []string{"o-bulk-1", "o-bulk-2"} {
		if err := stuck(id).place(); err != nil {
			t.Fatal(err)
		}
	}
	tb.visit("sagas")
	tb.live()
	tb.see(`input[value="fulfilment o-bulk-1"]`, `input[value="fulfilment o-bulk-2"]`)
	tb.click(`input[value="fulfilment o-bulk-1"]`)
	tb.click(`input[value="fulfilment o-bulk-2"]`)
	tb.click("#bulk-plan") // without a reason
	tb.see("#refusal")
	tb.click(`input[value="fulfilment o-bulk-1"]`)
	tb.click(`input[value="fulfilment o-bulk-2"]`)
	tb.fill("#bulk-reason", "the carrier is well again")
	before := tb.version("o-bulk-1")
	tb.click("#bulk-plan")
	tb.see("#bulk-run")
	if got := tb.text("#bulk-summary"); !strings.Contains(got, "Nothing was done yet. 2 of 2 would be retried") {
		t.Errorf("the dry run says %q", got)
	}
	other := open(t)
	other.visit("sagas")
	other.see(`.saga[data-saga="o-bulk-1"]`)
	if other.version("o-bulk-1") != before {
		t.Error("the dry run has done something")
	}
	// Meanwhile one of them is decided about by somebody else.
	if err := send("sagas", "o-bulk-2", "resolve", map[string]any{"reason": "it was written off", "evidence": "mail of the carrier"}); err != nil {
		t.Fatal(err)
	}
	tb.click("#bulk-run")
	tb.see(`tr[data-item="fulfilment o-bulk-1"] .chip.good`, `tr[data-item="fulfilment o-bulk-2"] .chip.warn`)
	if got := tb.text("#bulk-summary"); !strings.Contains(got, "1 of 2 was retried, 1 left alone.") {
		t.Errorf("afterwards it says %q", got)
	}
	other.see(`.saga[data-saga="o-bulk-1"] .owner`)
	other.gone(`.saga[data-saga="o-bulk-2"]`)
	other.visit("orders/o-bulk-2")
	other.see(`#top[data-state="Rejected"]`)
}
