package signin

import (
	"net/http"
	"time"
)

// Forget makes the keys as old as those that may be read again.
func Forget(g *Gate) {
	g.keys.mu.Lock()
	defer g.keys.mu.Unlock()
	g.keys.asked = time.Time{}
}

// Trust reads keys by a transport that trusts a test's server.
func Trust(g *Gate, transport http.RoundTripper) { g.keys.client.Transport = transport }
