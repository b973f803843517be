//go:build browser

package browser

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// door stands before the system. While it is shut it answers as a gateway does that
// stops: streams end, and everything is refused with 503.
type door struct {
	*httptest.Server

	mu      sync.Mutex
	open    context.Context
	shut    context.CancelFunc
	refused chan string // paths that were asked for in vain; what does not fit is dropped
}

func newDoor(t *testing.T) *door {
	t.Helper()
	to, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{refused: make(chan string, 100)}
	d.unlock()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(resp *http.Response) error {
			if resp.Header.Get("Content-Type") == "text/event-stream" {
				resp.Body = until(resp.Request.Context(), d.now(), resp.Body)
			}
			return nil
		},
	}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.now().Err() == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		select {
		case d.refused <- r.URL.Path:
		default:
		}
		http.Error(w, "the gateway stops", http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() {
		d.lock()
		d.CloseClientConnections()
		d.Close()
	})
	return d
}

// now is done when the door is shut.
func (d *door) now() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

func (d *door) lock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut()
}

func (d *door) unlock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.shut = context.WithCancel(context.Background())
}

// until is a body that ends in good order when the door is shut.
func until(request, open context.Context, body io.ReadCloser) io.ReadCloser {
	out, in := io.Pipe()
	end := context.AfterFunc(open, func() { _ = in.Close() })
	gone := context.AfterFunc(request, func() { _ = body.Close() })
	go func() {
		_, err := io.Copy(in, body)
		_ = in.CloseWithError(err)
		end()
		gone()
		_ = body.Close()
	}()
	return out
}

// A stream that was refused is given up by the browser, and by the page not: what
// happened while nobody answered is on it when somebody does again.
func TestAPageIsLiveAgain(t *testing.T) {
	tb := open(t)
	tb.expect("503")
	d := newDoor(t)
	tb.site = d.URL
	id := tb.draft("card-ok", "addr-1")
	tb.live()
	evaluate[bool](tb, `window.sameDocument = true`)
	stream := "/v1/orders/" + id + "/live"

	d.lock()
	tb.see(`body[data-live="lost"]`)
	for path := ""; path != stream; {
		select {
		case path = <-d.refused:
		case <-tb.ctx.Done():
			t.Fatal("the page did not ask for its stream")
		}
	}
	if err := send("orders", id, "add-item", map[string]any{"sku": "beans", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	d.unlock()
	tb.live()
	tb.see(`#top[data-version="5"]`)
	if err := send("orders", id, "add-item", map[string]any{"sku": "grinder", "quantity": 1}); err != nil {
		t.Fatal(err)
	}
	tb.see(`#top[data-version="6"]`)
	if !evaluate[bool](tb, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
}
