package service

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Web answers what mux has, and a [Problem] where mux has no such path or the
// path no such method.
//
// At a loopback address it answers requests for a loopback name or address, or
// for one of hosts (names without a port), and others with 421: for a browser, a
// page whose name was made to resolve to this machine would be of one origin with
// everything here. At any other address the names are not known, and all are answered.
func Web(mux *http.ServeMux, at net.Addr, hosts []string) http.Handler {
	tcp, ok := at.(*net.TCPAddr)
	guarded := ok && tcp.IP.IsLoopback()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if guarded && !isHere(r.Host, hosts) {
			SendProblem(w, problem(http.StatusMisdirectedRequest, "misdirected",
				fmt.Sprintf("this address is local and does not answer as %s; ask localhost, a loopback address, or a name that --http-host gives", clip(strconv.Quote(r.Host)))))
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refused := refusal{header: http.Header{}}
		handler.ServeHTTP(&refused, r)
		path := clip(strconv.Quote(r.URL.Path))
		if refused.status != http.StatusMethodNotAllowed {
			SendProblem(w, problem(http.StatusNotFound, "no_such_path",
				fmt.Sprintf("there is no path %s; there are /livez and /readyz, /metrics here or at the address of --metrics, and at the gateway /console/ and what /openapi.json lists", path)))
			return
		}
		allowed := refused.header.Get("Allow")
		w.Header().Set("Allow", allowed)
		SendProblem(w, problem(http.StatusMethodNotAllowed, "method_not_allowed", fmt.Sprintf("%s takes %s, not %s", path, allowed, clip(r.Method))))
	})
}

// isHere tells that a Host header names this machine as nobody else can be named.
// No browser leaves it empty.
func isHere(host string, hosts []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// refusal keeps how a mux refuses, and not what it says.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) WriteHeader(status int)      { r.status = status }
func (r *refusal) Write(b []byte) (int, error) { return len(b), nil }

// SendProblem answers an HTTP request with a problem. A client that is gone needs
// no answer.
func SendProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil { // text that is not UTF-8
		http.Error(w, http.StatusText(p.Status), p.Status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
