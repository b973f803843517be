package service_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
)

// A client that begins a request and does not go on holds nothing for ever.
func TestSlowClientsAreCutOff(t *testing.T) {
	for begun, within := range map[string]time.Duration{
		"POST / HTTP/1.1\r\nHost: here\r\n":                                   5 * time.Second,
		"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n{":        30 * time.Second,
		"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n": 30 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			client, server := net.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- service.ServeHTTP(ctx, newOneListener(server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.ReadAll(r.Body); err != nil {
						w.WriteHeader(http.StatusRequestTimeout)
					}
				}))
			}()
			started := time.Now()
			if _, err := io.Copy(client, strings.NewReader(begun)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, client); err != nil { // until the server hangs up
				t.Fatal(err)
			}
			if took := time.Since(started); took < within || took > within+time.Second {
				t.Errorf("%q: cut off after %v, want %v", begun, took, within)
			}
			client.Close()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// oneListener accepts one connection.
type oneListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newOneListener(conn net.Conn) oneListener {
	l := oneListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- conn
	return l
}

func (l oneListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l oneListener) Close() error {
	close(l.closed)
	return nil
}

func (l oneListener) Addr() net.Addr { return &net.TCPAddr{} }
